//! The config of data, an energy model and how it learns.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::losses::kolmogorov::ResidualLoss;
use crate::nets::RateNetConfig;
use crate::samplers::discrete::{CtmcConfig, GridConfig, Weights};
use crate::targets::lattice::LatticeConfig;
use crate::targets::lattice::energy::{EnergyConfig, Ratios};
use crate::targets::toys::Toy;
use crate::train::TrainConfig;
use crate::train::discrete::buffer::BufferConfig;

/// Data, a model, and its training.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EbmConfig {
    pub data: Data,
    #[serde(default)]
    pub energy: EnergyConfig,
    pub method: Method,
    #[serde(default)]
    pub eval: EvalConfig,
    #[serde(default)]
    pub seed: u64,
    pub train: TrainConfig,
}

/// What the model is to be a model of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Data {
    /// Points of the plane as 32 bits in Gray code, as many as are asked for.
    Toy { name: Toy },
    /// Rows of a tensor of a file; a bit is 1 where the number lies above `threshold`.
    File {
        path: PathBuf,
        tensor: String,
        #[serde(default)]
        threshold: f64,
        /// Rows and columns, where rows of the tensor are images.
        #[serde(default)]
        shape: Option<[i64; 2]>,
        /// Share of the rows that measures have for themselves, evenly spaced ones; 0: they share all with training.
        #[serde(default)]
        held_out: f64,
    },
    /// Ends of independent Gibbs chains on a known law of two states.
    Chains { target: LatticeConfig, samples: i64, sweeps: i64 },
}

/// How the model learns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Contrastive divergence with weighted samples of a jump process that is learned along.
    Process(Box<ProcessConfig>),
    EnergyDiscrepancy(Discrepancy),
    Importance(Importance),
}

/// How a model learns without a sampler.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Alone {
    EnergyDiscrepancy(Discrepancy),
    Importance(Importance),
}

/// Energy discrepancy: data against the same data with bits flipped and flipped back (Schröder et al., "Energy
/// discrepancies: a score-independent loss for energy-based models", 2023; Bernoulli perturbation).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Discrepancy {
    /// Probability that a bit flips.
    pub flip: f64,
    /// Contrasting states a datum.
    pub contrasts: i64,
    /// Weight of the stabilising term.
    pub stabiliser: f64,
}

impl Default for Discrepancy {
    fn default() -> Self {
        Self { flip: 0.1, contrasts: 32, stabiliser: 1.0 }
    }
}

/// Maximum likelihood with Z from uniform states. Good while the model is not far from uniform: points of the plane are
/// some 2 nats away, images are not.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Importance {
    /// Uniform states of an update.
    pub states: i64,
}

impl Default for Importance {
    fn default() -> Self {
        Self { states: 1024 }
    }
}

/// What the model learns before the process does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// How many of `train.steps` these are.
    pub updates: u64,
    pub method: Alone,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// Updates of the model alone, before any of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<WarmUp>,
    #[serde(default)]
    pub net: RateNetConfig,
    #[serde(default)]
    pub loss: ResidualLoss,
    /// How states to train on are simulated; the model's expectation is over the ends of the newest ones, weighted for
    /// the model as it is now.
    #[serde(default = "training_rollout")]
    pub rollout: CtmcConfig,
    #[serde(default)]
    pub buffer: BufferConfig,
    /// How samples are drawn for measures and pictures.
    #[serde(default)]
    pub sampler: CtmcConfig,
    #[serde(default)]
    pub ratios: Ratios,
    /// Updates of the process between two of the model.
    #[serde(default = "ten")]
    pub energy_every: u64,
    pub energy_learning_rate: f64,
    /// Weight of the mean of moduli of a quadratic form's couplings.
    #[serde(default)]
    pub l1: f64,
}

/// The `eval:` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Data (and samples) of a measure.
    pub samples: i64,
    /// The last measure is made so many times; its figures are means, with standard deviations beside them.
    pub repeats: i64,
    /// States whose mean weight is the estimate of Z.
    pub partition_samples: i64,
    /// Laws from uniform to the model that these pass through, a sweep at each (annealed importance sampling); 1: none
    /// but the model's own.
    pub levels: i64,
    /// Gibbs sweeps of states drawn by these weights, before they count as samples of the model.
    pub sweeps: i64,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { samples: 4000, repeats: 10, partition_samples: 1_000_000, levels: 1, sweeps: 5 }
    }
}

fn ten() -> u64 {
    10
}

fn training_rollout() -> CtmcConfig {
    CtmcConfig::Euler(GridConfig::default())
}

impl EbmConfig {
    pub fn validate(&self) -> Result<()> {
        self.data.validate()?;
        self.energy.validate()?;
        self.method.validate(&self.energy, self.train.batch)?;
        check::in_range("eval.samples", self.eval.samples, 2, 1 << 20)?;
        check::in_range("eval.repeats", self.eval.repeats, 1, 10_000)?;
        check::in_range("eval.partition_samples", self.eval.partition_samples, 2, 1 << 30)?;
        check::in_range("eval.levels", self.eval.levels, 1, 1 << 20)?;
        check::in_range("eval.sweeps", self.eval.sweeps, 0, 1 << 20)?;
        self.train.validate()
    }
}

impl Data {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Toy { .. } => Ok(()),
            Self::File { threshold, shape, held_out, .. } => {
                check::finite("data.threshold", *threshold)?;
                check::in_range("data.held_out", *held_out, 0.0, 0.5)?;
                shape.iter().flatten().try_for_each(|side| check::in_range("data.shape", *side, 1, 4096))
            }
            Self::Chains { samples, sweeps, .. } => {
                check::in_range("data.samples", *samples, 2, 1 << 24)?;
                check::in_range("data.sweeps", *sweeps, 1, 1 << 30)
            }
        }
    }
}

impl Method {
    fn validate(&self, energy: &EnergyConfig, batch: i64) -> Result<()> {
        match self {
            Self::Process(process) => process.validate(energy, batch),
            Self::EnergyDiscrepancy(method) => Alone::EnergyDiscrepancy(*method).validate("method"),
            Self::Importance(method) => Alone::Importance(*method).validate("method"),
        }
    }
}

impl Alone {
    /// `section` is where the config stands, for messages.
    fn validate(&self, section: &str) -> Result<()> {
        match self {
            Self::EnergyDiscrepancy(Discrepancy { flip, contrasts, stabiliser }) => {
                check::positive(&format!("{section}.flip"), *flip)?;
                check::in_range(&format!("{section}.flip"), *flip, 0.0, 0.5)?;
                check::in_range(&format!("{section}.contrasts"), *contrasts, 1, 1 << 16)?;
                check::non_negative(&format!("{section}.stabiliser"), *stabiliser)
            }
            Self::Importance(Importance { states }) => {
                check::in_range(&format!("{section}.states"), *states, 2, 1 << 24)
            }
        }
    }
}

impl ProcessConfig {
    fn validate(&self, energy: &EnergyConfig, batch: i64) -> Result<()> {
        if let Some(warm_up) = &self.warm_up {
            warm_up.method.validate("method.warm_up.method")?;
        }
        self.net.validate()?;
        self.loss.validate(batch)?;
        if matches!(self.loss, ResidualLoss::Pinn { .. }) {
            return Err(bad_input!("'method.loss' must be of type kolmogorov or variance"));
        }
        self.rollout.validate("method.rollout")?;
        self.sampler.validate("method.sampler")?;
        self.buffer.validate()?;
        if self.rollout.grid().is_none_or(|(_, grid)| grid.weights == Weights::Midpoint) {
            return Err(bad_input!(
                "'method.rollout' must have a time grid and look at its times (type euler or tau_leap, weights other than \
                 midpoint)"
            ));
        }
        check::at_least("method.energy_every", self.energy_every, 1)?;
        check::positive("method.energy_learning_rate", self.energy_learning_rate)?;
        check::non_negative("method.l1", self.l1)?;
        if self.l1 > 0.0 && *energy != (EnergyConfig::Quadratic {}) {
            return Err(bad_input!("'method.l1' is about the couplings of energy.type quadratic; leave it away"));
        }
        Ok(())
    }
}
