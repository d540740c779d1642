//! Sequential Monte Carlo from a flow to its target: annealed Langevin dynamics with weights and resampling ("SBG",
//! Tan et al., "Scalable Equivariant Boltzmann Generators", 2025; the schedule as in PROSE).

mod config;
mod kernel;

use anyhow::Result;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

pub use config::{Kernel, Plan, Schedule, SmcConfig};
pub use kernel::{Bridge, Info, Particles, Time};

use super::energy::{Batched, Energy};
use super::filter::below;
use super::snis::values;
use super::sums::WeightSums;
use crate::bad_input;
use crate::torch::seed::{Stream, reseed};

/// Acceptance rates that leave an adaptive step as it is, and by what it changes outside of them.
const RATES: std::ops::RangeInclusive<f64> = 0.55..=0.6;
const CHANGE: f64 = 1.1;

/// What a step of the anneal left behind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SmcStep {
    pub t: f64,
    /// Normalised ESS before resampling.
    pub ess: f64,
    pub acceptance: f64,
    pub step_size: f64,
    pub resampled: bool,
}

/// The whole run.
#[derive(Debug)]
pub struct SmcOutcome {
    /// Equally weighted particles `[N, D]`.
    pub x: Tensor,
    /// Target energies `[N]` f64.
    pub target: Tensor,
    pub steps: Vec<SmcStep>,
    /// Estimate of `log ∫exp(-E_target) - log ∫exp(-E_source)`; biased where proposals were filtered out.
    pub log_z: f64,
    /// Proposals left out at the start, by energy and by weight.
    pub above_cutoff: usize,
    pub filtered: usize,
    /// Energies that were not finite: a weight of zero each.
    pub non_finite: usize,
    /// Points at which each energy was evaluated, with its gradient.
    pub target_calls: u64,
    pub source_calls: u64,
    /// Starting particles that have descendants, as a share.
    pub survivors: f64,
}

/// Moves proposals `x` `[N, D]` of the source to the target. All randomness follows from `seed`.
pub fn run(config: &SmcConfig, source: &dyn Energy, target: &dyn Energy, x: &Tensor, seed: u64) -> Result<SmcOutcome> {
    let plan = config.resolve()?;
    let _guard = tch::no_grad_guard();
    let bridge = Bridge { source: Batched::new(source, config.batch), target: Batched::new(target, config.batch) };
    let (mut particles, mut outcome) = start(config, &bridge, x)?;
    let count = particles.x.size()[0];
    let mut lineage = Tensor::arange(count, (Kind::Int64, Device::Cpu));
    let mut step_size = plan.step_size;

    for (k, (t, dt)) in config.times(plan.num_steps).into_iter().enumerate() {
        reseed(seed, Stream::Eval, k as u64 + 1);
        let noise = particles.x.randn_like();
        let uniforms = Tensor::rand([count], (Kind::Double, Device::Cpu)).to_device(particles.x.device());
        let (moved, info) = bridge.step(&particles, config.kernel, Time { t, dt, step_size }, &noise, &uniforms);
        particles = moved;
        outcome.non_finite += info.non_finite as usize;
        let ess = WeightSums::of(&values(&particles.log_weight)?).normalised_ess();
        let last = k as u64 + 1 == plan.num_steps;
        let resampled = last || ess < config.ess_threshold;
        outcome.steps.push(SmcStep { t, ess, acceptance: info.acceptance, step_size, resampled });
        if resampled {
            let (drawn, log_mean) = resample(config, &particles, t)?;
            outcome.log_z += log_mean;
            particles = particles.select(&drawn.to_device(particles.x.device()), particles.log_weight.zeros_like());
            lineage = lineage.index_select(0, &drawn);
        }
        if plan.adaptive {
            step_size = adapted(step_size, info.acceptance);
        }
    }

    outcome.survivors = distinct(&lineage)? as f64 / count as f64;
    outcome.target_calls = bridge.target.calls();
    outcome.source_calls = bridge.source.calls();
    Ok(SmcOutcome { x: particles.x, target: particles.target, ..outcome })
}

/// The particles that pass the filters, with equal weights.
fn start(config: &SmcConfig, bridge: &Bridge, x: &Tensor) -> Result<(Particles, SmcOutcome)> {
    let zero = Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
    let all = bridge.particles(x, &zero);
    let dead = all.alive().logical_not();
    let energies = values(&all.target.masked_fill(&dead, f64::NAN))?;
    let log_weights = values(&(&all.source - &all.target).masked_fill(&dead, f64::NEG_INFINITY))?;

    let low = below(&energies, config.energy_cutoff.unwrap_or(f64::INFINITY));
    let weights: Vec<f64> = low.iter().map(|i| log_weights[*i]).collect();
    let (kept, _) = config.filter.rule(&weights).apply(&weights);
    let non_finite = dead.sum(Kind::Int64).int64_value(&[]) as usize;
    if kept.is_empty() {
        let cutoff = config.energy_cutoff.unwrap_or(f64::INFINITY);
        let n = energies.len();
        return Err(bad_input!(
            "'smc.energy_cutoff': none of {n} proposals has a finite energy below {cutoff} kT; expected a higher one"
        ));
    }
    let index: Vec<i64> = kept.iter().map(|k| low[*k] as i64).collect();
    let index = Tensor::from_slice(&index).to_device(x.device());
    // log Z counts proposals without an energy as the zeros they are.
    let finite_share = (energies.len() - non_finite) as f64 / energies.len() as f64;
    let outcome = SmcOutcome {
        x: Tensor::new(),
        target: Tensor::new(),
        steps: Vec::new(),
        log_z: finite_share.ln(),
        above_cutoff: energies.len() - non_finite - low.len(),
        filtered: low.len() - kept.len(),
        non_finite,
        target_calls: 0,
        source_calls: 0,
        survivors: 1.0,
    };
    Ok((all.select(&index, zero.index_select(0, &index)), outcome))
}

/// Indices of the survivors and the log of the mean weight.
fn resample(config: &SmcConfig, particles: &Particles, t: f64) -> Result<(Tensor, f64)> {
    let log_weights = values(&particles.log_weight)?;
    let uniforms = config.resampling.uniforms(log_weights.len()) as i64;
    let uniforms = values(&Tensor::rand([uniforms], (Kind::Double, Device::Cpu)))?;
    let drawn = config.resampling.draw(&log_weights, log_weights.len(), &uniforms);
    let drawn = drawn.ok_or_else(|| anyhow::anyhow!("no particle has a finite energy any more at t = {t}"))?;
    Ok((Tensor::from_slice(&drawn), WeightSums::of(&log_weights).log_mean()))
}

fn adapted(step_size: f64, acceptance: f64) -> f64 {
    if acceptance > *RATES.end() {
        step_size * CHANGE
    } else if acceptance < *RATES.start() {
        step_size / CHANGE
    } else {
        step_size
    }
}

fn distinct(lineage: &Tensor) -> Result<usize> {
    let mut ids = Vec::<i64>::try_from(lineage)?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids.len())
}
