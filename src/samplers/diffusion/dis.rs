//! Time-reversed diffusion sampler: the reversal of a diffusion that turns the target into the prior.

use super::cmcd::coefficients;
use super::config::{Form, Process, RndForm};
use super::learned::{Learned, free_kernel};
use crate::processes::record::Guide;
use crate::processes::{Record, Rnd, schedule};
use tch::Tensor;

/// * udb: both directions take the Langevin step of the prior, `x + η_k ∇log π_0(x)`; the forward adds `η_k u`.
/// * beyond_elbos: forward `x + (β_k x + σ_k u) dt`, backward `x' - β_k x' dt`, deviation `σ_k √dt`,
///   `σ_k = √(2 β_k) σ_0`.
pub fn record(process: &Process, learned: &Learned) -> Record {
    match process.form {
        Form::Udb => langevin_of_the_prior(process, learned),
        _ => ornstein_uhlenbeck(process, learned),
    }
}

fn langevin_of_the_prior(process: &Process, learned: &Learned) -> Record {
    let share = learned.prior_share();
    let (drift, control, std) = coefficients(process, learned);
    let pure_prior = Tensor::ones_like(&share.narrow(0, 0, process.num_steps));
    let kernel = |control| {
        let mut kernel = learned.pull(&drift, &pure_prior).kernel(control, std.shallow_clone());
        kernel.score = None;
        kernel
    };
    Record {
        num_steps: process.num_steps,
        start: learned.start(),
        forward: kernel(Some(control)),
        backward: kernel(None),
        guide: Some(learned.annealed_guide(&share)),
        rnd: Rnd::Kernels,
        prior_share: share.detach(),
    }
}

fn ornstein_uhlenbeck(process: &Process, learned: &Learned) -> Record {
    let dt = 1.0 / process.num_steps as f64;
    let share = learned.prior_share();
    let beta = learned.table(&schedule::half_cosine(process.num_steps, process.noise)) * learned.log_noise.exp();
    let sigma = (&beta * 2.0).sqrt() * learned.prior_log_std.exp(); // [T, 1, D]
    let std = &sigma * dt.sqrt();
    let growing = &beta * dt + 1.0;
    let rnd = match process.rnd {
        RndForm::Kernels => Rnd::Kernels,
        RndForm::Continuous => Rnd::Girsanov {
            reference: free_kernel(growing.shallow_clone(), None, std.shallow_clone()),
            // The noising drift -βx contracts volume by β d dt a step.
            log_volume: Some(beta.squeeze() * (dt * learned.prior_mean.size()[0] as f64)),
            terminal_std: None,
        },
    };
    // The guide σ_k ∇log π_k needs a value at the last state too: it reuses the last step's σ.
    let sigma_at_states = Tensor::cat(&[&sigma, &sigma.narrow(0, process.num_steps - 1, 1)], 0);
    let pull = learned.pull(&sigma_at_states, &share);
    Record {
        num_steps: process.num_steps,
        start: learned.start(),
        forward: free_kernel(growing, Some(&sigma * dt), std.shallow_clone()),
        backward: free_kernel(1.0f64 - &beta * dt, None, std),
        guide: Some(Guide { state: Some(pull.state), constant: Some(pull.constant), score: Some(pull.score) }),
        rnd,
        prior_share: share.detach(),
    }
}
