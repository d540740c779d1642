//! Measuring a bridge sampler.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::{Distances, EvalConfig};
use crate::metrics::mmd::mmd;
use crate::metrics::modes::Modes;
use crate::metrics::sinkhorn::{Convention, SinkhornConfig, sinkhorn};
use crate::metrics::weights::{Forward, Reverse};
use crate::samplers::path::Path;
use crate::samplers::rollout::Keep;
use crate::samplers::team::{Team, log_rnd};
use crate::targets::Target;
use crate::train::molecule::Torsions;
use crate::train::objective::Evaluation;

/// Paths simulated at once: bounds memory however many samples are asked for.
const BATCH: i64 = 4000;

/// The exact transport is computed up to this many samples: its cost grows with their cube.
const MAX_EXACT: i64 = 4000;

/// Samples of the model with their log-weights.
pub struct Sampled {
    /// `[N, D]`
    pub x: Tensor,
    /// `-log_rnd`, `[N]`, f64.
    pub log_weight: Tensor,
}

/// Draws `n` weighted samples.
pub fn draw(team: &mut Team, n: i64) -> Sampled {
    let _guard = tch::no_grad_guard();
    let mut parts = Vec::new();
    for (_, count) in batches(n) {
        parts.extend(team.rollout(count, Keep::Ends));
    }
    let x: Vec<Tensor> = parts.iter().map(Path::end).collect();
    Sampled { x: Tensor::cat(&x, 0), log_weight: -log_rnd(&parts) }
}

/// First sample and number of samples of each batch.
fn batches(n: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..n).step_by(BATCH as usize).map(move |from| (from, BATCH.min(n - from)))
}

/// The figures of the present model. Draws from libtorch's generator: samples first, then the reference set.
pub fn evaluate(team: &mut Team, config: &EvalConfig, torsions: Option<&Torsions>, last: bool) -> Result<Evaluation> {
    let _guard = tch::no_grad_guard();
    let sampled = draw(team, config.samples);
    let mut scalars = reverse_figures(&sampled, &team.first().target)?;
    let reference = team.first().target.sample(config.samples);
    if let Some(reference) = &reference {
        let mut paths = Vec::new();
        for (from, count) in batches(config.samples) {
            paths.extend(team.rollback(&reference.narrow(0, from, count)));
        }
        scalars.extend(forward_figures(&-log_rnd(&paths), &team.first().target)?);
        if last && config.distances != Distances::Never || config.distances == Distances::Always {
            scalars.extend(distances(&sampled.x, reference, config)?);
        }
    }
    let mut scalars = tagged(scalars);
    if let Some(torsions) = torsions {
        let figures = torsions.figures(&team.first().target.positions(&sampled.x));
        scalars.extend(figures.into_iter().map(|(name, value)| (format!("eval/{name}"), value)));
    }
    let histograms = histograms(&sampled);
    let tensors = if last {
        let mut tensors = vec![("x".into(), sampled.x), ("log_weight".into(), sampled.log_weight)];
        tensors.extend(reference.map(|r| ("reference".to_string(), r)));
        tensors
    } else {
        Vec::new()
    };
    Ok(Evaluation { scalars, histograms, pictures: Vec::new(), tensors })
}

fn tagged(scalars: Vec<(&str, f64)>) -> Vec<(String, f64)> {
    scalars.into_iter().map(|(name, value)| (format!("eval/{name}"), value)).collect()
}

/// What the model's own samples tell; blind to modes that it misses.
fn reverse_figures(sampled: &Sampled, target: &dyn Target) -> Result<Vec<(&'static str, f64)>> {
    let reverse = Reverse::from_tensor(&sampled.log_weight, target.log_z())?;
    let mut figures = vec![("elbo", reverse.elbo), ("elbo_se", reverse.elbo_se)];
    figures.extend([("log_z", reverse.log_z), ("ess", reverse.ess), ("undefined_weights", reverse.undefined as f64)]);
    figures.extend(reverse.log_z_error.map(|error| ("log_z_error", error)));
    if let Some(modes) = target.mode_log_probs(&sampled.x) {
        let modes = Modes::new(&modes)?;
        figures.extend([("emc", modes.emc), ("modes_visited", modes.visited() as f64)]);
    }
    Ok(figures)
}

/// What paths simulated backwards from exact samples tell.
fn forward_figures(log_weight: &Tensor, target: &dyn Target) -> Result<Vec<(&'static str, f64)>> {
    let forward = Forward::from_tensor(log_weight, target.log_z())?;
    let mut figures = vec![("eubo", forward.eubo), ("log_z_fwd", forward.log_z), ("ess_fwd", forward.ess)];
    figures.extend(forward.log_z_error.map(|error| ("log_z_fwd_error", error)));
    Ok(figures)
}

/// Distances between samples and reference: Sinkhorn in the configured convention and whether its iterations
/// converged (at the customary settings they do not), the exact 2-Wasserstein distance, MMD.
fn distances(x: &Tensor, reference: &Tensor, config: &EvalConfig) -> Result<Vec<(&'static str, f64)>> {
    let clipped = |t: &Tensor| config.clip.map_or(t.shallow_clone(), |clip| t.clamp(-clip, clip));
    let (x, reference) = (&clipped(x), &clipped(reference));
    let transport = sinkhorn(x, reference, &config.sinkhorn)?;
    let mut figures = vec![
        ("sinkhorn", transport.value),
        ("sinkhorn_converged", f64::from(u8::from(transport.converged))),
        ("mmd", mmd(x, reference, config.mmd)?),
    ];
    if x.size()[0] <= MAX_EXACT {
        let exact = sinkhorn(x, reference, &SinkhornConfig::with(Convention::W2Exact))?;
        figures.push(("w2", exact.value));
    }
    Ok(figures)
}

/// Distributions for TensorBoard: log-weights, and the first coordinates.
fn histograms(sampled: &Sampled) -> Vec<(String, Vec<f64>)> {
    let values = |t: &Tensor| Vec::<f64>::try_from(t.to_kind(Kind::Double).contiguous()).unwrap_or_default();
    let mut histograms = vec![("eval/log_weight".to_string(), values(&sampled.log_weight))];
    for d in 0..sampled.x.size()[1].min(4) {
        histograms.push((format!("samples/x_{d}"), values(&sampled.x.select(1, d))));
    }
    histograms
}
