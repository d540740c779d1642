//! What knows the score of the noised data: formulas and Monte Carlo here, networks in their own files.

pub mod gaussian;
pub mod learned;
pub mod logistic;
pub mod mixture;
pub mod points;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use gaussian::{GaussianConfig, GaussianScore};
pub use learned::LearnedScore;
pub use logistic::LogisticConfig;
pub use mixture::{MixtureConfig, MixtureScore};
pub use points::PointsScore;

use super::time_grid::{alpha, sigma};
use crate::targets::Options;
use crate::torch::autograd;

/// The score `grad log p_t` of data noised up to forward time `t` (see [the process](super)).
///
/// Times are `[N, 1]`, or `[1, 1]` for one time for all, in the kind of `x`. Exact models work in f64.
pub trait ScoreModel: Send {
    /// Number of coordinates, `D`.
    fn dim(&self) -> i64;

    /// `grad log p_t(x)`: `[N, D]` -> `[N, D]`. Differentiable in `x`.
    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor;

    /// The score together with products of its Jacobian, whose cost they share.
    ///
    /// The default runs the graph of [`score`](ScoreModel::score) backwards, which for a network multiplies by the
    /// transposed Jacobian: the Hessian is symmetric, what was learned only nearly so.
    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        let x = x.detach().set_requires_grad(true);
        let score = tch::with_grad(|| self.score(t, &x));
        let detached = score.detach();
        let product = move |v: &Tensor| tch::with_grad(|| autograd::vjp_again(&score, &x, v)).detach();
        Linearization { score: detached, product: Box::new(product) }
    }

    /// Hessian of `log p_t` times vectors `[N, D]`, row by row: `[N, D]`.
    fn hvp(&self, t: &Tensor, x: &Tensor, v: &Tensor) -> Tensor {
        (self.linearize(t, x).product)(v)
    }

    /// Hessians of `log p_t`: `[N, D, D]`. The default multiplies every unit vector.
    fn hessian(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let linear = self.linearize(t, x);
        let column = |i: i64| {
            let unit = x.zeros_like();
            let _ = unit.select(1, i).fill_(1.0);
            (linear.product)(&unit)
        };
        Tensor::stack(&(0..self.dim()).map(column).collect::<Vec<_>>(), -1)
    }

    /// `log p_t(x)`, normalised, `[N]`, where there is a formula.
    fn log_prob(&self, _t: &Tensor, _x: &Tensor) -> Option<Tensor> {
        None
    }

    /// `n` exact samples of the data `[n, D]`, from libtorch's generator, where there is a way.
    fn sample(&self, _n: i64) -> Option<Tensor> {
        None
    }
}

/// A score at fixed points and the linear map `v -> H v` there.
pub struct Linearization<'a> {
    /// `[N, D]`.
    pub score: Tensor,
    /// `[N, D]` -> `[N, D]`.
    pub product: Box<dyn Fn(&Tensor) -> Tensor + 'a>,
}

/// One time for all rows of `x`, `[1, 1]`.
pub fn at(t: f64, x: &Tensor) -> Tensor {
    Tensor::full([1, 1], t, (x.kind(), x.device()))
}

/// `E[X_0 | X_t = x] = (x + σ² s) / α` (Tweedie's formula), `[N, D]`.
pub fn denoise(t: f64, x: &Tensor, score: &Tensor) -> Tensor {
    (x + score * sigma(t).powi(2)) / alpha(t)
}

/// Every model that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    Gaussian(GaussianConfig),
    Mixture(MixtureConfig),
    Logistic(LogisticConfig),
}

impl ModelConfig {
    /// Checks the parameters and puts the constants in `options`. A model by Monte Carlo draws its points from
    /// libtorch's generator under a seed of its own.
    pub fn build(&self, options: Options) -> Result<Box<dyn ScoreModel>> {
        Ok(match self {
            Self::Gaussian(config) => Box::new(GaussianScore::new(config, options)?),
            Self::Mixture(config) => Box::new(MixtureScore::new(config, options)?),
            Self::Logistic(config) => Box::new(config.build(options)?),
        })
    }
}
