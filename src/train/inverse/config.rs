//! The config of the `inverse` task.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::check;
use crate::samplers::inverse::learned::NetConfig;
use crate::samplers::inverse::{PreconditionerConfig, SamplerConfig, ScoreConfig};
use crate::targets::inverse::ProblemConfig;

/// Everything a YAML of this task may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseConfig {
    pub problem: ProblemConfig,
    #[serde(default)]
    pub score: ScoreConfig,
    pub sampler: SamplerConfig,
    #[serde(default)]
    pub record: RecordConfig,
    /// A learned score in place of the exact one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<LearnedConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyConfig>,
    #[serde(default)]
    pub seed: u64,
}

/// The `record:` section: what is kept of chains for figures and pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// Modes whose autocorrelation is taken, those of largest prior variance first; spread over so many.
    pub traced_modes: usize,
    pub among: i64,
    pub traced_chains: i64,
    /// Largest lag.
    pub lags: i64,
    /// Points an axis of the images.
    pub image: i64,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self { traced_modes: 6, among: 100, traced_chains: 16, lags: 100, image: 116 }
    }
}

/// The `learned:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnedConfig {
    /// Weights of an earlier training; `train` begins from them, `sample` needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    pub net: NetConfig,
    pub steps: u64,
    pub batch: i64,
    pub learning_rate: f64,
    pub ema_decay: f64,
    /// Draws on which the error of the score is measured.
    pub draws: i64,
}

impl Default for LearnedConfig {
    fn default() -> Self {
        Self {
            weights: None,
            net: NetConfig::default(),
            steps: 3000,
            batch: 512,
            learning_rate: 1e-3,
            ema_decay: 0.995,
            draws: 20_000,
        }
    }
}

/// The `study:` section: iterations to a tolerance against resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    /// Modes an axis.
    pub modes: Vec<i64>,
    pub preconditioners: Vec<PreconditionerConfig>,
    /// Relative L2 error of the chains' mean.
    #[serde(default = "tenth")]
    pub tolerance: f64,
    /// Step as a share of the stability limit of each preconditioner at each resolution.
    #[serde(default = "quarter")]
    pub step_fraction: f64,
    /// Longer runs are not made, only computed.
    #[serde(default = "many")]
    pub most_iterations: u64,
}

fn tenth() -> f64 {
    0.1
}

fn quarter() -> f64 {
    0.25
}

fn many() -> u64 {
    20_000
}

impl InverseConfig {
    /// Checks everything that can be checked without building.
    pub fn validate(&self) -> Result<()> {
        self.score.validate()?;
        self.sampler.validate()?;
        check::in_range("record.traced_modes", self.record.traced_modes, 0, 1000)?;
        check::in_range("record.among", self.record.among, 1, 10_000_000)?;
        check::in_range("record.traced_chains", self.record.traced_chains, 1, 1000)?;
        check::in_range("record.lags", self.record.lags, 1, 100_000)?;
        check::in_range("record.image", self.record.image, 2, 1000)?;
        self.learned.as_ref().map_or(Ok(()), LearnedConfig::validate)?;
        self.study.as_ref().map_or(Ok(()), StudyConfig::validate)
    }
}

impl LearnedConfig {
    fn validate(&self) -> Result<()> {
        self.net.validate()?;
        check::in_range("learned.steps", self.steps, 0, 100_000_000)?;
        check::in_range("learned.batch", self.batch, 1, 1_000_000)?;
        check::positive("learned.learning_rate", self.learning_rate)?;
        check::probability("learned.ema_decay", self.ema_decay)?;
        check::in_range("learned.draws", self.draws, 10, 10_000_000)
    }
}

impl StudyConfig {
    fn validate(&self) -> Result<()> {
        check::not_empty("study.modes", &self.modes)?;
        for (i, modes) in self.modes.iter().enumerate() {
            check::in_range(&format!("study.modes.{i}"), *modes, 1, 2000)?;
        }
        check::not_empty("study.preconditioners", &self.preconditioners)?;
        check::in_range("study.tolerance", self.tolerance, 1e-6, 1.0)?;
        check::in_range("study.step_fraction", self.step_fraction, 1e-6, 0.999)
    }
}
