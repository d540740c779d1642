//! Uniform numbers from a generator of one's own: threads never share libtorch's.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::Tensor;

/// Where a group of rows gets its random numbers.
pub struct Noise(ChaCha8Rng);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn one(&mut self) -> f64 {
        self.0.random()
    }

    /// Independent uniform numbers in [0, 1), f64.
    pub fn uniform(&mut self, size: &[i64]) -> Tensor {
        let count = size.iter().product::<i64>() as usize;
        let values: Vec<f64> = (0..count).map(|_| self.0.random()).collect();
        Tensor::from_slice(&values).view(size)
    }

    /// Uniform states, `[rows, sites]` i64.
    pub fn states(&mut self, rows: i64, sites: i64, states: i64) -> Tensor {
        let values: Vec<i64> = (0..rows * sites).map(|_| self.0.random_range(0..states)).collect();
        Tensor::from_slice(&values).view([rows, sites])
    }

    /// A Poisson number by counting unit-rate arrivals before `mean`.
    pub fn poisson(&mut self, mean: f64) -> i64 {
        let mut wait = || -(1.0 - self.one()).ln();
        let (mut time, mut count) = (wait(), 0);
        while time < mean {
            time += wait();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_numbers_have_mean_and_variance() {
        let mut noise = Noise::new(3);
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|_| noise.poisson(7.5) as f64).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n as f64;
        // Standard errors: sqrt(7.5 / n) = 0.019, and about 0.08 of the variance.
        assert!((mean - 7.5).abs() < 0.08 && (variance - 7.5).abs() < 0.35, "{mean} {variance}");
        assert_eq!(Noise::new(3).poisson(0.0), 0);
    }
}
