//! DPM-Solver++(2M) of Lu et al. 2022 (arXiv 2211.01095, algorithm 2).

use super::models::{ScoreModel, at, denoise};
use super::time_grid::{alpha, noise_level, sigma};
use super::{Draws, Integrator, Memory, Randomness, State, Step, StepCost};

/// Multistep in the log signal-to-noise ratio `λ = log(α/σ)`: `(σ'/σ) x - α' (e^{-Δλ} - 1) D`, where `D` extrapolates the
/// denoised points of this step and the one before to the middle of the step.
///
/// The first step has no past and the one to t = 0 no finite length in `λ`; both take `D` of this step, which is order 1.
pub struct DpmSolver2M;

impl Integrator for DpmSolver2M {
    fn order(&self) -> u32 {
        2
    }

    fn cost(&self) -> StepCost {
        StepCost { score_calls: 1, ..StepCost::default() }
    }

    fn randomness(&self) -> Randomness {
        Randomness::NONE
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, _draws: &Draws) -> State {
        let x = state.x;
        let score = model.score(&at(step.from, &x), &x);
        let denoised = denoise(step.from, &x, &score);

        let lambda = |t: f64| -noise_level(t).ln();
        let length = lambda(step.to) - lambda(step.from);
        let blend = match &state.memory {
            Some(memory) if step.to > 0.0 => {
                let weight = 0.5 * length / (lambda(step.from) - lambda(memory.t));
                &denoised * (1.0 + weight) - &memory.denoised * weight
            }
            _ => denoised.shallow_clone(),
        };
        let next = x * (sigma(step.to) / sigma(step.from)) - blend * (alpha(step.to) * (-length).exp_m1());
        State { x: next, memory: Some(Memory { t: step.from, denoised }) }
    }
}
