//! Linear inverse problems on a basis: `y = A X + n`, `n ~ N(0, σ²)`, with X a function whose coordinates have a Gaussian
//! reference `N(0, diag(μ))` (Baldassari et al., "Preconditioned Langevin dynamics with score-based generative models for
//! infinite-dimensional linear Bayesian inverse problems", arXiv 2505.18276).
//!
//! A problem is a basis, a covariance, an operator and a noise level, each by its own key of the YAML. Everything is f64.

pub mod basis;
pub mod cg;
pub mod covariance;
pub mod deconvolution;
mod hartley;
pub mod operator;
pub mod prior;
pub mod values;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

pub use basis::{Basis, BasisConfig};
pub use covariance::CovarianceConfig;
pub use operator::{Forward, OperatorConfig};
pub use prior::{Prior, PriorConfig};
pub use values::Values;

use crate::config::check;
use crate::torch::seed::{Stream, reseed};

/// The `problem:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemConfig {
    pub basis: BasisConfig,
    pub covariance: CovarianceConfig,
    pub operator: OperatorConfig,
    /// Standard deviation of the noise.
    pub sigma: f64,
    #[serde(default)]
    pub prior: PriorConfig,
    #[serde(default)]
    pub data: DataConfig,
}

/// Where truth and observations come from: given, or drawn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Seed of what is drawn.
    pub seed: u64,
    /// Coordinates of the truth; drawn from the prior if left out and `y` too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<Values>,
    /// Observations, one a coordinate or a point; drawn if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<Values>,
}

/// An inverse problem with its data.
pub struct Problem {
    pub basis: Basis,
    /// Variances of the reference, `[D]`.
    pub mu: Tensor,
    pub prior: Box<dyn Prior>,
    pub forward: Box<dyn Forward>,
    pub sigma: f64,
    /// `[M]`; 0 where nothing is observed.
    pub y: Tensor,
    /// `[D]`, unless only `y` was given.
    pub truth: Option<Tensor>,
}

impl ProblemConfig {
    pub fn build(&self) -> Result<Problem> {
        check::positive("problem.sigma", self.sigma)?;
        let basis = Basis::new(&self.basis)?;
        let mu = self.covariance.build(&basis)?;
        let prior = self.prior.build(&mu)?;
        let forward = self.operator.build(&basis)?;

        let DataConfig { seed, truth, y } = &self.data;
        reseed(*seed, Stream::Data, 0);
        let truth = match (truth, y) {
            (Some(values), _) => Some(values.resolve("problem.data.truth", basis.dim())?),
            (None, Some(_)) => None,
            (None, None) => Some(prior.sample(1).squeeze_dim(0)),
        };
        let mask = forward.mask();
        let y = match y {
            Some(values) => values.resolve("problem.data.y", forward.observations())? * mask,
            None => {
                let clean = truth.as_ref().map(|truth| forward.apply(&truth.unsqueeze(0)).squeeze_dim(0));
                let noise = mask.randn_like() * self.sigma;
                clean.map_or(noise.shallow_clone(), |clean| clean + noise) * mask
            }
        };
        Ok(Problem { basis, mu, prior, forward, sigma: self.sigma, y, truth })
    }
}

impl Problem {
    /// Number of coordinates, `D`.
    pub fn dim(&self) -> i64 {
        self.basis.dim()
    }

    /// `AᵀA x / σ²`: `[N, D]` -> `[N, D]`.
    pub fn gram(&self, x: &Tensor) -> Tensor {
        self.forward.adjoint(&self.forward.apply(x)) / (self.sigma * self.sigma)
    }

    /// The diagonal a of `AᵀA / σ²`, `[D]`, where that is all of it.
    pub fn precision(&self) -> Option<Tensor> {
        self.forward.diagonal().map(|a| (a / self.sigma).square())
    }

    /// `b = Aᵀy / σ²`, `[D]`.
    pub fn pull(&self) -> Tensor {
        self.forward.adjoint(&self.y.unsqueeze(0)).squeeze_dim(0) / (self.sigma * self.sigma)
    }

    /// `|y - A x|² / 2σ²`: `[N, D]` -> `[N]`.
    pub fn misfit(&self, x: &Tensor) -> Tensor {
        let residual = (self.forward.apply(x) - &self.y) / self.sigma;
        residual.square().sum_dim_intlist(-1, false, Kind::Double) * 0.5
    }

    /// `(diag(1/μ) + AᵀA/σ²)⁻¹ rhs` for rows `[N, D]`: at once where it is diagonal, else by conjugate gradients in
    /// coordinates whitened by μ.
    pub fn solve_posterior(&self, rhs: &Tensor) -> Tensor {
        if let Some(a) = self.precision() {
            return rhs * (&self.mu / (&self.mu * a + 1.0));
        }
        let root = self.mu.sqrt();
        let product = |u: &Tensor| u + self.gram(&(u * &root)) * &root;
        cg::solve(product, &(rhs * &root), 1e-12, 2000).0 * root
    }
}
