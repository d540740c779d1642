//! The `loss:` section.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;

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
            LossConfig::Rkl { segment } if !(1..=1_000_000).contains(segment) => {
                Err(bad_input!("loss.segment: found {segment}, expected a whole number from 1"))
            }
            LossConfig::Tb { log_z_learning_rate: rate, log_z_init: init } => {
                if !(rate.is_finite() && *rate > 0.0) {
                    return Err(bad_input!("loss.log_z_learning_rate: found {rate}, expected a positive number"));
                }
                if !init.is_finite() {
                    return Err(bad_input!("loss.log_z_init: found {init}, expected a finite number"));
                }
                Ok(())
            }
            LossConfig::Subtb { lambda, .. } if !(lambda.is_finite() && *lambda > 0.0) => {
                Err(bad_input!("loss.lambda: found {lambda}, expected a positive number"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the loss differentiates the log-variance of learned kernels, which the paper finds unstable when the
    /// noise scale is learned too.
    pub fn is_variance_type(&self) -> bool {
        !matches!(self, LossConfig::Rkl { .. } | LossConfig::RklLd {})
    }
}
