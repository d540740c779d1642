//! A trained sampler, read back from its run folder.

use std::path::Path;

use anyhow::Result;
use tch::{Device, Tensor};

use super::config::DiscreteConfig;
use super::objective::{DiscreteObjective, build};
use crate::bad_input;
use crate::io::assign::assign;
use crate::io::checkpoint;
use crate::samplers::discrete::Keep;
use crate::targets::lattice::decode;
use crate::torch::seed::{Stream, reseed};
use crate::train::objective::Objective;

/// A sampler with the weights of its newest checkpoint (the averaged ones, where it has them).
pub struct Stored {
    objective: DiscreteObjective,
    step: u64,
}

/// Opens a run folder; `overrides` may change `sampler.*`, `eval.*`, `mcmc.*` and `seed`.
pub fn open(run: &Path, overrides: &[String], device: Device) -> Result<Stored> {
    let allowed = ["sampler.", "eval.", "mcmc.", "seed="];
    if let Some(wrong) = overrides.iter().find(|o| !allowed.iter().any(|start| o.starts_with(start))) {
        return Err(bad_input!("override '{wrong}': a trained run can change sampler.*, eval.*, mcmc.* and seed only"));
    }
    let loaded = DiscreteConfig::load(&run.join("config.yaml"), overrides)?;
    let newest = checkpoint::latest(&run.join("checkpoints"))?;
    let newest = newest.ok_or_else(|| bad_input!("{}: has no complete checkpoint yet", run.display()))?;
    // The last rung's law is the target, whichever rung training stands on.
    let config = DiscreteConfig { ladder: Vec::new(), ..loaded.value.clone() };
    let objective = build(&config, device).map_err(|error| loaded.locate(error))?;
    let weights = match newest.tensors_if_any("ema")? {
        Some(ema) => ema,
        None => newest.tensors("weights")?,
    };
    assign(&objective.params().named(), &weights, |name| Some(name.to_string()))?;
    Ok(Stored { objective, step: newest.step })
}

impl Stored {
    /// The full set of figures, under the same seeds as the run's own last evaluation.
    pub fn evaluate(&mut self) -> Result<Vec<(String, f64)>> {
        reseed(self.objective.config().seed, Stream::Eval, self.step);
        Ok(self.objective.evaluate(true)?.scalars)
    }

    /// `n` samples in the values that files hold, `[n, D]` i64, and their log-weights `[n]` f64.
    pub fn sample(&mut self, n: i64) -> (Tensor, Tensor) {
        let config = self.objective.config();
        reseed(config.seed, Stream::Data, self.step);
        let sampler = config.sampler;
        let path = self.objective.team.rollout(&sampler, n, Keep::Ends);
        let x = decode(&*self.objective.team.first().target, &path.x);
        (x.to_device(Device::Cpu), path.log_weight.to_device(Device::Cpu))
    }
}
