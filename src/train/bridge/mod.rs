//! Training diffusion-bridge samplers.

pub mod bench;
pub mod compare;
pub mod config;
pub mod evaluate;
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

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream.
pub fn build(config: &BridgeConfig, device: Device) -> Result<BridgeObjective> {
    let kind = config.precision.kind();
    let target = config.target.build((kind, device))?;
    reseed(config.seed, Stream::Init, 0);
    let sampler = DiffusionSampler::new(&config.process, &config.net, target.dim(), kind, device)?;
    let target = Counted::new(target);
    let (batch, rows) = (config.train.batch, config.train.chunk_rows);
    let mut objective = BridgeObjective::new(sampler, target, config.loss.clone(), batch, rows);
    objective.eval = config.eval.clone();
    Ok(objective)
}
