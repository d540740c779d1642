//! Diffusion bridge sampler: both drifts are networks.

use super::cmcd::coefficients;
use super::config::{Form, Process};
use super::learned::{Learned, free_kernel};
use crate::processes::{Affine, Record, Rnd};
use tch::Tensor;

/// Forward `x + c u^F(x, k)`, backward `x' ∓ c u^B(x', k+1)`.
///
/// * rethinking: no drift but the networks' (the score enters through their gain heads), minus sign backwards.
/// * udb: both directions add the annealed Langevin drift; plus sign.
/// * beyond_elbos (there called GBS): networks only; plus sign.
pub fn record(process: &Process, learned: &Learned) -> Record {
    let steps = process.num_steps;
    let share = learned.prior_share();
    let (drift, control, std) = coefficients(process, learned);
    let sign = if process.form == Form::Rethinking { -1.0 } else { 1.0 };
    let kernel = |share: Tensor, sign: f64| -> Affine {
        let control = Some(&control * sign);
        match process.form {
            Form::Udb => learned.pull(&drift, &share).kernel(control, std.shallow_clone()),
            _ => free_kernel(std.ones_like(), control, std.shallow_clone()),
        }
    };
    Record {
        num_steps: steps,
        start: learned.start(),
        forward: kernel(share.narrow(0, 0, steps), 1.0),
        backward: kernel(share.narrow(0, 1, steps), sign),
        guide: Some(learned.annealed_guide(&share)),
        rnd: Rnd::Kernels,
        prior_share: share.detach(),
    }
}
