//! Gradients of losses along simulated paths, in bounded memory.

use tch::Tensor;

use super::diffusion::DiffusionSampler;
use super::path::{AtState, Path, Tables};
use super::rollout::{evaluate, start_from};
use crate::losses::PathWeights;
use crate::nets::log_flow::LogFlow;
use crate::targets::Target;
use crate::torch::autograd::Cut;

/// Accumulates the gradient of `Σ w_F log F + Σ w_B log B + Σ w_0 log π_0` over detached paths.
///
/// The states do not depend on the parameters here, so kernels of several steps are evaluated as one batch of about
/// `chunk_rows` rows, back-propagated, and forgotten: memory does not grow with the number of steps, and matrices
/// stay in the cache. `tables` is consumed: its graph is cut, filled and back-propagated once at the end.
pub fn along_detached(mut tables: Tables, path: &Path, weights: &PathWeights, flow: Option<&LogFlow>, chunk_rows: i64) {
    let (states, batch, dim) = (path.states.size()[0], path.states.size()[1], path.states.size()[2]);
    let mut cut = vec![tables.cut()];
    let mut flow_time = flow.map_or_else(Vec::new, LogFlow::time_tables);
    cut.push(Cut::new(flow_time.iter_mut().collect()));
    let weights = weights.cast(path.states.kind(), path.states.device());
    let per_chunk = (chunk_rows / batch).clamp(1, states);
    for from in (0..states).step_by(per_chunk as usize) {
        let count = per_chunk.min(states - from);
        let mut loss = chunk(&tables, path, &weights, from, count);
        if let (Some(flow), Some(flow_weights)) = (flow, &weights.log_flow) {
            let rows: Vec<Tensor> = flow_time.iter().map(|t| t.narrow(0, from, count)).collect();
            let value = flow.value(&rows, &path.states.narrow(0, from, count));
            loss += (value * flow_weights.narrow(0, from, count)).sum(None);
        }
        if loss.requires_grad() {
            loss.backward();
        }
    }
    let ends = at_the_ends(&tables, path, &weights, dim);
    if ends.requires_grad() {
        ends.backward();
    }
    cut.into_iter().for_each(Cut::backward);
}

/// The weighted exponents of all kernels that are evaluated at states `from .. from + count`.
fn chunk(tables: &Tables, path: &Path, weights: &PathWeights, from: i64, count: i64) -> Tensor {
    let x = path.states.narrow(0, from, count);
    let score = path.scores.as_ref().map(|s| s.narrow(0, from, count));
    let at = tables.at(from, &x, score);
    let mut loss = Tensor::zeros([], (x.kind(), x.device()));
    // Forward kernels leave these states; the last state of all has none.
    let leaving = count.min(tables.record.num_steps - from);
    if leaving > 0 {
        let next = path.states.narrow(0, from + 1, leaving);
        let exponent = tables.forward_exponent(from, &x.narrow(0, 0, leaving), &next, &at.narrow(0, leaving));
        loss += weighted(&weights.log_forward, from, &exponent);
    }
    // Backward kernels leave these states towards the one before; the first state of all has none.
    let skip = i64::from(from == 0);
    if count > skip {
        let (first, steps) = (from + skip - 1, count - skip);
        let previous = path.states.narrow(0, first, steps);
        let here = x.narrow(0, skip, steps);
        let exponent = tables.backward_exponent(first, &previous, &here, &at.narrow(skip, steps));
        loss += weighted(&weights.log_backward, first, &exponent);
    }
    loss
}

/// `Σ w · exponent` for steps `from ..`; weights are `[T, N]` or `[1, N]` for all steps alike.
fn weighted(weights: &Tensor, from: i64, exponent: &Tensor) -> Tensor {
    let rows =
        if weights.size()[0] == 1 { weights.shallow_clone() } else { weights.narrow(0, from, exponent.size()[0]) };
    (exponent * rows).sum(exponent.kind())
}

/// Normalisers of all kernels, the prior, and the reference's terminal density: nothing here costs a network.
fn at_the_ends(tables: &Tables, path: &Path, weights: &PathWeights, dim: i64) -> Tensor {
    let (forward, backward) = tables.log_normalisers(dim);
    let total = |w: &Tensor, normaliser: &Tensor| (w.sum_dim_intlist(1, false, w.kind()) * normaliser).sum(w.kind());
    let mut loss = total(&weights.log_forward, &forward) + total(&weights.log_backward, &backward);
    let log_prior = tables.record.log_prior(&path.states.select(0, 0));
    loss += (log_prior * &weights.log_prior).sum(loss.kind());
    if let Some(terminal) = tables.record.log_terminal(&path.end()) {
        // It divides the target, so it stands on the side of q.
        loss += (terminal * &weights.log_prior).sum(loss.kind());
    }
    loss
}

impl AtState {
    /// The part that belongs to states `from .. from + count` of those evaluated.
    fn narrow(&self, from: i64, count: i64) -> AtState {
        let part = |t: &Tensor| t.narrow(0, from, count);
        AtState {
            score: self.score.as_ref().map(&part),
            forward_control: self.forward_control.as_ref().map(&part),
            backward_control: self.backward_control.as_ref().map(&part),
        }
    }
}

/// Accumulates the gradient of the mean log-RND through the path itself (reparametrised reverse KL).
///
/// The chain is re-simulated in segments of `segment` steps from stored states and stored noise, last segment first;
/// each segment adds its own terms and hands the gradient at its start to the one before. The gradient is that of the
/// whole graph, at the memory of one segment. The mean is over `batch` paths, of which `path` may hold a part.
pub fn through_path(sampler: &DiffusionSampler, target: &dyn Target, path: &Path, segment: i64, batch: i64) {
    let mut tables = Tables::new(sampler);
    let cut = tables.cut();
    let steps = tables.record.num_steps;
    let (scale, share) = (1.0 / batch as f64, path.states.size()[1] as f64 / batch as f64);
    let (noise, start_noise) = path.noise.as_ref().expect("a reparametrised gradient needs the path's noise");
    let mut adjoint = terminal_gradient(&tables, target, &path.end(), scale);
    let mut to = steps;
    while to > 0 {
        let from = (to - segment).max(0);
        let x = path.states.narrow(0, from, 1).detach().set_requires_grad(true);
        let (terms, end) = simulate(&tables, target, &x, noise, from, to);
        (terms * scale + (end * &adjoint).sum(x.kind())).backward();
        adjoint = x.grad();
        to = from;
    }
    let start = start_from(&tables, start_noise);
    let (forward, backward) = tables.log_normalisers(start.size()[1]);
    let densities = tables.record.log_prior(&start).sum(None) * scale + (forward - backward).sum(None) * share;
    let first = densities + (start * adjoint.squeeze_dim(0)).sum(None);
    if first.requires_grad() {
        first.backward();
    }
    cut.backward();
}

/// Gradient of the terminal terms `log terminal(x_T) - log γ(x_T)` with respect to `x_T`, `[1, N, D]`; what they
/// contribute to learned tables is accumulated.
fn terminal_gradient(tables: &Tables, target: &dyn Target, end: &Tensor, scale: f64) -> Tensor {
    let x = end.detach().set_requires_grad(true);
    let mut terms = -target.log_prob(&x);
    if let Some(terminal) = tables.record.log_terminal(&x) {
        terms += terminal;
    }
    (terms.sum(x.kind()) * scale).backward();
    x.grad().unsqueeze(0)
}

/// Steps `from .. to` with their graph: the sum of their exponents' differences and the state at `to`.
fn simulate(tables: &Tables, target: &dyn Target, x: &Tensor, noise: &Tensor, from: i64, to: i64) -> (Tensor, Tensor) {
    let record = &tables.record;
    let mut x = x.shallow_clone();
    let mut at = evaluate(tables, target, from, &x);
    let mut terms = Tensor::zeros([], (x.kind(), x.device()));
    for k in from..to {
        let step_noise = noise.narrow(0, k, 1);
        let next = tables.forward_mean(k, &x, &at).addcmul(&record.forward.std(k, 1), &step_noise);
        let at_next = evaluate(tables, target, k + 1, &next);
        // The forward exponent is -½|ε|² whatever the parameters: only the backward one has a gradient.
        terms -= tables.backward_exponent(k, &x, &next, &at_next).sum(x.kind());
        (x, at) = (next, at_next);
    }
    (terms, x)
}
