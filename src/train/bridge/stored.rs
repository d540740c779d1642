//! A trained sampler, read back from its run folder.

use std::path::Path;

use anyhow::Result;
use tch::Device;

use super::config::BridgeConfig;
use super::evaluate::{Sampled, draw};
use super::objective::BridgeObjective;
use crate::bad_input;
use crate::config::load;
use crate::io::assign::assign;
use crate::io::checkpoint;
use crate::log::table::{Table, figure};
use crate::torch::seed::{Stream, reseed};
use crate::train::objective::Objective;

/// A sampler with the weights of its newest checkpoint (the averaged ones, where it has them).
pub struct Stored {
    objective: BridgeObjective,
    seed: u64,
    step: u64,
}

/// Opens a run folder; `overrides` may change `eval.*` and `seed`.
pub fn open(run: &Path, overrides: &[String], device: Device) -> Result<Stored> {
    if let Some(wrong) = overrides.iter().find(|o| !(o.starts_with("eval.") || o.starts_with("seed="))) {
        return Err(bad_input!("override '{wrong}': a trained run can change eval.* and seed only"));
    }
    let file = run.join("config.yaml");
    let mut loaded = load::load::<BridgeConfig>(&file, overrides)?;
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    let newest = checkpoint::latest(&run.join("checkpoints"))?;
    let newest = newest.ok_or_else(|| bad_input!("{}: has no complete checkpoint yet", run.display()))?;
    let objective = super::build(&loaded.value, device).map_err(|error| loaded.locate(error))?;
    let weights = match newest.tensors_if_any("ema")? {
        Some(ema) => ema,
        None => newest.tensors("weights")?,
    };
    assign(&objective.params().named(), &weights, |name| Some(name.to_string()))?;
    Ok(Stored { objective, seed: loaded.value.seed, step: newest.step })
}

impl Stored {
    /// The full set of figures, under the same seeds as the run's own last evaluation.
    pub fn evaluate(&mut self) -> Result<Vec<(String, f64)>> {
        reseed(self.seed, Stream::Eval, self.step);
        Ok(self.objective.evaluate(true)?.scalars)
    }

    /// `n` weighted samples.
    pub fn sample(&mut self, n: i64) -> Sampled {
        reseed(self.seed, Stream::Data, self.step);
        draw(&mut self.objective.team, n)
    }
}

/// Figures one a row.
pub fn table(figures: &[(String, f64)]) -> Table {
    let mut table = Table::new(["figure", "value"]);
    for (tag, value) in figures {
        table.row([tag.clone(), figure(*value, 6)]);
    }
    table
}
