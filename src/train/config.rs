//! The `train:` section, the same for every task.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Device;

use super::lr_schedule::LrSchedule;
use crate::config::check;
use crate::torch::optim::{Moments, Rule};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of updates.
    pub steps: u64,
    /// Samples in one update.
    pub batch: i64,
    pub learning_rate: f64,
    /// Rate of the interpolation's increments; that of prior and noise scale where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpolation_learning_rate: Option<f64>,
    /// Rate of prior and noise scale; the general rate where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sde_learning_rate: Option<f64>,
    #[serde(default = "radam")]
    pub optimizer: Rule,
    #[serde(default)]
    pub schedule: LrSchedule,
    /// Gradients of each parameter group are scaled down to this global norm; `null` for no clipping.
    #[serde(default = "unit")]
    pub clip_norm: Option<f64>,
    /// Decay of an exponential moving average of the weights, which evaluation then uses; `null` for none.
    #[serde(default)]
    pub ema_decay: Option<f64>,
    /// Training figures are logged every so many updates.
    #[serde(default = "ten")]
    pub log_every: u64,
    /// Updates between evaluations; 0 evaluates at the end only.
    #[serde(default)]
    pub eval_every: u64,
    /// Updates between checkpoints; 0 saves at the end only.
    #[serde(default)]
    pub checkpoint_every: u64,
    /// Checkpoints kept, the newest ones.
    #[serde(default = "two")]
    pub keep_checkpoints: usize,
    /// So many non-finite updates in a row stop the run.
    #[serde(default = "hundred")]
    pub max_skipped: u64,
    /// Rows evaluated and back-propagated at once: bounds memory and fits the cache; the gradient is the same.
    /// Left out: 4000 on the CPU, 262144 on a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_rows: Option<i64>,
}

fn radam() -> Rule {
    Rule::RAdam(Moments::default())
}

fn unit() -> Option<f64> {
    Some(1.0)
}

fn ten() -> u64 {
    10
}

fn two() -> usize {
    2
}

fn hundred() -> u64 {
    100
}

impl TrainConfig {
    /// Rows in one piece of a backward pass: a few megabytes of activations on the CPU, enough to fill a GPU.
    pub fn chunk_rows_on(&self, device: Device) -> i64 {
        self.chunk_rows.unwrap_or(if device == Device::Cpu { 4000 } else { 262_144 })
    }

    pub fn validate(&self) -> Result<()> {
        check::in_range("train.steps", self.steps, 0, 1_000_000_000)?;
        check::in_range("train.batch", self.batch, 2, 10_000_000)?;
        check::positive("train.learning_rate", self.learning_rate)?;
        let optional = [
            ("train.interpolation_learning_rate", self.interpolation_learning_rate),
            ("train.sde_learning_rate", self.sde_learning_rate),
        ];
        for (key, rate) in optional {
            rate.map_or(Ok(()), |rate| check::non_negative(key, rate))?;
        }
        self.clip_norm.map_or(Ok(()), |norm| check::positive("train.clip_norm", norm))?;
        self.ema_decay.map_or(Ok(()), |decay| check::in_range("train.ema_decay", decay, 0.0, 1.0))?;
        check::at_least("train.log_every", self.log_every, 1)?;
        check::at_least("train.keep_checkpoints", self.keep_checkpoints, 1)?;
        check::at_least("train.max_skipped", self.max_skipped, 1)?;
        self.chunk_rows.map_or(Ok(()), |rows| check::in_range("train.chunk_rows", rows, 1, 1_000_000_000))?;
        self.schedule.validate()?;
        self.optimizer.validate()
    }
}
