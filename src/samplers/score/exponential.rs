//! The exponential integrator: the linear part exactly, the score frozen over the step.

use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// `e^{h/2} x + 2 (e^{h/2} - 1) s(t, x) + sqrt(e^h - 1) ξ`.
pub struct Exponential;

impl Integrator for Exponential {
    fn order(&self) -> u32 {
        1
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 1, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        Randomness::NORMAL
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, draws: &Draws) -> State {
        let (x, h) = (state.x, step.h());
        let score = model.score(&at(step.from, &x), &x);
        State::new(&x * (0.5 * h).exp() + score * (2.0 * (0.5 * h).exp_m1()) + &draws.xi * h.exp_m1().sqrt())
    }
}
