//! Euler-Maruyama with the drift taken at a random point of the step.

use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// `x_U` is an Euler step of length `U h`; then
/// `x + h (x_U/2 + s(t - U h, x_U)) + sqrt(h) (sqrt(U) ξ' + sqrt(1-U) ξ'')`.
///
/// The mean of the drift over `U` is its integral, which removes the leading bias. `U` near 1 evaluates the score near
/// the end of the step: where the last step is long and the data narrow, their stiff score amplifies the noise.
pub struct RandomizedMidpoint;

impl Integrator for RandomizedMidpoint {
    fn order(&self) -> u32 {
        2
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 2, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        Randomness::MIDPOINT
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, draws: &Draws) -> State {
        let (x, h, u) = (state.x, step.h(), &draws.u);
        let t = at(step.from, &x);

        let slope = &x * 0.5 + model.score(&t, &x);
        let middle = &x + slope * (u * h) + (u * h).sqrt() * &draws.xi;

        // The Brownian path that led to the midpoint goes on to the end of the step.
        let xi = u.sqrt() * &draws.xi + (-u + 1.0).sqrt() * &draws.extra;
        let slope = &middle * 0.5 + model.score(&(t - u * h), &middle);
        State::new(x + slope * h + xi * h.sqrt())
    }
}
