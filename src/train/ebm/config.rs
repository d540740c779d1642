//! The config of data, an energy model and how it learns.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
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
    /// Energy discrepancy: data against the same data with bits flipped and flipped back, no sampler (Schröder et al.,
    /// "Energy discrepancies: a score-independent loss for energy-based models", 2023; Bernoulli perturbation).
    EnergyDiscrepancy {
        /// Probability that a bit flips.
        #[serde(default = "tenth")]
        flip: f64,
        /// Contrasting states a datum.
        #[serde(default = "thirty_two")]
        contrasts: i64,
        /// Weight of the stabilising term.
        #[serde(default = "one")]
        stabiliser: f64,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    #[serde(default)]
    pub net: RateNetConfig,
    /// How states to train on are simulated; the model's expectation is over the ends of the newest ones.
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
    /// Weight of the sum of moduli of a quadratic form's couplings.
    #[serde(default)]
    pub l1: f64,
}

/// The `eval:` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Data (and samples) of a measure.
    pub samples: i64,
    /// Uniform states whose mean weight is the estimate of Z.
    pub partition_samples: i64,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { samples: 4000, partition_samples: 1_000_000 }
    }
}

fn tenth() -> f64 {
    0.1
}

fn thirty_two() -> i64 {
    32
}

fn one() -> f64 {
    1.0
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
        self.method.validate(&self.energy)?;
        check::in_range("eval.samples", self.eval.samples, 2, 1 << 20)?;
        check::in_range("eval.partition_samples", self.eval.partition_samples, 2, 1 << 30)?;
        self.train.validate()
    }
}

impl Data {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Toy { .. } => Ok(()),
            Self::File { threshold, shape, .. } => {
                check::finite("data.threshold", *threshold)?;
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
    fn validate(&self, energy: &EnergyConfig) -> Result<()> {
        match self {
            Self::Process(process) => process.validate(energy),
            Self::EnergyDiscrepancy { flip, contrasts, stabiliser } => {
                check::positive("method.flip", *flip)?;
                check::in_range("method.flip", *flip, 0.0, 0.5)?;
                check::in_range("method.contrasts", *contrasts, 1, 1 << 16)?;
                check::non_negative("method.stabiliser", *stabiliser)
            }
        }
    }
}

impl ProcessConfig {
    fn validate(&self, energy: &EnergyConfig) -> Result<()> {
        self.net.validate()?;
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
