//! Pictures of a problem and its chains.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::InverseConfig;
use super::setup::Setup;
use crate::log::plot::{Axis, ImageGrid, LinePlot, Picture, Series, Shades};
use crate::log::values;
use crate::samplers::inverse::law::{self, Moments};
use crate::samplers::inverse::{Method, Plan, Record};

/// Modes in the picture of single modes, as in the paper's figure 5.
const SHOWN: i64 = 35;
/// 97.5 % quantile of a normal.
const BAND: f64 = 1.96;

/// The `count` modes of largest variance, largest first.
pub fn by_variance(mu: &Tensor, count: i64) -> Vec<i64> {
    let order = mu.argsort_stable(true, 0, true).narrow(0, 0, count.min(mu.size()[0]));
    Vec::try_from(order).unwrap_or_default()
}

/// Truth, mean, sample and error; autocorrelations; single modes; KL per mode; error over iterations.
pub fn of_chains(
    config: &InverseConfig,
    setup: &Setup,
    plan: &Plan,
    record: &Record,
    autocorrelation: &Tensor,
) -> Result<Vec<(String, Picture)>> {
    let mut pictures = vec![
        ("function".to_string(), function(config, setup, record)?),
        ("modes".to_string(), modes(setup, record)?),
        ("error".to_string(), error(setup, plan, record)?),
    ];
    if !plan.traced.is_empty() {
        pictures.push(("autocorrelation".to_string(), correlations(config, setup, plan, autocorrelation)?));
    }
    if let Some(kl) = kl(setup, record)? {
        pictures.push(("kl".to_string(), kl));
    }
    Ok(pictures)
}

/// Truth, posterior mean, one sample and the mean's error: images side by side on one scale, or lines.
fn function(config: &InverseConfig, setup: &Setup, record: &Record) -> Result<Picture> {
    let (basis, mean, last) = (&setup.problem.basis, record.mean(), record.last.get(0));
    let truth = setup.problem.truth.as_ref().map(Tensor::shallow_clone);
    let error = truth.as_ref().map(|truth| &mean - truth);
    let mut named = vec![("posterior mean", mean), ("sample", last)];
    truth.map(|truth| named.insert(0, ("truth", truth))).unwrap_or_default();
    named.extend(error.map(|error| ("mean - truth", error)));

    let rows: Vec<&Tensor> = named.iter().map(|(_, row)| row).collect();
    let drawn = basis.render(&Tensor::stack(&rows, 0), config.record.image);
    let title = named.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | ");
    if drawn.dim() == 3 {
        return ImageGrid::new(title).columns(named.len()).shades(Shades::Density).draw(&drawn);
    }
    let first = i64::from(basis.is_sequence());
    let x: Vec<f64> = (first..drawn.size()[1] + first).map(|i| i as f64).collect();
    let axis = if basis.is_sequence() { "mode j" } else { "grid point" };
    let mut plot = LinePlot::new("Truth and posterior", Axis::linear(axis), Axis::linear("value"));
    for (i, (name, _)) in named.iter().enumerate() {
        plot = plot.series(Series::new(*name, &x, &values(&drawn.get(i as i64))));
    }
    plot.draw()
}

/// The first modes: the chains' mean with its 95 % band, and the truth, in units of the prior's deviation.
fn modes(setup: &Setup, record: &Record) -> Result<Picture> {
    let order = by_variance(&setup.problem.mu, SHOWN);
    let pick = |t: &Tensor| values(&t.index_select(0, &Tensor::from_slice(&order)));
    let unit = setup.problem.mu.sqrt();
    let x: Vec<f64> = (1..=order.len()).map(|i| i as f64).collect();
    let band: Vec<f64> = pick(&(record.variance().sqrt() / &unit)).iter().map(|s| BAND * s).collect();
    let axis = Axis::linear("mode, by prior variance");
    let mut plot = LinePlot::new("First modes", axis, Axis::linear("coordinate / prior deviation"))
        .series(Series::new("mean, 95 % band", &x, &pick(&(record.mean() / &unit))).plus_minus(&band).with_dots());
    if let Some(truth) = &setup.problem.truth {
        plot = plot.series(Series::new("truth", &x, &pick(&(truth / &unit))).with_dots());
    }
    plot.draw()
}

/// Distance of the chains' mean from the posterior's on the way.
fn error(setup: &Setup, plan: &Plan, record: &Record) -> Result<Picture> {
    let center = setup.center();
    let off = (&record.snapshots - &center).square().sum_dim_intlist(1, false, Kind::Double).sqrt() / center.norm();
    let x: Vec<f64> = plan.snapshots.iter().map(|n| *n as f64).collect();
    LinePlot::new("Mean of the chains", Axis::log("iteration"), Axis::log("relative L2 error"))
        .series(Series::new("chains", &x, &values(&off)))
        .draw()
}

/// Measured autocorrelations beside `(1 - h κ)^lag`, which modes of a diagonal problem have.
fn correlations(config: &InverseConfig, setup: &Setup, plan: &Plan, measured: &Tensor) -> Result<Picture> {
    let lags: Vec<f64> = (0..measured.size()[1]).map(|lag| lag as f64).collect();
    let mut plot = LinePlot::new("Autocorrelation by mode", Axis::linear("lag"), Axis::linear("autocorrelation"));
    for (row, mode) in plan.traced.iter().enumerate() {
        plot = plot.series(Series::new(mode_name(setup, *mode), &lags, &values(&measured.get(row as i64))));
    }
    let exact = setup.law.as_ref().filter(|law| law.is_diagonal() && config.sampler.method == Method::Langevin);
    if let (Some(law), Some(mode)) = (exact, plan.traced.first()) {
        let factor = 1.0 - config.sampler.step * law.rate.double_value(&[*mode]);
        let curve: Vec<f64> = lags.iter().map(|lag| factor.powf(*lag)).collect();
        plot = plot.series(Series::new(format!("exact, {}", mode_name(setup, *mode)), &lags, &curve));
    }
    plot.draw()
}

fn mode_name(setup: &Setup, mode: i64) -> String {
    match setup.problem.basis.shape().as_slice() {
        [_, columns] => format!("({}, {})", mode / columns + 1, mode % columns + 1),
        _ => format!("{}", mode + 1),
    }
}

/// KL from the posterior by mode: of the invariant law, of its expansion, and of the chains.
fn kl(setup: &Setup, record: &Record) -> Result<Option<Picture>> {
    let Some(law) = setup.law.as_ref().filter(|law| law.is_gaussian()) else { return Ok(None) };
    let order = by_variance(&setup.problem.mu, 2000);
    let pick = |t: &Tensor| values(&t.index_select(0, &Tensor::from_slice(&order)));
    let x: Vec<f64> = (1..=order.len()).map(|i| i as f64).collect();
    let measured = law::kl(&Moments { mean: record.mean(), variance: record.variance() }, &law.posterior);
    let mut plot = LinePlot::new("KL from the posterior", Axis::log("mode, by prior variance"), Axis::log("KL"))
        .series(Series::new("chains", &x, &pick(&measured)));
    if let Some(kl) = law.kl() {
        plot = plot.series(Series::new("invariant law", &x, &pick(&kl)));
    }
    let lambda = setup.lambda();
    if let Some(expansion) = lambda.and_then(|lambda| law::kl_expansion(&setup.problem, &setup.error, lambda, false)) {
        plot = plot.series(Series::new("its expansion", &x, &pick(&expansion)));
    }
    plot.draw().map(Some)
}
