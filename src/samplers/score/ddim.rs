//! The non-Markovian samplers of Song, Meng and Ermon (ICLR 2021), from DDIM to the ancestral sampler of DDPM.

use super::models::{ScoreModel, at, denoise};
use super::time_grid::{alpha, sigma};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};

/// Equation 12 of the paper: denoise to `x̂_0`, then noise again to the next level, with a share `eta` of the posterior's
/// deviation `v = (1 - e^{-h}) σ'^2 / σ²` from fresh noise and the rest along the noise that was taken off.
///
/// `eta = 0` is DDIM, a first-order method for the probability flow; `eta = 1` samples `q(x' | x, x̂_0)`, the ancestral
/// sampler of DDPM (Ho, Jain and Abbeel 2020) with its smaller variance.
pub struct Ddim {
    pub eta: f64,
}

impl Integrator for Ddim {
    fn order(&self) -> u32 {
        1
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 1, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        if self.eta > 0.0 { Randomness::NORMAL } else { Randomness::NONE }
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, draws: &Draws) -> State {
        let x = state.x;
        let score = model.score(&at(step.from, &x), &x);
        let (before, after) = (sigma(step.from), sigma(step.to));
        let fresh = self.eta * (-(-step.h()).exp_m1()).sqrt() * after / before;
        let kept = (after * after - fresh * fresh).max(0.0).sqrt();

        // The noise in x is -σ s.
        let next = denoise(step.from, &x, &score) * alpha(step.to) - score * (before * kept);
        State::new(if fresh > 0.0 { next + &draws.xi * fresh } else { next })
    }
}
