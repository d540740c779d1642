//! The one simulation for all diffusion samplers, without a graph: forwards from the prior, and backwards from samples
//! of the target for the metrics that need them.

use tch::{Kind, Tensor};

use super::path::{AtState, Path, Tables};
use crate::processes::record::Start;
use crate::targets::Target;

/// What a rollout keeps besides the ends and the log densities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: evaluation.
    Ends,
    /// States and scores: gradients of losses on detached paths.
    States,
    /// States and the noise that made them: gradients through the path.
    Noise,
}

/// What a simulation runs on. `noise` gives the next standard normals, `[N, D]`.
pub struct Simulation<'a> {
    pub tables: &'a Tables<'a>,
    pub target: &'a dyn Target,
    pub noise: &'a mut dyn FnMut() -> Tensor,
}

/// Simulates paths from the prior, as many as `noise` has rows; takes noise for the start, then for each step.
pub fn rollout(simulation: Simulation, keep: Keep) -> Path {
    let _guard = tch::no_grad_guard();
    let Simulation { tables, target, noise } = simulation;
    let record = &tables.record;
    let start_noise = noise();
    let start = start_from(tables, &start_noise);
    let mut recorder = Recorder::new(tables, target.dim(), keep);
    let log_prior = record.log_prior(&start).to_kind(Kind::Double);
    let mut x = start.unsqueeze(0); // [1, N, D]
    let mut at = evaluate(tables, target, 0, &x);
    for k in 0..record.num_steps {
        recorder.state(&x, &at);
        let step_noise = noise().unsqueeze(0);
        let next = tables.forward_mean(k, &x, &at).addcmul(&record.forward.std(k, 1), &step_noise);
        let at_next = evaluate(tables, target, k + 1, &next);
        let forward = step_noise.square().sum_dim_intlist(-1, false, x.kind()) * -0.5; // [1, N]
        recorder.step(forward, tables.backward_exponent(k, &x, &next, &at_next), step_noise);
        (x, at) = (next, at_next);
    }
    recorder.finish(tables, target, start_noise, log_prior, x, at)
}

/// Simulates paths backwards from samples of the target `[N, D]`: the law under which EUBO and the forward metrics are
/// expectations.
pub fn rollback(simulation: Simulation, samples: &Tensor) -> Path {
    let _guard = tch::no_grad_guard();
    let Simulation { tables, target, noise } = simulation;
    let record = &tables.record;
    let mut recorder = Recorder::new(tables, target.dim(), Keep::Ends);
    let end = samples.unsqueeze(0);
    let mut x = end.shallow_clone();
    let mut at = evaluate(tables, target, record.num_steps, &x);
    for k in (0..record.num_steps).rev() {
        let std = record.backward.std(k, 1);
        let previous = tables.backward_mean(k, &x, &at).addcmul(&std, &noise().unsqueeze(0));
        let at_previous = evaluate(tables, target, k, &previous);
        let forward = tables.forward_exponent(k, &previous, &x, &at_previous);
        recorder.step(forward, tables.backward_exponent(k, &previous, &x, &at), Tensor::new());
        (x, at) = (previous, at_previous);
    }
    recorder.reverse();
    let start = x.squeeze_dim(0);
    let log_prior = record.log_prior(&start).to_kind(Kind::Double);
    recorder.finish(tables, target, start, log_prior, end, at)
}

/// Score and controls at state `j`.
pub(super) fn evaluate(tables: &Tables, target: &dyn Target, j: i64, x: &Tensor) -> AtState {
    let score = tables.record.needs_score().then(|| target.score(&x.squeeze_dim(0)).unsqueeze(0));
    tables.at(j, x, score)
}

/// The start of a chain made of standard normals `[N, D]`.
pub(super) fn start_from(tables: &Tables, noise: &Tensor) -> Tensor {
    match &tables.record.start {
        Start::Gaussian { mean, std } => mean + noise * std,
        Start::Origin => noise.zeros_like(),
    }
}

/// Gathers what a rollout keeps.
struct Recorder {
    keep: Keep,
    states: Vec<Tensor>,
    scores: Vec<Tensor>,
    noise: Vec<Tensor>,
    forward: Vec<Tensor>,
    backward: Vec<Tensor>,
    normalisers: (Tensor, Tensor),
}

impl Recorder {
    fn new(tables: &Tables, dim: i64, keep: Keep) -> Self {
        let (forward, backward) = tables.log_normalisers(dim);
        let wide = |t: Tensor| t.to_kind(Kind::Double).unsqueeze(1);
        let normalisers = (wide(forward), wide(backward));
        Self { keep, states: vec![], scores: vec![], noise: vec![], forward: vec![], backward: vec![], normalisers }
    }

    fn state(&mut self, x: &Tensor, at: &AtState) {
        if self.keep != Keep::Ends {
            self.states.push(x.shallow_clone());
            self.scores.extend(at.score.as_ref().map(Tensor::shallow_clone));
        }
    }

    fn step(&mut self, forward: Tensor, backward: Tensor, noise: Tensor) {
        self.forward.push(forward);
        self.backward.push(backward);
        if self.keep == Keep::Noise {
            self.noise.push(noise);
        }
    }

    /// Puts steps recorded from the last to the first into order.
    fn reverse(&mut self) {
        self.forward.reverse();
        self.backward.reverse();
    }

    fn finish(
        mut self,
        tables: &Tables,
        target: &dyn Target,
        start_noise: Tensor,
        log_prior: Tensor,
        end: Tensor,
        at_end: AtState,
    ) -> Path {
        let last = end.squeeze_dim(0);
        let mut log_target = target.log_prob(&last);
        if let Some(terminal) = tables.record.log_terminal(&last) {
            log_target -= terminal;
        }
        let keeps = self.keep != Keep::Ends;
        self.states.push(end);
        self.scores.extend(at_end.score.filter(|_| keeps));
        let join = |rows: &[Tensor]| Tensor::cat(rows, 0);
        let sum = |rows: &[Tensor], normaliser: &Tensor| join(rows).to_kind(Kind::Double) + normaliser;
        Path {
            states: join(&self.states),
            scores: (!self.scores.is_empty()).then(|| join(&self.scores)),
            noise: (self.keep == Keep::Noise).then(|| (join(&self.noise), start_noise)),
            log_forward: sum(&self.forward, &self.normalisers.0),
            log_backward: sum(&self.backward, &self.normalisers.1),
            log_prior,
            log_target: log_target.to_kind(Kind::Double),
        }
    }
}
