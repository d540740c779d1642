//! Euler's method for the probability flow in time.

use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// `x + h (x + s(t, x)) / 2` (Song et al., ICLR 2021, equation 13, for this process).
pub struct ProbabilityFlow;

impl Integrator for ProbabilityFlow {
    fn order(&self) -> u32 {
        1
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 1, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        Randomness::NONE
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, _draws: &Draws) -> State {
        let (x, half) = (state.x, 0.5 * step.h());
        let score = model.score(&at(step.from, &x), &x);
        State::new(&x * (1.0 + half) + score * half)
    }
}
