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
    /// One cycle (Smith and Topin, 2019; PyTorch's `OneCycleLR` with cosine annealing): up from `1 / divisor` within the
    /// first `warmup` of all updates, then down to `1 / (divisor * final_divisor)`.
    OneCycle {
        #[serde(default = "twentieth")]
        warmup: f64,
        #[serde(default = "five_hundred")]
        divisor: f64,
        #[serde(default = "one")]
        final_divisor: f64,
    },
    /// Straight up from 0 over `steps` updates, then half a cosine wave to `final_fraction` at the end (1: constant).
    Warmup {
        steps: u64,
        #[serde(default = "one")]
        final_fraction: f64,
    },
    /// `factor` once more after every so many updates (PyTorch's `StepLR`).
    Steps {
        every: u64,
        factor: f64,
    },
    /// A factor from each update on, after a straight rise from 0 over `warmup` updates.
    Pieces {
        warmup: u64,
        factors: Vec<(u64, f64)>,
    },
}

fn twentieth() -> f64 {
    0.05
}

fn five_hundred() -> f64 {
    500.0
}

fn one() -> f64 {
    1.0
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
            LrSchedule::OneCycle { warmup, divisor, final_divisor } => {
                check::in_range("train.schedule.warmup", *warmup, 0.0, 1.0)?;
                check::at_least("train.schedule.divisor", *divisor, 1.0)?;
                check::at_least("train.schedule.final_divisor", *final_divisor, 1.0)
            }
            LrSchedule::Warmup { final_fraction, .. } => {
                check::in_range("train.schedule.final_fraction", *final_fraction, 0.0, 1.0)
            }
            LrSchedule::Steps { every, factor } => {
                check::at_least("train.schedule.every", *every, 1)?;
                check::in_range("train.schedule.factor", *factor, 0.0, 1.0)
            }
            LrSchedule::Pieces { factors, .. } => {
                let positive = |(_, factor): &(u64, f64)| check::positive("train.schedule.factors", *factor);
                factors.iter().try_for_each(positive)
            }
        }
    }

    /// Factor for update number `step` (from 0) of `steps`.
    pub fn factor(&self, step: u64, steps: u64) -> f64 {
        match self {
            LrSchedule::Constant {} => 1.0,
            LrSchedule::Cosine { final_fraction } => {
                let place = (step as f64 / steps.max(1) as f64).min(1.0);
                fall(1.0, *final_fraction, place)
            }
            LrSchedule::OneCycle { warmup, divisor, final_divisor } => {
                let (last, top) = (steps.saturating_sub(1) as f64, warmup * steps as f64 - 1.0);
                let step = (step as f64).min(last);
                if step < top {
                    return fall(1.0 / divisor, 1.0, step / top);
                }
                let top = top.max(0.0);
                fall(1.0, 1.0 / (divisor * final_divisor), ((step - top) / (last - top).max(1.0)).min(1.0))
            }
            LrSchedule::Warmup { steps: warmup, final_fraction } => {
                let left = steps.saturating_sub(*warmup).max(1) as f64;
                let place = (step.saturating_sub(*warmup) as f64 / left).min(1.0);
                rise(step, *warmup) * fall(1.0, *final_fraction, place)
            }
            LrSchedule::Steps { every, factor } => factor.powf((step / every) as f64),
            LrSchedule::Pieces { warmup, factors } => {
                let reached = factors.iter().rev().find(|(from, _)| *from <= step);
                rise(step, *warmup) * reached.map_or(1.0, |(_, factor)| *factor)
            }
        }
    }
}

/// Straight from just above 0 at the first update to 1 after `warmup` of them.
fn rise(step: u64, warmup: u64) -> f64 {
    ((step + 1) as f64 / warmup.max(1) as f64).min(1.0)
}

/// Half a cosine wave from `from` to `to`, at `place` in [0, 1].
fn fall(from: f64, to: f64, place: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * place).cos())
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

    #[test]
    fn warm_up_is_straight_and_pieces_follow_it() {
        let schedule = LrSchedule::Warmup { steps: 10, final_fraction: 0.2 };
        let found = [0, 4, 9, 10, 60, 110].map(|step| schedule.factor(step, 110));
        let expected = [0.1, 0.5, 1.0, 1.0, 0.6, 0.2];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?}");
        let schedule = LrSchedule::Pieces { warmup: 4, factors: vec![(0, 1.0), (2, 0.5), (8, 0.1)] };
        assert_eq!([0, 1, 2, 7, 8, 99].map(|step| schedule.factor(step, 100)), [0.25, 0.5, 0.375, 0.5, 0.1, 0.1]);
    }

    #[test]
    fn steps_fall_by_a_factor_every_so_many_updates() {
        let schedule = LrSchedule::Steps { every: 1000, factor: 0.995 };
        let found = [0, 999, 1000, 1999, 400_000].map(|step| schedule.factor(step, 400_000));
        let expected = [1.0, 1.0, 0.995, 0.995, (400.0 * 0.995f64.ln()).exp()];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?}");
        assert!(LrSchedule::Steps { every: 0, factor: 0.5 }.validate().is_err());
    }

    /// PyTorch 2.11: OneCycleLR(max_lr=1, total_steps=100, pct_start=0.05, div_factor=500, final_div_factor=1).
    #[test]
    fn one_cycle_is_pytorchs() {
        let schedule = LrSchedule::OneCycle { warmup: 0.05, divisor: 500.0, final_divisor: 1.0 };
        for (step, expected) in ONE_CYCLE {
            let found = schedule.factor(step, 100);
            assert!((found - expected).abs() < 1e-12, "step {step}: {found}, expected {expected}");
        }
    }

    const ONE_CYCLE: [(u64, f64); 8] = [
        (0, 0.0020000000000000018),
        (1, 0.14815371618791284),
        (2, 0.501),
        (4, 1.0),
        (5, 0.9997271754131221),
        (50, 0.5257422935819379),
        (98, 0.0022728245868779014),
        (99, 0.002),
    ];
}
