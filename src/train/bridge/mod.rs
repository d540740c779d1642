//! Training diffusion-bridge samplers.

pub mod bench;
pub mod compare;
pub mod config;
pub mod evaluate;
pub mod launch;
pub mod objective;
pub mod pictures;
pub mod stored;

use anyhow::Result;
use tch::Device;

pub use config::BridgeConfig;
use objective::BridgeObjective;

use crate::samplers::DiffusionSampler;
use crate::targets::Counted;
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;
use crate::train::molecule::Torsions;

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream. On the CPU the team
/// has one member a worker thread.
pub fn build(config: &BridgeConfig, device: Device) -> Result<BridgeObjective> {
    let kind = config.precision.kind();
    let build_member = || -> Result<_> {
        let target = config.target.build((kind, device))?;
        reseed(config.seed, Stream::Init, 0);
        let sampler = DiffusionSampler::new(&config.process, &config.net, target.dim(), kind, device)?;
        Ok(objective::member(sampler, Counted::new(target), &config.loss))
    };
    let (batch, rows) = (config.train.batch, config.train.chunk_rows_on(device));
    let mut objective = BridgeObjective::new(build_member()?, config.loss.clone(), batch, rows);
    objective.eval = config.eval.clone();
    let torsions = config.eval.torsions.as_ref();
    objective.torsions = torsions.map(|torsions| Torsions::new(torsions, &config.target)).transpose()?;
    let workers = if device == Device::Cpu { threads::workers() } else { 1 };
    for _ in 1..workers {
        objective.team.add(build_member()?);
    }
    Ok(objective)
}
