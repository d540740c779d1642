//! The Euler step of preconditioned Langevin dynamics, for any prior, operator and preconditioner.

use tch::Tensor;

use super::{Info, Kernel, Noise, Preconditioner, Score};
use crate::targets::inverse::Problem;

/// `x + h (S_θ(x) + C (b - AᵀA x/σ²)) + sqrt(2 h) C^{1/2} z`.
pub struct Langevin<'a> {
    problem: &'a Problem,
    score: Score<'a>,
    preconditioner: &'a Preconditioner,
    step: f64,
    pull: Tensor, // [D]
}

impl<'a> Langevin<'a> {
    pub fn new(problem: &'a Problem, score: Score<'a>, preconditioner: &'a Preconditioner, step: f64) -> Self {
        Self { problem, score, preconditioner, step, pull: problem.pull() }
    }

    /// Under diag(λ): noise `[N, D]`.
    fn diagonal(&self, x: &Tensor, lambda: &Tensor, z: &Tensor) -> Tensor {
        let data = (&self.pull - self.problem.gram(x)) * lambda;
        let drift = self.score.value(x, lambda) + data;
        x + drift * self.step + z * (lambda * (2.0 * self.step)).sqrt()
    }

    /// Under the posterior covariance: `μ^{-1/2} z₁ + Aᵀ z₂/σ` has its inverse as covariance, so that one solution makes
    /// drift and noise (Papandreou and Yuille, NIPS 2010). Noise `[N, D + M]`.
    fn posterior(&self, x: &Tensor, z: &Tensor) -> Tensor {
        let problem = self.problem;
        let (dim, observations) = (problem.dim(), problem.forward.observations());
        let gradient = self.score.value(x, &problem.mu.ones_like()) + &self.pull - problem.gram(x);
        let seen = z.narrow(1, dim, observations) * problem.forward.mask() / problem.sigma;
        let kick = z.narrow(1, 0, dim) / problem.mu.sqrt() + problem.forward.adjoint(&seen);
        x + problem.solve_posterior(&(gradient * self.step + kick * (2.0 * self.step).sqrt()))
    }
}

impl Kernel for Langevin<'_> {
    fn width(&self) -> i64 {
        match self.preconditioner {
            Preconditioner::Diagonal(_) => self.problem.dim(),
            Preconditioner::Posterior => self.problem.dim() + self.problem.forward.observations(),
        }
    }

    fn step(&self, x: &Tensor, noise: &Noise) -> (Tensor, Info) {
        let next = match self.preconditioner {
            Preconditioner::Diagonal(lambda) => self.diagonal(x, lambda, &noise.z),
            Preconditioner::Posterior => self.posterior(x, &noise.z),
        };
        (next, Info { accepted: None })
    }
}
