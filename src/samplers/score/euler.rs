//! Euler-Maruyama.

use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// `x + h (x/2 + s(t, x)) + sqrt(h) ξ`.
pub struct Euler;

impl Integrator for Euler {
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
        State::new(&x * (1.0 + 0.5 * h) + score * h + &draws.xi * h.sqrt())
    }
}
