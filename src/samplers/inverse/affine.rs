//! Chains whose modes are autoregressions `x' = r x + c + s z`, each by itself: Langevin dynamics under a Gaussian prior, a
//! diagonal operator and a diagonal preconditioner.
//!
//! Modes are divided into chunks that stay in the cache with all that is kept of them, and one chain after another runs
//! there from its first iteration to its last: a hundred million steps of a mode take a third of a second, of which
//! nearly all is the generator of normals. Memory traffic there is none.

use std::sync::atomic::{AtomicUsize, Ordering};

use tch::Tensor;

use super::record::{Plan, Record};
use super::{Law, ScoreError};
use crate::targets::inverse::Problem;
use crate::torch::normal::Normals;
use crate::torch::seed::Stream;
use crate::torch::threads;

/// Modes in a chunk: eleven arrays of them fit the nearest cache.
const CHUNK: usize = 256;

/// The coefficients of every mode.
pub struct Affine {
    factor: Vec<f64>,
    shift: Vec<f64>,
    noise: Vec<f64>,
}

impl Affine {
    /// Euler steps h of the dynamics with this law under diag(λ).
    pub fn new(problem: &Problem, error: &ScoreError, law: &Law, lambda: &Tensor, step: f64) -> Self {
        let shift = (lambda * problem.pull() - &error.eps_b) * step;
        Self {
            factor: numbers(&(1.0 - &law.rate * step)),
            shift: numbers(&shift),
            noise: numbers(&(lambda * (2.0 * step)).sqrt()),
        }
    }

    /// Runs chains from `start` `[N, D]` on all [`workers`](threads::workers); the result does not depend on their number.
    pub fn run(&self, start: &Tensor, center: &Tensor, plan: &Plan) -> Record {
        let size = start.size();
        let (chains, dim) = (size[0] as usize, size[1] as usize);
        let (start, middle) = (numbers(start), numbers(center));
        let chunks = dim.div_ceil(CHUNK);
        let next = AtomicUsize::new(0);
        let work = |_| {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= chunks {
                    return done;
                }
                let modes = at * CHUNK..((at + 1) * CHUNK).min(dim);
                done.push(self.run_chunk(modes, (chains, dim), &start, &middle, plan));
            }
        };
        let parts = threads::each(vec![(); threads::workers().min(chunks)], work, || ());
        assemble(parts.into_iter().flatten().collect(), (chains, dim), center, plan)
    }

    fn run_chunk(
        &self,
        modes: std::ops::Range<usize>,
        (chains, dim): (usize, usize),
        start: &[f64],
        center: &[f64],
        plan: &Plan,
    ) -> Part {
        let mut part = Part::new(modes.clone(), chains, plan);
        let (r, c, s) = (&self.factor[modes.clone()], &self.shift[modes.clone()], &self.noise[modes.clone()]);
        let center = &center[modes.clone()];
        for chain in 0..chains {
            let stream = (modes.start / CHUNK * chains + chain) as u64;
            let mut normals = Normals::new(plan.seed, Stream::Train, stream);
            let mut x = start[chain * dim..][modes.clone()].to_vec();
            let mut snapshot = 0;
            for n in 1..=plan.iterations {
                advance(&mut x, r, c, s, &mut normals);
                if plan.takes(n) {
                    part.take(chain, &x, center);
                }
                if plan.snapshots.get(snapshot) == Some(&n) {
                    part.snapshot(snapshot, &x);
                    snapshot += 1;
                }
                if n > plan.burn_in {
                    part.trace(chain, &x);
                }
            }
            part.last.extend_from_slice(&x);
        }
        part
    }
}

/// One iteration of a chunk.
#[inline]
fn advance(x: &mut [f64], r: &[f64], c: &[f64], s: &[f64], normals: &mut Normals) {
    let len = x.len();
    let (r, c, s) = (&r[..len], &c[..len], &s[..len]);
    for j in 0..len {
        x[j] = r[j] * x[j] + c[j] + s[j] * normals.draw();
    }
}

/// What was kept of one chunk of modes; rows are chains.
struct Part {
    modes: std::ops::Range<usize>,
    first: Vec<f64>,
    second: Vec<f64>,
    snapshots: Vec<f64>,
    /// Traced modes by their row in the plan and place in the chunk, and their values chain by chain.
    traced: Vec<(usize, usize)>,
    traced_chains: usize,
    traces: Vec<Vec<f64>>,
    last: Vec<f64>,
}

impl Part {
    fn new(modes: std::ops::Range<usize>, chains: usize, plan: &Plan) -> Self {
        let len = modes.len();
        let rows = plan.traced.iter().enumerate().map(|(row, mode)| (row, *mode as usize));
        let traced: Vec<_> =
            rows.filter(|(_, mode)| modes.contains(mode)).map(|(row, mode)| (row, mode - modes.start)).collect();
        Self {
            first: vec![0.0; chains * len],
            second: vec![0.0; chains * len],
            snapshots: vec![0.0; plan.snapshots.len() * len],
            traces: vec![Vec::new(); traced.len()],
            traced,
            traced_chains: (plan.traced_chains as usize).min(chains),
            last: Vec::with_capacity(chains * len),
            modes,
        }
    }

    fn take(&mut self, chain: usize, x: &[f64], center: &[f64]) {
        let len = x.len();
        let (first, second) = (&mut self.first[chain * len..][..len], &mut self.second[chain * len..][..len]);
        for j in 0..len {
            let off = x[j] - center[j];
            first[j] += off;
            second[j] += off * off;
        }
    }

    fn snapshot(&mut self, number: usize, x: &[f64]) {
        let sums = &mut self.snapshots[number * x.len()..][..x.len()];
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }

    fn trace(&mut self, chain: usize, x: &[f64]) {
        if chain < self.traced_chains {
            for ((_, place), values) in self.traced.iter().zip(&mut self.traces) {
                values.push(x[*place]);
            }
        }
    }
}

/// Puts the chunks side by side.
fn assemble(parts: Vec<Part>, (chains, dim): (usize, usize), center: &Tensor, plan: &Plan) -> Record {
    let (taken, shots) = (plan.taken() as f64, plan.snapshots.len());
    let wide = |rows: usize, pick: &dyn Fn(&Part) -> &[f64], unit: f64| {
        let mut all = vec![0.0; rows * dim];
        for part in &parts {
            for (row, values) in pick(part).chunks_exact(part.modes.len()).enumerate() {
                let into = &mut all[row * dim..][part.modes.clone()];
                into.iter_mut().zip(values).for_each(|(into, value)| *into = value / unit);
            }
        }
        Tensor::from_slice(&all).view([rows as i64, dim as i64])
    };
    let mut traces = vec![&[][..]; plan.traced.len()];
    for part in &parts {
        part.traced.iter().zip(&part.traces).for_each(|((row, _), values)| traces[*row] = values);
    }
    let traced_chains = (plan.traced_chains as usize).min(chains) as i64;
    let kept = (plan.iterations - plan.burn_in) as i64;
    Record {
        center: center.shallow_clone(),
        first: wide(chains, &|part| &part.first, taken),
        second: wide(chains, &|part| &part.second, taken),
        snapshots: wide(shots, &|part| &part.snapshots, chains as f64),
        traces: Tensor::from_slice(&traces.concat()).view([plan.traced.len() as i64, traced_chains, kept]),
        last: wide(chains, &|part| &part.last, 1.0),
        acceptance: None,
    }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    let flat = t.contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}
