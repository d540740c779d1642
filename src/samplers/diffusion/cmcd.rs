//! Controlled Monte Carlo diffusion: annealed Langevin steps plus a control that enters the two directions with opposite
//! signs.

use super::config::{Form, Process};
use super::learned::Learned;
use crate::processes::{Affine, Record, Rnd, schedule};
use tch::Tensor;

/// Forward `x + a ∇log π_k(x) + c u(x, k)`, backward `x' + a ∇log π_{k+1}(x') - c u(x', k+1)`.
///
/// * rethinking: `a = σ²/2`, `c = σ²`, deviation `σ` per dimension and constant in time (paper, section 2).
/// * udb: `a = c = η_k`, deviation `√(2 η_k)`, step sizes decaying over the chain.
/// * beyond_elbos: `a = c = σ_k² dt`, deviation `σ_k √(2 dt)`, and the *same* annealed density on both sides of a step
///   (interpolation `(k+1)/T` in the code's indexing).
pub fn record(process: &Process, learned: &Learned) -> Record {
    let steps = process.num_steps;
    let share = learned.prior_share();
    let (drift, control, std) = coefficients(process, learned);
    let (at_start, at_end) = match process.form {
        Form::BeyondElbos => (share.narrow(0, 1, steps), share.narrow(0, 1, steps)),
        _ => (share.narrow(0, 0, steps), share.narrow(0, 1, steps)),
    };
    let kernel = |share: &Tensor, sign: f64| -> Affine {
        learned.pull(&drift, share).kernel(Some(&control * sign), std.shallow_clone())
    };
    Record {
        num_steps: steps,
        start: learned.start(),
        forward: kernel(&at_start, 1.0),
        backward: kernel(&at_end, -1.0),
        guide: Some(learned.annealed_guide(&share)),
        rnd: Rnd::Kernels,
        prior_share: share.detach(),
    }
}

/// Tables `[T, 1, ·]` of the annealed drift's coefficient, the control's, and the deviation. Shared with DBS.
pub(super) fn coefficients(process: &Process, learned: &Learned) -> (Tensor, Tensor, Tensor) {
    let factor = learned.log_noise.exp(); // [D] or [1]
    match process.form {
        Form::Rethinking => {
            // The authors' constant schedule is beta_max + 1e-3 (their guard against a vanishing range).
            let base = learned.table(&vec![process.noise + 1e-3; process.num_steps as usize]);
            let std = base * factor;
            let variance = std.square();
            (&variance * 0.5, variance, std)
        }
        Form::Udb => {
            // Their step size over friction: one learned factor per dimension covers both.
            let relative = schedule::decaying_steps(process.num_steps);
            let eta = learned.table(&relative) * process.noise * factor;
            (eta.shallow_clone(), eta.shallow_clone(), (eta * 2.0).sqrt())
        }
        Form::BeyondElbos => {
            let dt = 1.0 / process.num_steps as f64;
            let sigma = learned.table(&schedule::half_cosine(process.num_steps, process.noise)) * factor;
            let eta = sigma.square() * dt;
            (eta.shallow_clone(), eta.shallow_clone(), (eta * 2.0).sqrt())
        }
    }
}
