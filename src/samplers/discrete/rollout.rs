//! The one simulation of a jump process on a time grid.

use tch::{Device, Kind, Tensor};

use super::config::{GridConfig, Weights};
use super::correct::{heat_bath, metropolis, resample};
use super::dmala::dmala;
use super::kernel::{Step, draw, log_probability, probabilities};
use super::noise::Noise;
use crate::nets::RateNet;
use crate::processes::ctmc::{AnnealedPath, backward_rates, forward_rates, residual};
use crate::targets::lattice::DiscreteTarget;

/// What a simulation leaves behind besides its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    Ends,
    /// States and residuals at all times, for training; residuals with log-ratios clamped.
    States {
        clamp: Option<f64>,
    },
}

/// Simulated rows.
#[derive(Debug)]
pub struct Path {
    /// States at the last time, which is 1 unless training asks for an earlier one, `[B, D]` i64.
    pub x: Tensor,
    /// `[B]` f64; the mean of its exponential estimates Z.
    pub log_weight: Tensor,
    /// States at all times, `[K + 1, B, D]` u8.
    pub states: Option<Tensor>,
    /// Residuals there, `[K + 1, B]` f64.
    pub residuals: Option<Tensor>,
    pub network_calls: u64,
    pub target_calls: u64,
}

/// What is simulated.
pub struct Simulation<'a> {
    pub net: &'a dyn RateNet,
    pub target: &'a dyn DiscreteTarget,
    pub device: Device,
}

/// Sites that a network looks at in one piece on the CPU, all rows together.
const PIECE: i64 = 4096;

/// Rows to evaluate at once: a GPU takes all of them.
pub fn piece_rows(sites: i64, device: Device) -> i64 {
    if device == Device::Cpu { (PIECE / sites).max(1) } else { i64::MAX }
}

/// Everything that is known at one time of one state. All f64.
pub struct Point {
    /// `[B]`
    pub log_rho: Tensor,
    /// Of `p~_t`, `[B, D, S]`.
    pub log_ratios: Tensor,
    /// `[B, D, S]`
    pub g: Tensor,
}

impl Simulation<'_> {
    pub fn path(&self) -> AnnealedPath {
        AnnealedPath { sites: self.target.sites(), states: self.target.num_states() }
    }

    /// Network and target at `x` `[B, D]`, `t` a number.
    pub fn at(&self, x: &Tensor, t: f64) -> Point {
        // One number seen as many: the network computes its time features once.
        let times = Tensor::full([1], t, (Kind::Float, self.device)).expand([x.size()[0]], false);
        self.at_times(x, &times, &Tensor::full([], t, (Kind::Double, self.device)))
    }

    /// The same for times `[B]` f32 and, for the ratios, f64 (`[]` or `[B, 1, 1]`).
    pub fn at_times(&self, x: &Tensor, t: &Tensor, t_exact: &Tensor) -> Point {
        Point {
            log_rho: self.target.log_prob(x).to_kind(Kind::Double),
            log_ratios: self.target.log_ratios(x).to_kind(Kind::Double) * t_exact,
            g: self.rates(x, t).to_kind(Kind::Double),
        }
    }

    /// The network's `G`, in pieces that bound its memory.
    fn rates(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let rows = x.size()[0];
        let piece = if self.net.rows_differ() { rows } else { piece_rows(self.target.sites(), self.device) };
        let part = |from: i64| {
            let count = piece.min(rows - from);
            self.net.forward(&x.narrow(0, from, count), &t.narrow(0, from, count))
        };
        let parts: Vec<Tensor> = (0..rows).step_by(piece as usize).map(part).collect();
        if let [only] = parts.as_slice() { only.shallow_clone() } else { Tensor::cat(&parts, 0) }
    }

    /// `log p~_t`, `[B]`.
    pub fn log_prob(&self, at: &Point, t: f64) -> Tensor {
        self.path().log_prob(&Tensor::full([], t, (Kind::Double, self.device)), &at.log_rho)
    }

    pub fn residual(&self, at: &Point, clamp: Option<f64>) -> Tensor {
        residual(&self.path().slope(&at.log_rho), &at.g, &at.log_ratios, clamp)
    }
}

/// The times of a rollout, from 0 on.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    at: Vec<f64>,
    /// Length of all steps, where they are even.
    even: Option<f64>,
}

impl Times {
    /// `times` begin at 0 and do not fall.
    pub fn new(times: Vec<f64>) -> Self {
        Self { at: times, even: None }
    }

    /// `0, 1/K, .., 1`.
    pub fn even(steps: i64) -> Self {
        let h = 1.0 / steps as f64;
        let at = (0..=steps).map(|k| if k == steps { 1.0 } else { k as f64 * h }).collect();
        Self { at, even: Some(h) }
    }

    pub fn steps(&self) -> i64 {
        self.at.len() as i64 - 1
    }

    pub fn at(&self, k: i64) -> f64 {
        self.at[k as usize]
    }

    /// Length of the step from time `k` on.
    pub fn step(&self, k: i64) -> f64 {
        self.even.unwrap_or_else(|| self.at(k + 1) - self.at(k))
    }

    /// All of them, `[K + 1]` f64.
    pub fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.at)
    }
}

/// Simulates `rows` rows from the uniform law to the target. Without gradients.
pub fn rollout(sim: &Simulation, step: Step, config: &GridConfig, rows: i64, keep: Keep, noise: Noise) -> Path {
    rollout_on(sim, step, config, &Times::even(config.num_steps), rows, keep, noise)
}

/// The same on given times, which may end before 1 and need not be even.
pub fn rollout_on(
    sim: &Simulation,
    step: Step,
    config: &GridConfig,
    times: &Times,
    rows: i64,
    keep: Keep,
    mut noise: Noise,
) -> Path {
    let _guard = tch::no_grad_guard();
    let steps = times.steps();
    let mut x = noise.states(rows, sim.target.sites(), sim.target.num_states()).to_device(sim.device);
    let mut log_weight = Tensor::zeros([rows], (Kind::Double, sim.device));
    let mut record = Record { keep, states: Vec::new(), residuals: Vec::new() };

    // Midpoint sums look half a step ahead of the state; only some sums look at the state after a move.
    let offset = |k: i64| if config.weights == Weights::Midpoint { 0.5 * times.step(k) } else { 0.0 };
    let looks_ahead = matches!(config.weights, Weights::Trapezoid | Weights::Path) || keep != Keep::Ends;
    let mut at = sim.at(&x, offset(0));
    let mut calls = 1;
    for k in 0..steps {
        let (t, next_t, h, last) = (times.at(k), times.at(k + 1), times.step(k), k + 1 == steps);
        let look = |x: &Tensor| sim.at(x, if last { next_t } else { next_t + offset(k + 1) });
        record.push(sim, &x, &at);
        let forward = probabilities(step, &forward_rates(&at.g, &at.log_ratios, config.mixing), &x, h);
        let y = draw(&forward, &noise.uniform(&x.size()).to_device(sim.device));
        let next = (looks_ahead || !last).then(|| look(&y));
        calls += u64::from(next.is_some());
        log_weight += match (config.weights, &next) {
            (Weights::Trapezoid, Some(next)) => (sim.residual(&at, None) + sim.residual(next, None)) * (0.5 * h),
            (Weights::Path, Some(next)) => {
                let rates = backward_rates(&next.g, &next.log_ratios, config.mixing);
                let backward = log_probability(&probabilities(step, &rates, &y, h), &x);
                sim.log_prob(next, next_t) - sim.log_prob(&at, t) + backward - log_probability(&forward, &y)
            }
            _ => sim.residual(&at, None) * h,
        };

        // Corrections come after the weight is settled; the network must look again at what they changed.
        match (correct(sim, config, &y, &mut log_weight, next_t, &mut noise), next) {
            (Some(changed), Some(_)) => {
                calls += 1;
                at = look(&changed);
                x = changed;
            }
            (Some(changed), None) => x = changed,
            (None, Some(next)) => (x, at) = (y, next),
            (None, None) => x = y,
        }
    }
    record.push(sim, &x, &at);
    record.finish(x, log_weight, calls)
}

/// States and residuals as they come.
struct Record {
    keep: Keep,
    states: Vec<Tensor>,
    residuals: Vec<Tensor>,
}

impl Record {
    fn push(&mut self, sim: &Simulation, x: &Tensor, at: &Point) {
        if let Keep::States { clamp } = self.keep {
            self.states.push(x.to_kind(Kind::Uint8));
            self.residuals.push(sim.residual(at, clamp));
        }
    }

    fn finish(self, x: Tensor, log_weight: Tensor, calls: u64) -> Path {
        let stack = |list: Vec<Tensor>| (!list.is_empty()).then(|| Tensor::stack(&list, 0));
        let calls = calls * x.size()[0] as u64;
        let (states, residuals) = (stack(self.states), stack(self.residuals));
        Path { x, log_weight, states, residuals, network_calls: calls, target_calls: calls }
    }
}

/// Resampling and single-site updates at time t; the new states where there was either.
fn correct(
    sim: &Simulation,
    config: &GridConfig,
    x: &Tensor,
    log_weight: &mut Tensor,
    t: f64,
    noise: &mut Noise,
) -> Option<Tensor> {
    let mut changed = None;
    if let Some((rows, mean)) = resample(x, log_weight, config.resample_below, noise) {
        *log_weight = mean;
        changed = Some(rows);
    }
    if config.heat_bath_updates > 0 {
        let from = changed.as_ref().unwrap_or(x);
        changed = Some(heat_bath(sim.target, from, t, config.heat_bath_updates, noise));
    }
    if config.metropolis_updates > 0 {
        let from = changed.as_ref().unwrap_or(x);
        changed = Some(metropolis(sim.target, from, t, config.metropolis_updates, noise));
    }
    if config.dmala_steps > 0 {
        let from = changed.as_ref().unwrap_or(x);
        changed = Some(dmala(sim.target, from, t, config.dmala_steps, config.dmala_step_size, noise));
    }
    changed
}
