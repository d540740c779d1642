//! Laws of the unknown with exact scores, noised or not.
//!
//! Noise of forward time τ: `X_τ = e^{-τ/2} X_0 + sqrt(1 - e^{-τ}) C^{1/2} Z` with C = diag(λ). A *score* here contains
//! λ, as in Baldassari et al. (arXiv 2505.18276): `λ ∇log p_τ`.

pub mod gaussian;
pub mod mixture;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use gaussian::GaussianPrior;
pub use mixture::{MixtureConfig, MixturePrior};

use super::covariance::Empty;

/// A law with a density with respect to its coordinates, which are rows `[N, D]`, f64.
pub trait Prior: Send {
    /// `λ ∇log p_τ(x)`: `[N, D]` -> `[N, D]`.
    fn score(&self, x: &Tensor, tau: f64, lambda: &Tensor) -> Tensor;

    /// `log p_0(x)`, normalised, `[N]`.
    fn log_prob(&self, x: &Tensor) -> Tensor;

    /// `n` exact draws `[n, D]` from libtorch's generator.
    fn sample(&self, n: i64) -> Tensor;

    /// An upper bound of `-λ ∂² log p_τ` at every coordinate, `[D]`, from which the largest stable step follows.
    fn curvature(&self, tau: f64, lambda: &Tensor) -> Tensor;

    /// Variances `[D]`.
    fn variance(&self) -> Tensor;

    /// The mixture, if it is one and not a Gaussian.
    fn mixture(&self) -> Option<&MixturePrior> {
        None
    }
}

/// Every prior that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PriorConfig {
    /// `N(0, diag(μ))`, the reference itself.
    Gaussian(Empty),
    Mixture(MixtureConfig),
}

impl Default for PriorConfig {
    fn default() -> Self {
        Self::Gaussian(Empty {})
    }
}

impl PriorConfig {
    /// The law whose reference has variances `mu` `[D]`.
    pub fn build(&self, mu: &Tensor) -> Result<Box<dyn Prior>> {
        Ok(match self {
            Self::Gaussian(_) => Box::new(GaussianPrior::new(mu)),
            Self::Mixture(config) => Box::new(MixturePrior::new(config, mu)?),
        })
    }
}
