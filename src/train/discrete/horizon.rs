//! How far rollouts for training go: LEAPS learns the rates from the uniform law outwards.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::config::check;
use crate::samplers::discrete::rollout::Times;

/// The `horizon:` section: a rollout has k steps and ends at `k / K`, `K` the steps of `rollout:`, and k grows from 1 to
/// `K`, each value for a time in proportion to itself (Holderrieth, Albergo and Jaakkola, "LEAPS", 2025, and its code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HorizonConfig {
    /// Updates until rollouts go all the way; 0 for at once.
    pub updates: u64,
    /// Updates with one step before that.
    pub hold: u64,
    /// Whether the times of a rollout are sorted uniform numbers, anew each time, instead of even ones.
    pub random_times: bool,
}

impl Default for HorizonConfig {
    /// The authors' Ising run.
    fn default() -> Self {
        Self { updates: 20_000, hold: 0, random_times: true }
    }
}

impl HorizonConfig {
    pub fn validate(&self) -> Result<()> {
        check::at_most("horizon.updates", self.updates, 1_000_000_000)?;
        check::at_most("horizon.hold", self.hold, 1_000_000_000)
    }

    /// Steps of a rollout made at update `step`, 1 to `most`.
    pub fn steps(&self, step: u64, most: i64) -> i64 {
        // Value k begins after the share k (k - 1) / (K (K + 1)) of all updates; solved for k.
        let whole = (most * (most + 1)) as f64;
        let share = step.saturating_sub(self.hold) as f64 / self.updates.max(1) as f64;
        let reached = (0.5 + (0.25 + share * whole).sqrt()).floor() as i64;
        if step >= self.hold + self.updates { most } else { reached.clamp(1, most) }
    }

    /// Times of a rollout made at update `step`. Draws from libtorch's generator.
    pub fn times(&self, step: u64, most: i64) -> Times {
        let (steps, h) = (self.steps(step, most), 1.0 / most as f64);
        if !self.random_times {
            return Times::new((0..=steps).map(|k| k as f64 * h).collect());
        }
        let uniform = Tensor::rand([steps], (Kind::Double, Device::Cpu)) * (steps as f64 * h);
        let mut times: Vec<f64> = uniform.iter::<f64>().map_or(Vec::new(), |values| values.collect());
        times.push(0.0);
        times.sort_by(f64::total_cmp);
        Times::new(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_grows_from_one_step_to_all_and_dwells_in_proportion() {
        let horizon = HorizonConfig { updates: 1000, hold: 50, random_times: false };
        let steps: Vec<i64> = (0..1200).map(|step| horizon.steps(step, 4)).collect();
        assert_eq!((steps[0], steps[50], steps[1050], steps[1199]), (1, 1, 4, 4));
        // A tenth of the updates belongs to each unit: 1 + 2 + 3 + 4.
        let dwell = |k: i64| steps[50..1050].iter().filter(|found| **found == k).count();
        assert_eq!([1, 2, 3, 4].map(dwell), [100, 200, 300, 400]);
        assert_eq!(HorizonConfig { updates: 0, hold: 0, ..horizon }.steps(0, 9), 9);
    }

    #[test]
    fn random_times_are_sorted_and_end_before_the_horizon() {
        crate::torch::seed::reseed(5, crate::torch::seed::Stream::Train, 0);
        let horizon = HorizonConfig { updates: 100, hold: 0, random_times: true };
        let (half, all) = (horizon.times(30, 20), horizon.times(100, 20));
        assert_eq!((half.steps(), all.steps()), (horizon.steps(30, 20), 20));
        for (times, end) in [(&half, half.steps() as f64 / 20.0), (&all, 1.0)] {
            assert!(times.at(0) == 0.0 && times.at(times.steps()) < end);
            assert!((0..times.steps()).all(|k| times.at(k + 1) >= times.at(k) && times.step(k) >= 0.0));
        }
        assert_ne!(horizon.times(100, 20).at(3), all.at(3));
    }
}
