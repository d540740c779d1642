//! Figures of weighted samples beside exact ones.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::config::DiscreteConfig;
use super::{exact, mcmc};
use crate::metrics::hamming::exp_hamming_mmd2;
use crate::metrics::weights::{Reverse, effective_sample_size};
use crate::samplers::discrete::Path;
use crate::samplers::importance::resample::Resampling;
use crate::targets::lattice::exact::enumeration;
use crate::targets::lattice::figures::Figures;
use crate::targets::lattice::{DiscreteTarget, LatticeConfig, decode, encode};
use crate::train::objective::Evaluation;

/// Samples whose discrepancy from others is computed: the cost is their square.
const MOST_COMPARED: usize = 4000;

/// What is known of a law without sampling it.
#[derive(Default)]
pub struct Reference {
    pub figures: Vec<(String, f64)>,
    /// Probabilities that 0 .. D sites are in the last state (two states, few sites).
    pub occupation: Option<Vec<f64>>,
}

impl Reference {
    /// The exact figures of a law, where a method exists.
    pub fn new(law: &LatticeConfig) -> Result<Self> {
        let target = law.build((Kind::Double, Device::Cpu))?;
        let figures = exact::figures(law, &*target)?.map(|(_, figures)| figures).unwrap_or_default();
        let small = target.pairs().filter(|model| {
            let own = model.sites as i64 == target.sites();
            own && model.states == 2 && enumeration::fits(model.states, model.sites)
        });
        Ok(Self { figures, occupation: small.map(enumeration::occupation) })
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// A weighted mean with the delta method's standard error.
struct Mean {
    value: f64,
    error: f64,
}

/// ELBO, log Z, ESS; thermodynamics and the figures of the samples, each with its standard error `_se` and, where it is
/// known, its exact value `_exact` and the distance from it in standard errors, `_sigma`.
pub fn evaluate(
    config: &DiscreteConfig,
    target: &dyn DiscreteTarget,
    reference: &Reference,
    path: &Path,
    last: bool,
) -> Result<Evaluation> {
    let log_weights = Vec::<f64>::try_from(path.log_weight.to_device(Device::Cpu))?;
    let reverse = Reverse::new(&log_weights, reference.get("log_z"));
    let mut scalars = vec![("elbo", reverse.elbo), ("elbo_se", reverse.elbo_se)];
    scalars.extend([("log_z", reverse.log_z), ("log_z_se", reverse.log_z_se)]);
    scalars.extend([("ess", ess(&log_weights, config.eval.samples)), ("undefined_weights", reverse.undefined as f64)]);
    if let Some(exact) = reference.get("log_z") {
        scalars.extend([("log_z_exact", exact), ("log_z_error", (reverse.log_z - exact).abs())]);
        scalars.push(("log_z_sigma", (reverse.log_z - exact) / reverse.log_z_se));
    }
    let mut scalars: Vec<_> = scalars.into_iter().map(|(name, value)| (format!("eval/{name}"), value)).collect();
    let repeats = log_weights.chunks(config.eval.samples as usize).map(effective_sample_size).collect::<Vec<_>>();
    if repeats.len() > 1 {
        scalars.push(("eval/ess_se".into(), spread(&repeats)));
    }

    let weights = normalised(&log_weights);
    let samples = x_as_bytes(&path.x)?;
    scalars.extend(observables(target, reference, &weights, &samples, &reverse));
    if last && config.eval.mmd {
        scalars.push(("eval/mmd2".into(), discrepancy(config, target, path, &log_weights)?));
    }
    let mut evaluation = Evaluation { scalars, ..Evaluation::default() };
    evaluation.histograms.push(("eval/log_weight".into(), log_weights));
    if last {
        let x = decode(target, &path.x).to_device(Device::Cpu);
        evaluation.tensors = vec![("x".into(), x), ("log_weight".into(), path.log_weight.to_device(Device::Cpu))];
    }
    Ok(evaluation)
}

/// Squared discrepancy of the samples, drawn anew in proportion to their weights, from the states that the chains of
/// `mcmc:` leave behind.
fn discrepancy(config: &DiscreteConfig, target: &dyn DiscreteTarget, path: &Path, log_weights: &[f64]) -> Result<f64> {
    let (chains, _) = mcmc::run(config, target)?;
    let (_, reference) = chains.tensors.first().context("chains leave no states behind")?;
    let count = log_weights.len().min(MOST_COMPARED);
    let rows = Resampling::Systematic.draw(log_weights, count, &[0.5]).context("no sample has a weight")?;
    let own = path.x.to_device(Device::Cpu).index_select(0, &Tensor::from_slice(&rows));
    exp_hamming_mmd2(&own, &encode(target, reference, "the chains' states")?, 0.1)
}

/// Mean effective sample size of sets of `n` samples.
fn ess(log_weights: &[f64], n: i64) -> f64 {
    let sets: Vec<f64> = log_weights.chunks(n as usize).map(effective_sample_size).collect();
    sets.iter().sum::<f64>() / sets.len() as f64
}

/// Standard error of the mean.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
}

/// Weights that add up to 1; NaN counts as none.
pub fn normalised(log_weights: &[f64]) -> Vec<f64> {
    let most = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = log_weights.iter().map(|w| if w.is_nan() { 0.0 } else { (w - most).exp() });
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / total).collect()
}

/// States `[N, D]` row by row.
pub fn x_as_bytes(x: &Tensor) -> Result<Vec<Vec<u8>>> {
    let flat = Vec::<u8>::try_from(x.to_device(Device::Cpu).to_kind(Kind::Uint8).view([-1]))?;
    Ok(flat.chunks(x.size()[1] as usize).map(<[u8]>::to_vec).collect())
}

fn weighted(weights: &[f64], values: &[f64]) -> Mean {
    let value: f64 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
    let variance: f64 = weights.iter().zip(values).map(|(w, v)| (w * (v - value)).powi(2)).sum();
    Mean { value, error: variance.sqrt() }
}

/// Means of what is read off the samples, and energy, entropy and free energy a site in the papers' units.
fn observables(
    target: &dyn DiscreteTarget,
    reference: &Reference,
    weights: &[f64],
    samples: &[Vec<u8>],
    reverse: &Reverse,
) -> Vec<(String, f64)> {
    let Some(model) = target.pairs().filter(|model| model.sites as i64 == target.sites()) else { return Vec::new() };
    let figures = Figures::new(model, target.sites(), target.shape());
    let rows: Vec<Vec<f64>> = samples.iter().map(|x| figures.read(x)).collect();
    let mut scalars = Vec::new();
    let mut log_prob = f64::NAN;
    for (k, name) in figures.names().iter().enumerate() {
        let mean = weighted(weights, &rows.iter().map(|row| row[k]).collect::<Vec<_>>());
        let mut push = |suffix: &str, value: f64| scalars.push((format!("eval/{name}{suffix}"), value));
        push("", mean.value);
        push("_se", mean.error);
        if let Some(exact) = reference.get(name) {
            push("_exact", exact);
            push("_sigma", (mean.value - exact) / mean.error);
        }
        if name == "log_prob" {
            log_prob = mean.value;
        }
    }
    let unit = model.beta * target.sites() as f64;
    let (free, internal) = (-reverse.log_z / unit, -log_prob / unit);
    scalars.push(("eval/free_energy".into(), free));
    scalars.push(("eval/free_energy_elbo".into(), -reverse.elbo / unit));
    scalars.push(("eval/internal_energy".into(), internal));
    scalars.push(("eval/entropy".into(), model.beta * (internal - free)));
    scalars
}
