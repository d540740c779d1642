//! Neal's funnel: a coordinate that sets the scale of all others.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::support::{LN_2PI, exponent_bound};
use super::{Options, Target};
use crate::config::check;

/// Dimension and the spread of the coordinate that sets the scale.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunnelConfig {
    pub dim: i64,
    /// Standard deviation of `x_0`.
    #[serde(default = "three")]
    pub std: f64,
}

fn three() -> f64 {
    3.0
}

/// `x_0 ~ N(0, std^2)`, `x_i | x_0 ~ N(0, exp(x_0))` (Neal, "Slice sampling", Ann. Statist. 31, 2003, sec. 8).
///
/// Normalised: log Z = 0. The samplers literature uses `dim` 10 and `std` 3 and clips its reference samples to
/// [-30, 30]; the samples here are not clipped. In f32 the variance of the neck is held from `x_0 < -75` on (25
/// standard deviations out), so that log-density and score stay finite.
pub struct Funnel {
    dim: i64,
    std: f64,
    bound: f64,
    options: Options,
}

impl Funnel {
    pub fn new(config: &FunnelConfig, options: Options) -> Result<Self> {
        check::at_least("target.dim", config.dim, 2)?;
        check::positive("target.std", config.std)?;
        Ok(Self { dim: config.dim, std: config.std, bound: exponent_bound(options.0), options })
    }

    /// `x_0` `[N, 1]`, the others `[N, D-1]`, and `exp(-x_0)` `[N, 1]`.
    fn split(&self, x: &Tensor) -> (Tensor, Tensor, Tensor) {
        let scale = x.narrow(-1, 0, 1);
        let precision = scale.clamp_min(-self.bound).neg().exp();
        (scale, x.narrow(-1, 1, self.dim - 1), precision)
    }
}

impl Target for Funnel {
    fn dim(&self) -> i64 {
        self.dim
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let others = (self.dim - 1) as f64;
        let (scale, rest, precision) = self.split(x);
        let square = rest.square().sum_dim_intlist(-1, true, None) * precision; // [N, 1]

        let log_norm = -0.5 * LN_2PI * self.dim as f64 - self.std.ln();
        let prior = scale.square() * (-0.5 / (self.std * self.std));
        (prior - scale * (0.5 * others) - square * 0.5 + log_norm).squeeze_dim(-1)
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let others = (self.dim - 1) as f64;
        let (scale, rest, precision) = self.split(x);
        let pull = &rest * precision; // [N, D-1]
        let square = (rest * &pull).sum_dim_intlist(-1, true, None); // [N, 1]

        let along = square * 0.5 - scale * (1.0 / (self.std * self.std)) - 0.5 * others;
        Tensor::cat(&[along, pull.neg()], -1)
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let scale = Tensor::randn([n, 1], self.options) * self.std;
        let rest = Tensor::randn([n, self.dim - 1], self.options) * (&scale * 0.5).exp();
        Some(Tensor::cat(&[scale, rest], -1))
    }
}
