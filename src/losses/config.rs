//! The `loss:` section.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::check;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossConfig {
    /// Reverse KL, reparametrised: differentiates through the path and the target's score.
    Rkl {
        /// Steps that are held in memory at once; the gradient does not depend on it.
        #[serde(default = "default_segment")]
        segment: i64,
    },
    /// Reverse KL by the log-derivative trick with the batch mean as baseline.
    RklLd {},
    /// Log variance.
    Lv {},
    /// Trajectory balance with a learned log Z.
    Tb {
        #[serde(default = "default_log_z_rate")]
        log_z_learning_rate: f64,
        #[serde(default)]
        log_z_init: f64,
    },
    /// Trajectory balance with log Z replaced by the batch mean: half the log variance.
    Vargrad {},
    /// Sub-trajectory balance with a learned log-flow.
    Subtb {
        #[serde(default = "default_lambda")]
        lambda: f64,
        /// Adds the annealed log density to the learned flow, at the price of one density call a state.
        #[serde(default)]
        partial_energy: bool,
    },
}

fn default_segment() -> i64 {
    8
}

fn default_log_z_rate() -> f64 {
    1e-2
}

fn default_lambda() -> f64 {
    2.0
}

impl LossConfig {
    /// The loss's name as written in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            LossConfig::Rkl { .. } => "rkl",
            LossConfig::RklLd {} => "rkl_ld",
            LossConfig::Lv {} => "lv",
            LossConfig::Tb { .. } => "tb",
            LossConfig::Vargrad {} => "vargrad",
            LossConfig::Subtb { .. } => "subtb",
        }
    }

    pub fn validate(&self) -> Result<()> {
        match self {
            LossConfig::Rkl { segment } => check::in_range("loss.segment", *segment, 1, 1_000_000),
            LossConfig::Tb { log_z_learning_rate, log_z_init } => {
                check::positive("loss.log_z_learning_rate", *log_z_learning_rate)?;
                check::finite("loss.log_z_init", *log_z_init)
            }
            LossConfig::Subtb { lambda, .. } => check::positive("loss.lambda", *lambda),
            _ => Ok(()),
        }
    }

    /// Whether the loss differentiates the log-variance of learned kernels, which the paper finds unstable when the
    /// noise scale is learned too.
    pub fn is_variance_type(&self) -> bool {
        !matches!(self, LossConfig::Rkl { .. } | LossConfig::RklLd {})
    }
}
