//! The preconditioned Crank-Nicolson walk (Cotter, Roberts, Stuart and White, Statist. Sci. 28 (2013), 424).

use tch::Tensor;

use super::{Info, Kernel, Noise};
use crate::targets::inverse::Problem;
use crate::targets::inverse::prior::{GaussianPrior, Prior};

/// `x' = sqrt(1 - β²) x + β μ^{1/2} z`, accepted with probability `min(1, exp(Φ(x) - Φ(x')))`: well defined in infinitely
/// many dimensions. Φ is the misfit and minus the log-density of the prior with respect to the reference.
pub struct Pcn<'a> {
    problem: &'a Problem,
    reference: GaussianPrior,
    beta: f64,
}

impl<'a> Pcn<'a> {
    pub fn new(problem: &'a Problem, beta: f64) -> Self {
        Self { problem, reference: GaussianPrior::new(&problem.mu), beta }
    }

    /// `[N, D]` -> `[N]`.
    fn potential(&self, x: &Tensor) -> Tensor {
        let misfit = self.problem.misfit(x);
        match self.problem.prior.mixture() {
            Some(prior) => misfit - prior.log_prob(x) + self.reference.log_prob(x),
            None => misfit,
        }
    }
}

impl Kernel for Pcn<'_> {
    fn width(&self) -> i64 {
        self.problem.dim()
    }

    fn step(&self, x: &Tensor, noise: &Noise) -> (Tensor, Info) {
        let proposal = x * (1.0 - self.beta * self.beta).sqrt() + &noise.z * (self.problem.mu.sqrt() * self.beta);
        let log_ratio = self.potential(x) - self.potential(&proposal);
        choose(x, &proposal, &log_ratio, &noise.u)
    }
}

/// Moves the chains whose uniform number lies below the ratio: `[N, D]`, `[N, D]`, `[N]`, `[N]`. A ratio that is not a
/// number refuses.
pub(super) fn choose(x: &Tensor, proposal: &Tensor, log_ratio: &Tensor, u: &Tensor) -> (Tensor, Info) {
    let accepted = u.log().lt_tensor(log_ratio);
    let next = proposal.where_self(&accepted.unsqueeze(1), x);
    let share = accepted.to_kind(tch::Kind::Double).mean(tch::Kind::Double).double_value(&[]);
    (next, Info { accepted: Some(share) })
}
