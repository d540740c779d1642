//! Heun's method for the probability flow in the noise level (Karras et al., NeurIPS 2022, algorithm 1 without churn).

use tch::Tensor;

use super::models::{ScoreModel, at};
use super::time_grid::{alpha, noise_level};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// With `y = x / α` and noise level `σ = sqrt(e^t - 1)` the flow is `dy/dσ = -σ α s(t, α y)`. A step to level 0, where no
/// slope exists, is one of Euler's, as in the paper; it limits the order to 1 unless the level before it is small.
pub struct Heun;

impl Integrator for Heun {
    fn order(&self) -> u32 {
        2
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 2, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        Randomness::NONE
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, _draws: &Draws) -> State {
        let slope = |t: f64, x: &Tensor| model.score(&at(t, x), x) * (-noise_level(t) * alpha(t));
        let change = noise_level(step.to) - noise_level(step.from);
        let y = &state.x / alpha(step.from);

        let first = slope(step.from, &state.x);
        let predicted = (&y + &first * change) * alpha(step.to);
        if step.to <= 0.0 {
            return State::new(predicted);
        }
        let second = slope(step.to, &predicted);
        State::new((y + (first + second) * (0.5 * change)) * alpha(step.to))
    }
}
