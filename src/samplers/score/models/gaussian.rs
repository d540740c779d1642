//! Gaussian data with independent coordinates.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Linearization, ScoreModel};
use crate::config::check;
use crate::targets::Options;
use crate::targets::support::{Broadcast, LN_2PI, constant};

/// Mean and variance, each one number or one a coordinate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianConfig {
    /// Number of coordinates; that of the lists where left out, or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dim: Option<i64>,
    #[serde(default = "zero")]
    pub mean: Broadcast,
    #[serde(default = "one")]
    pub variance: Broadcast,
}

fn zero() -> Broadcast {
    Broadcast::Scalar(0.0)
}

fn one() -> Broadcast {
    Broadcast::Scalar(1.0)
}

/// `N(mean, diag(variance))`, whose noised law has mean `e^{-t/2} m` and variances `e^{-t} s² + 1 - e^{-t}`.
#[derive(Debug)]
pub struct GaussianScore {
    /// `[D]`.
    pub mean: Tensor,
    /// `[D]`.
    pub variance: Tensor,
}

impl GaussianScore {
    pub fn new(config: &GaussianConfig, options: Options) -> Result<Self> {
        let length = |values: &Broadcast| match values {
            Broadcast::Vector(values) => Some(values.len() as i64),
            Broadcast::Scalar(_) => None,
        };
        let dim = config.dim.or(length(&config.mean)).or(length(&config.variance)).unwrap_or(1);
        check::in_range("target.dim", dim, 1, 100_000)?;
        let mean = config.mean.resolve("target.mean", dim)?;
        let variance = config.variance.resolve("target.variance", dim)?;
        variance.iter().try_for_each(|value| check::positive("target.variance", *value))?;
        Ok(Self { mean: constant(&mean, &[dim], options), variance: constant(&variance, &[dim], options) })
    }

    /// Mean and variances at time `t` `[N, 1]`: `[N, D]` each.
    pub fn noised(&self, t: &Tensor) -> (Tensor, Tensor) {
        let kept = (-t).exp();
        (kept.sqrt() * &self.mean, &kept * &self.variance - (-t).expm1())
    }
}

impl ScoreModel for GaussianScore {
    fn dim(&self) -> i64 {
        self.mean.size()[0]
    }

    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let (mean, variance) = self.noised(t);
        (mean - x) / variance
    }

    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        let variance = self.noised(t).1;
        Linearization { score: self.score(t, x), product: Box::new(move |v| -v / &variance) }
    }

    fn hessian(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let diagonal = -self.noised(t).1.reciprocal();
        diagonal.expand_as(x).diag_embed(0, -2, -1) // [N, D, D]
    }

    fn log_prob(&self, t: &Tensor, x: &Tensor) -> Option<Tensor> {
        let (mean, variance) = self.noised(t);
        let terms = (x - mean).square() / &variance + variance.log() + LN_2PI;
        Some(terms.sum_dim_intlist(-1, false, None) * -0.5)
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let normal = Tensor::randn([n, self.dim()], (self.mean.kind(), self.mean.device()));
        Some(normal * self.variance.sqrt() + &self.mean)
    }
}
