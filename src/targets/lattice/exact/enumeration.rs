//! All states of a small law, one by one.

use tch::{Device, Kind, Tensor};

use super::super::{DiscreteTarget, Interaction, PairModel};
use super::{Exact, order};

/// Most states that are visited one by one (about a second), and most that are put into tensors.
const MOST: f64 = 6.8e7;
const MOST_IN_TENSORS: f64 = 3e5;

/// Changes after which energy and field are computed afresh, so that rounding errors do not pile up.
const AFRESH: u64 = 1 << 16;

/// Whether [`pairs`] may be asked.
pub fn fits(states: usize, sites: usize) -> bool {
    (states as f64).powi(sites as i32) <= MOST
}

/// Whether [`log_z`] and [`states`] may be asked.
pub fn fits_tensors(states: usize, sites: usize) -> bool {
    (states as f64).powi(sites as i32) <= MOST_IN_TENSORS
}

/// All `S^D` states, `[S^D, D]` i64, site 0 the most significant digit.
pub fn states(states: i64, sites: i64) -> Tensor {
    let index = Tensor::arange(states.pow(sites as u32), (Kind::Int64, Device::Cpu)); // [S^D]
    let digit = |i: i64| index.floor_divide_scalar(states.pow((sites - 1 - i) as u32)).remainder(states);
    Tensor::stack(&(0..sites).map(digit).collect::<Vec<_>>(), 1)
}

/// log Z of any small law.
pub fn log_z(target: &dyn DiscreteTarget) -> Exact {
    let all = states(target.num_states(), target.sites());
    let (log_prob, _) = super::super::evaluate(target, &all, Device::Cpu);
    let log_z = log_prob.to_kind(Kind::Double).logsumexp([0i64].as_slice(), false).double_value(&[]);
    Exact { method: "enumeration", log_z, ..Exact::default() }
}

/// All figures of a small pair model but its two-point function.
///
/// States follow each other in the reflected Gray code of their digits (D. Knuth, The Art of Computer Programming 4A,
/// sec. 7.2.1.1, algorithm H), so each differs from the last in one site.
pub fn pairs(model: &PairModel) -> Exact {
    let mut walk = Walk::new(model);
    let mut sums = Sums::new(model);
    sums.add(&walk);
    let mut count = 1u64;
    while walk.step() {
        if count.is_multiple_of(AFRESH) {
            walk.refresh();
            sums.carry();
        }
        sums.add(&walk);
        count += 1;
    }
    sums.finish()
}

/// Probabilities that 0 .. D sites of a small model are in its last state, `D + 1` numbers.
pub fn occupation(model: &PairModel) -> Vec<f64> {
    let mut walk = Walk::new(model);
    // Sums for each number of sites, weighted by `exp(log_prob - top)`.
    let (mut top, mut sums) = (f64::NEG_INFINITY, vec![0.0; model.sites + 1]);
    let mut count = 0u64;
    loop {
        count += 1;
        if count.is_multiple_of(AFRESH) {
            walk.refresh();
        }
        let log_prob = walk.field - model.beta * walk.energy;
        if log_prob > top {
            let scale = (top - log_prob).exp();
            sums.iter_mut().for_each(|sum| *sum *= scale);
            top = log_prob;
        }
        sums[walk.counts[model.states - 1] as usize] += (log_prob - top).exp();
        if !walk.step() {
            break;
        }
    }
    let total: f64 = sums.iter().sum();
    sums.into_iter().map(|sum| sum / total).collect()
}

/// A state with its energy, field and counts.
struct Walk<'a> {
    model: &'a PairModel,
    x: Vec<u8>,
    counts: Vec<u32>,
    energy: f64,
    field: f64,
    /// Algorithm H's directions and focus pointers.
    up: Vec<bool>,
    focus: Vec<usize>,
    local: Vec<f64>,
}

impl<'a> Walk<'a> {
    fn new(model: &'a PairModel) -> Self {
        let n = model.sites;
        let mut counts = vec![0; model.states];
        counts[0] = n as u32;
        let (up, focus) = (vec![true; n], (0..=n).collect());
        let local = vec![0.0; model.states];
        let mut walk = Self { model, x: vec![0; n], counts, energy: 0.0, field: 0.0, up, focus, local };
        walk.refresh();
        walk
    }

    fn refresh(&mut self) {
        (self.energy, self.field) = (self.model.energy(&self.x), self.model.field(&self.x));
    }

    /// Goes to the next state; `false` at the last.
    fn step(&mut self) -> bool {
        let j = std::mem::replace(&mut self.focus[0], 0);
        if j == self.model.sites {
            return false;
        }
        let old = self.x[j];
        let new = if self.up[j] { old + 1 } else { old - 1 };
        self.change(j, old, new);
        if new == 0 || new as usize == self.model.states - 1 {
            self.up[j] = !self.up[j];
            self.focus[j] = self.focus[j + 1];
            self.focus[j + 1] = j + 1;
        }
        true
    }

    fn change(&mut self, site: usize, old: u8, new: u8) {
        let (old_at, new_at) = (old as usize, new as usize);
        self.model.local(&self.x, site, &mut self.local);
        self.energy -= self.local[new_at] - self.local[old_at];
        let bias = &self.model.bias[site * self.model.states..];
        self.field += bias[new_at] - bias[old_at];
        self.counts[old_at] -= 1;
        self.counts[new_at] += 1;
        self.x[site] = new;
    }
}

/// Sums over states, weighted by `exp(log_prob - top)`.
struct Sums<'a> {
    model: &'a PairModel,
    top: f64,
    /// No state's energy is below this; sums are of what lies above, so that a small variance keeps its digits.
    lowest: f64,
    /// Of 1, E, E², m, |m|, m², m⁴.
    sums: [f64; 7],
    /// Of earlier stretches: sums of sums lose fewer digits than one long sum.
    carried: [f64; 7],
}

impl<'a> Sums<'a> {
    fn new(model: &'a PairModel) -> Self {
        let strongest = (0..model.states as u8).map(|a| model.g(a, a).abs()).fold(0.0, f64::max);
        let lowest = -strongest * model.bonds.iter().map(|(_, _, coupling)| coupling.abs()).sum::<f64>();
        Self { model, top: f64::NEG_INFINITY, lowest, sums: [0.0; 7], carried: [0.0; 7] }
    }

    fn add(&mut self, walk: &Walk) {
        let log_prob = walk.field - self.model.beta * walk.energy;
        if log_prob > self.top {
            let scale = (self.top - log_prob).exp();
            self.sums.iter_mut().chain(&mut self.carried).for_each(|sum| *sum *= scale);
            self.top = log_prob;
        }
        let weight = (log_prob - self.top).exp();
        let (m1, m2) = order(&walk.counts);
        let m = if walk.counts.len() == 2 && walk.counts[1] < walk.counts[0] { -m1 } else { m1 };
        let e = walk.energy - self.lowest;
        for (sum, value) in self.sums.iter_mut().zip([1.0, e, e * e, m, m1, m2, m2 * m2]) {
            *sum += weight * value;
        }
    }

    /// Begins a new stretch.
    fn carry(&mut self) {
        for (carried, sum) in self.carried.iter_mut().zip(&mut self.sums) {
            *carried += std::mem::take(sum);
        }
    }

    fn finish(mut self) -> Exact {
        self.carry();
        let [z, ..] = self.carried;
        let [_, e, e2, m, abs, m2, m4] = self.carried.map(|sum| sum / z);
        let spins = matches!(self.model.interaction, Interaction::Product(_)) || self.model.states == 2;
        Exact {
            method: "enumeration",
            log_z: self.model.offset + self.top + z.ln(),
            energy: Some(self.lowest + e),
            energy_variance: Some(e2 - e * e),
            magnetisation: spins.then_some(m),
            abs_magnetisation: Some(abs),
            magnetisation2: Some(m2),
            magnetisation4: Some(m4),
            two_point: None,
        }
    }
}
