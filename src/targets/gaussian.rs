//! A Gaussian with independent coordinates: the density on which every sampler can be checked exactly.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::support::{Broadcast, LN_2PI, constant};
use super::{Options, Target};
use crate::config::check;

/// Mean and standard deviation, each one number or one a coordinate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianConfig {
    pub dim: i64,
    #[serde(default = "zero")]
    pub mean: Broadcast,
    #[serde(default = "one")]
    pub std: Broadcast,
}

fn zero() -> Broadcast {
    Broadcast::Scalar(0.0)
}

fn one() -> Broadcast {
    Broadcast::Scalar(1.0)
}

/// `N(mean, diag(std^2))`, normalised: log Z = 0.
pub struct Gaussian {
    dim: i64,
    mean: Tensor,          // [D]
    std: Tensor,           // [D]
    neg_precision: Tensor, // [D]
    log_norm: f64,
}

impl Gaussian {
    pub fn new(config: &GaussianConfig, options: Options) -> Result<Self> {
        let dim = config.dim;
        check::at_least("target.dim", dim, 1)?;
        let mean = config.mean.resolve("target.mean", dim)?;
        let std = config.std.resolve("target.std", dim)?;
        std.iter().try_for_each(|s| check::positive("target.std", *s))?;

        let neg_precision: Vec<f64> = std.iter().map(|s| -1.0 / (s * s)).collect();
        let log_norm = -0.5 * LN_2PI * dim as f64 - std.iter().map(|s| s.ln()).sum::<f64>();
        Ok(Self {
            dim,
            mean: constant(&mean, &[dim], options),
            std: constant(&std, &[dim], options),
            neg_precision: constant(&neg_precision, &[dim], options),
            log_norm,
        })
    }
}

impl Target for Gaussian {
    fn dim(&self) -> i64 {
        self.dim
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let scaled = (x - &self.mean) / &self.std;
        scaled.square().sum_dim_intlist(-1, false, None) * -0.5 + self.log_norm
    }

    fn score(&self, x: &Tensor) -> Tensor {
        (x - &self.mean) * &self.neg_precision
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let noise = Tensor::randn([n, self.dim], (self.mean.kind(), self.mean.device()));
        Some(noise * &self.std + &self.mean)
    }
}
