//! The exponential integrator with the score taken at a random point of the step.

use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// `x_U` is an exponential step of length `U h`; then
/// `e^{h/2} x + h e^{(1-U) h/2} s(t - U h, x_U) + sqrt(e^h - 1) (ρ ξ' + sqrt(1 - ρ²) ξ'')`, where
/// `ρ² = e^{(1-U) h} (e^{U h} - 1) / (e^h - 1)` is the squared correlation of the noises of the step and of its part.
pub struct ExponentialRandomizedMidpoint;

impl Integrator for ExponentialRandomizedMidpoint {
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
        let (x, h) = (state.x, step.h());
        let (t, uh) = (at(step.from, &x), &draws.u * h);
        let rest = -&uh + h; // (1 - U) h

        let half = &uh * 0.5;
        let middle = &x * half.exp() + model.score(&t, &x) * (half.expm1() * 2.0) + uh.expm1().sqrt() * &draws.xi;

        let rho2 = (rest.exp() * uh.expm1() / h.exp_m1()).clamp_max(1.0);
        let xi = rho2.sqrt() * &draws.xi + (-&rho2 + 1.0).sqrt() * &draws.extra;
        let score = model.score(&(t - uh), &middle);
        State::new(x * (0.5 * h).exp() + score * ((rest * 0.5).exp() * h) + xi * h.exp_m1().sqrt())
    }
}
