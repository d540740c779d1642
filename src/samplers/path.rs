//! Paths of a chain and their log densities.

use tch::{Kind, Tensor};

use super::diffusion::{Controls, DiffusionSampler};
use crate::processes::record::Affine;
use crate::processes::{Record, Rnd};
use crate::torch::autograd::Cut;

/// The tables of one update: the record and the networks' time features, evaluated once for all steps.
pub struct Tables<'a> {
    pub record: Record,
    controls: &'a Controls,
    forward_time: Vec<Tensor>,
    backward_time: Vec<Tensor>,
}

/// What is evaluated at states `from ..`: score, guide and controls, each `[J, N, D]` where the process has it.
pub struct AtState {
    pub score: Option<Tensor>,
    pub forward_control: Option<Tensor>,
    pub backward_control: Option<Tensor>,
}

/// Simulated paths `x_0 .. x_T` with the log densities of their steps. Statistics are f64.
pub struct Path {
    /// `[T + 1, N, D]`; only the last state (`[1, N, D]`) where states were not kept.
    pub states: Tensor,
    /// The target's score at the states, `[T + 1, N, D]`, where kept and needed.
    pub scores: Option<Tensor>,
    /// Standard normals of the forward steps, `[T, N, D]`, and of the start, where kept.
    pub noise: Option<(Tensor, Tensor)>,
    /// `log F_k(x_{k+1} | x_k)`, `[T, N]`.
    pub log_forward: Tensor,
    /// `log B_k(x_k | x_{k+1})` (or its Girsanov stand-in), `[T, N]`.
    pub log_backward: Tensor,
    /// `[N]`
    pub log_prior: Tensor,
    /// `log γ(x_T)`, less the reference's terminal density where the chain has one, `[N]`.
    pub log_target: Tensor,
}

impl Path {
    /// The last state, `[N, D]`: the sample.
    pub fn end(&self) -> Tensor {
        self.states.select(0, self.states.size()[0] - 1)
    }

    /// `log dq/dp` of each path, `[N]`: `log π_0(x_0) + Σ log F_k - Σ log B_k - log γ(x_T)`.
    pub fn log_rnd(&self) -> Tensor {
        let steps = (&self.log_forward - &self.log_backward).sum_dim_intlist(0, false, Kind::Double);
        &self.log_prior + steps - &self.log_target
    }
}

impl<'a> Tables<'a> {
    pub fn new(sampler: &'a DiffusionSampler) -> Self {
        let controls = &sampler.controls;
        let backward_time = controls.backward().map_or_else(Vec::new, |net| net.time_tables());
        Self { record: sampler.record(), controls, forward_time: controls.forward().time_tables(), backward_time }
    }

    /// Cuts the graph between the tables and what they were computed from, so that the tables' gradients add up over
    /// many small backward passes and enter the rest of the graph once.
    pub fn cut(&mut self) -> Cut {
        let mut tables = self.record.tables_mut();
        tables.extend(self.forward_time.iter_mut());
        tables.extend(self.backward_time.iter_mut());
        Cut::new(tables)
    }

    /// Number of network evaluations at one state.
    pub fn networks(&self) -> u64 {
        1 + u64::from(self.controls.backward().is_some())
    }

    /// Evaluates the networks at states `from ..`; `score` is the target's score there.
    ///
    /// The forward control is not needed at the last state nor the backward one at the first; what nobody asks for is
    /// not computed.
    pub fn at(&self, from: i64, x: &Tensor, score: Option<Tensor>) -> AtState {
        let count = x.size()[0];
        let guide = match (&self.record.guide, &score) {
            (Some(guide), Some(score)) => Some(guide.at(from, x, score)),
            _ => None,
        };
        let rows = |time: &[Tensor]| -> Vec<Tensor> { time.iter().map(|t| t.narrow(0, from, count)).collect() };
        let learns_backward = self.record.learns_backward();
        let beyond_last = from + count == self.record.num_steps + 1 && count == 1;
        let separate = self.controls.backward();
        let forward_control = (!beyond_last || (learns_backward && separate.is_none()))
            .then(|| self.controls.forward().control(&rows(&self.forward_time), x, guide.as_ref()));
        let backward_control = match separate {
            Some(net) if from + count > 1 => Some(net.control(&rows(&self.backward_time), x, guide.as_ref())),
            Some(_) => None,
            None => forward_control.as_ref().filter(|_| learns_backward).map(Tensor::shallow_clone),
        };
        AtState { score, forward_control, backward_control }
    }

    /// Means of the forward kernels that leave states `from ..`, `[J, N, D]`.
    pub fn forward_mean(&self, from: i64, x: &Tensor, at: &AtState) -> Tensor {
        self.record.forward.mean(from, x, at.score.as_ref(), at.forward_control.as_ref())
    }

    /// Means of the backward kernels that leave states `from + 1 ..`: `x` and `at` belong to those states.
    pub fn backward_mean(&self, from: i64, x: &Tensor, at: &AtState) -> Tensor {
        self.record.backward.mean(from, x, at.score.as_ref(), at.backward_control.as_ref())
    }

    /// The quadratic part of `log F_k`: `-½ |(x_{k+1} - mean)/σ_k|²`, `[J, N]`, without its normaliser.
    pub fn forward_exponent(&self, from: i64, x: &Tensor, next: &Tensor, at: &AtState) -> Tensor {
        exponent(next, &self.forward_mean(from, x, at), &self.record.forward, from)
    }

    /// The quadratic part of what takes the place of `log B_k` for steps `from ..`, `[J, N]`: `x` are the states
    /// `from ..`, `next` and `at_next` belong to the states after them.
    pub fn backward_exponent(&self, from: i64, x: &Tensor, next: &Tensor, at_next: &AtState) -> Tensor {
        match &self.record.rnd {
            Rnd::Kernels => exponent(x, &self.backward_mean(from, next, at_next), &self.record.backward, from),
            Rnd::Girsanov { reference, .. } => exponent(next, &reference.mean(from, x, None, None), reference, from),
        }
    }

    /// Normalisers to add to the exponents, forward and backward, each `[T]`.
    pub fn log_normalisers(&self, dim: i64) -> (Tensor, Tensor) {
        let forward = -self.record.forward.log_normaliser(dim);
        let backward = match &self.record.rnd {
            Rnd::Kernels => -self.record.backward.log_normaliser(dim),
            Rnd::Girsanov { reference, log_volume, .. } => {
                let log_normaliser = -reference.log_normaliser(dim);
                log_volume.as_ref().map_or(log_normaliser.shallow_clone(), |volume| volume + &log_normaliser)
            }
        };
        (forward, backward)
    }
}

fn exponent(value: &Tensor, mean: &Tensor, kernel: &Affine, from: i64) -> Tensor {
    let z = (value - mean) / kernel.std(from, mean.size()[0]);
    z.square().sum_dim_intlist(-1, false, z.kind()) * -0.5
}
