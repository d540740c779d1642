//! A centred Gaussian, diagonal in the basis.

use tch::{Kind, Tensor};

use super::Prior;
use crate::targets::support::LN_2PI;

/// `N(0, diag(μ))`.
pub struct GaussianPrior {
    mu: Tensor, // [D]
}

impl GaussianPrior {
    pub fn new(mu: &Tensor) -> Self {
        Self { mu: mu.shallow_clone() }
    }
}

/// Variances after noise of forward time τ, `e^{-τ} v + (1 - e^{-τ}) λ`.
pub fn noised(variance: &Tensor, tau: f64, lambda: &Tensor) -> Tensor {
    variance * (-tau).exp() - lambda * (-tau).exp_m1()
}

impl Prior for GaussianPrior {
    fn score(&self, x: &Tensor, tau: f64, lambda: &Tensor) -> Tensor {
        -x * self.curvature(tau, lambda)
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let terms = (x / self.mu.sqrt()).square() + self.mu.log() + LN_2PI;
        terms.sum_dim_intlist(-1, false, Kind::Double) * -0.5
    }

    fn sample(&self, n: i64) -> Tensor {
        Tensor::randn([n, self.mu.size()[0]], (Kind::Double, self.mu.device())) * self.mu.sqrt()
    }

    fn curvature(&self, tau: f64, lambda: &Tensor) -> Tensor {
        lambda / noised(&self.mu, tau, lambda)
    }

    fn variance(&self) -> Tensor {
        self.mu.shallow_clone()
    }
}
