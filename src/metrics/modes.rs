//! Which modes samples fall into, and how evenly.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

/// How samples spread over K modes. A sample belongs to the mode whose component density is largest there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Modes {
    /// Share of the samples in each mode, `[K]`; sums to 1.
    pub weights: Vec<f64>,
    /// Entropic mode coverage: entropy of `weights` over log K. 1 where all modes are equally visited, 0 where only one
    /// is (Blessing et al. 2024). 1 for a target of one mode.
    pub emc: f64,
    /// Samples with a NaN component density, in no mode.
    pub undefined: usize,
}

impl Modes {
    /// From the component log-densities `[N, K]` that `Target::mode_log_probs` gives.
    pub fn new(mode_log_probs: &Tensor) -> anyhow::Result<Self> {
        let (samples, modes) = mode_log_probs.size2()?;
        let log_probs = mode_log_probs.detach().to_device(Device::Cpu).to_kind(Kind::Double);

        // Left to itself, argmax takes NaN for the largest.
        let defined = log_probs.isnan().any_dim(1, false).logical_not(); // [N]
        let nearest = log_probs.argmax(1, false).masked_select(&defined);
        let counts: Vec<i64> = Vec::try_from(nearest.bincount::<Tensor>(None, modes))?;
        let total: i64 = counts.iter().sum();
        let weights: Vec<f64> = counts.iter().map(|c| *c as f64 / total as f64).collect();
        Ok(Self { emc: entropy_over_log_k(&weights), weights, undefined: (samples - total) as usize })
    }

    /// Half the L1 distance to the target's own mode weights `[K]`, between 0 and 1.
    pub fn total_variation(&self, expected: &[f64]) -> f64 {
        assert_eq!(self.weights.len(), expected.len(), "one expected weight per mode");
        0.5 * self.weights.iter().zip(expected).map(|(w, e)| (w - e).abs()).sum::<f64>()
    }

    /// Modes with at least one sample.
    pub fn visited(&self) -> usize {
        self.weights.iter().filter(|w| **w > 0.0).count()
    }
}

fn entropy_over_log_k(weights: &[f64]) -> f64 {
    if weights.len() == 1 {
        return 1.0;
    }
    let entropy: f64 = weights.iter().filter(|w| **w != 0.0).map(|w| -w * w.ln()).sum();
    entropy / (weights.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per sample that is surest of the given mode of `k`.
    fn samples_in(modes: &[i64], k: i64) -> Tensor {
        Tensor::from_slice(modes).one_hot(k).to_kind(Kind::Float) * 5.0
    }

    #[test]
    fn one_when_even_and_zero_when_collapsed() -> anyhow::Result<()> {
        let even = Modes::new(&samples_in(&[0, 1, 2, 3], 4))?;
        assert!((even.emc - 1.0).abs() < 1e-12);
        assert_eq!((even.weights.clone(), even.visited()), (vec![0.25; 4], 4));
        let collapsed = Modes::new(&samples_in(&[2, 2, 2], 4))?;
        assert_eq!((collapsed.emc, collapsed.visited()), (0.0, 1));
        assert!((collapsed.total_variation(&[0.25; 4]) - 0.75).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn half_the_modes_of_four_cover_half() -> anyhow::Result<()> {
        let modes = Modes::new(&samples_in(&[0, 3, 0, 3], 4))?;
        assert!((modes.emc - 0.5).abs() < 1e-12); // log 2 / log 4
        Ok(())
    }

    #[test]
    fn nan_rows_are_counted_apart() -> anyhow::Result<()> {
        let rows = samples_in(&[0, 1, 1], 2);
        let _ = rows.get(2).fill_(f64::NAN);
        let modes = Modes::new(&rows)?;
        assert_eq!((modes.undefined, modes.weights.clone(), modes.emc), (1, vec![0.5, 0.5], 1.0));
        let single = Modes::new(&samples_in(&[0, 0], 1))?;
        assert_eq!(single.emc, 1.0);
        Ok(())
    }
}
