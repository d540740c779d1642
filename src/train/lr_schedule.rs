//! Learning-rate schedules as a factor on every group's rate.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::check;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LrSchedule {
    Constant {},
    /// Cosine from 1 to `final_fraction` over all updates, no warm-up.
    Cosine {
        #[serde(default = "tenth")]
        final_fraction: f64,
    },
}

fn tenth() -> f64 {
    0.1
}

impl Default for LrSchedule {
    /// "Rethinking Losses": cosine to a tenth.
    fn default() -> Self {
        LrSchedule::Cosine { final_fraction: tenth() }
    }
}

impl LrSchedule {
    pub fn validate(&self) -> Result<()> {
        match self {
            LrSchedule::Constant {} => Ok(()),
            LrSchedule::Cosine { final_fraction } => {
                check::in_range("train.schedule.final_fraction", *final_fraction, 0.0, 1.0)
            }
        }
    }

    /// Factor for update number `step` (from 0) of `steps`.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        match self {
            LrSchedule::Constant {} => 1.0,
            LrSchedule::Cosine { final_fraction } => {
                let place = (step as f64 / steps.max(1) as f64).min(1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * place).cos());
                final_fraction + (1.0 - final_fraction) * cosine
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_runs_from_one_to_its_final_fraction() {
        let schedule = LrSchedule::default();
        assert_eq!(schedule.factor(0, 100), 1.0);
        assert!((schedule.factor(50, 100) - 0.55).abs() < 1e-12);
        assert!((schedule.factor(100, 100) - 0.1).abs() < 1e-12);
    }
}
