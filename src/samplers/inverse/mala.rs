//! Langevin steps that are accepted or refused (Roberts and Tweedie, Bernoulli 2 (1996), 341), preconditioned.

use tch::{Kind, Tensor};

use super::pcn::choose;
use super::{Info, Kernel, Noise};
use crate::targets::inverse::Problem;

/// `x' = x + h λ ∇log π(x) + sqrt(2 h λ) z` under Metropolis-Hastings: exact at every step, but the step must shrink with
/// the number of informed modes.
pub struct Mala<'a> {
    problem: &'a Problem,
    lambda: &'a Tensor, // [D]
    step: f64,
    pull: Tensor, // [D]
}

impl<'a> Mala<'a> {
    pub fn new(problem: &'a Problem, lambda: &'a Tensor, step: f64) -> Self {
        Self { problem, lambda, step, pull: problem.pull() }
    }

    /// Where a step leads without noise: `[N, D]`.
    fn aim(&self, x: &Tensor) -> Tensor {
        let data = (&self.pull - self.problem.gram(x)) * self.lambda;
        x + (self.problem.prior.score(x, 0.0, self.lambda) + data) * self.step
    }

    /// `log π` up to a constant, `[N]`.
    fn log_density(&self, x: &Tensor) -> Tensor {
        self.problem.prior.log_prob(x) - self.problem.misfit(x)
    }

    /// Log-density of stepping from a point of given aim to `x`, up to a constant: `[N]`.
    fn log_kernel(&self, aim: &Tensor, x: &Tensor) -> Tensor {
        let scaled = (x - aim) / (self.lambda * (2.0 * self.step)).sqrt();
        scaled.square().sum_dim_intlist(-1, false, Kind::Double) * -0.5
    }
}

impl Kernel for Mala<'_> {
    fn width(&self) -> i64 {
        self.problem.dim()
    }

    fn step(&self, x: &Tensor, noise: &Noise) -> (Tensor, Info) {
        let aim = self.aim(x);
        let proposal = &aim + &noise.z * (self.lambda * (2.0 * self.step)).sqrt();
        let log_ratio = self.log_density(&proposal) + self.log_kernel(&self.aim(&proposal), x)
            - self.log_density(x)
            - self.log_kernel(&aim, &proposal);
        choose(x, &proposal, &log_ratio, &noise.u)
    }
}
