//! Particles through all steps.

use tch::Tensor;

use super::time_grid::sigma;
use super::{Draws, Integrator, Randomness, ScoreModel, State, StepCost, TimeGrid};
use crate::targets::Options;
use crate::torch::seed::{Stream, reseed};

impl Draws {
    /// What a step for `[N, D]` particles like `x` reads, from libtorch's generator.
    pub fn random(randomness: Randomness, x: &Tensor) -> Self {
        let options = (x.kind(), x.device());
        let normal = |wanted: bool| if wanted { x.randn_like() } else { Tensor::zeros([0], options) };
        let rows = if randomness.uniform { x.size()[0] } else { 0 };
        Self {
            xi: normal(randomness.normals > 0),
            extra: normal(randomness.normals > 1),
            u: Tensor::rand([rows, 1], options),
        }
    }
}

/// `n` draws `[n, dim]` from the prior `N(0, (1 - e^{-T}) I)` at the horizon `T`.
pub fn prior(horizon: f64, n: i64, dim: i64, options: Options) -> Tensor {
    Tensor::randn([n, dim], options) * sigma(horizon)
}

/// Moves `n` particles from the prior through the whole grid; returns where they end, `[n, D]`.
///
/// Every step draws under its own seed of stream `Eval`.
pub fn simulate(
    model: &dyn ScoreModel,
    integrator: &dyn Integrator,
    grid: &TimeGrid,
    n: i64,
    seed: u64,
    options: Options,
) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    reseed(seed, Stream::Eval, 0);
    let mut state = State::new(prior(grid.horizon(), n, model.dim(), options));
    for (i, step) in grid.steps().enumerate() {
        reseed(seed, Stream::Eval, i as u64 + 1);
        let draws = Draws::random(integrator.randomness(), &state.x);
        state = integrator.step(model, step, state, &draws);
    }
    state.x
}

impl StepCost {
    /// Scores, products and Hessians together.
    pub fn evaluations(&self) -> u64 {
        self.score_calls + self.hvp_calls + self.hessian_calls
    }

    /// Work of `steps` steps at `n` particles each.
    pub fn times(&self, steps: usize, n: i64) -> Self {
        let factor = steps as u64 * n as u64;
        Self {
            score_calls: self.score_calls * factor,
            hvp_calls: self.hvp_calls * factor,
            hessian_calls: self.hessian_calls * factor,
        }
    }
}
