//! Figures of proposals: weights, energies, torsions, slow components, chirality; against a reference where there is one.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::proposals::Proposals;
use super::reference::Reference;
use super::report_pictures;
use super::subject::Subject;
use crate::log::plot::Picture;
use crate::metrics::energy::wasserstein_1d;
use crate::metrics::jensen_shannon;
use crate::metrics::transport::{Geometry, wasserstein2};
use crate::samplers::importance::{ReweightConfig, Reweighter, Weights};
use crate::targets::molecule::chirality::Chirality;
use crate::targets::molecule::descriptors::Descriptors;
use crate::torch::seed::Stream;
use crate::torch::seed::step_seed;

/// Clusters of a Jensen-Shannon divergence, as published.
const CLUSTERS: usize = 20;

/// What proposals show.
#[derive(Default)]
pub struct Report {
    pub figures: Vec<(String, f64)>,
    pub pictures: Vec<(String, Picture)>,
    /// Log-weights of all proposals, `[N]` in f64; `-inf` where an energy was not finite.
    pub log_weight: Option<Tensor>,
    /// As many proposals as were kept, drawn by their weights.
    pub resampled: Option<Tensor>,
}

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Settings {
    pub reweight: ReweightConfig,
    /// Points a side in comparisons of distributions, at most.
    pub compared: i64,
    pub pictures: bool,
    pub seed: u64,
}

/// Proposals after mirroring those of the wrong hand, with their weights.
pub struct Weighted {
    /// `[N, A, 3]` in units of the flow's scale.
    pub x: Tensor,
    pub weights: Option<Weights>,
    /// Rows of the resampled set.
    pub resampled: Vec<i64>,
}

/// Measures proposals of a molecule; `scale` in nm.
pub fn report(
    subject: &Subject,
    proposals: &Proposals,
    reference: Option<&Reference>,
    scale: f64,
    settings: &Settings,
) -> Result<Report> {
    let mut report = Report::default();
    let x = repaired(subject, proposals, &mut report);
    let weights = weigh(proposals, settings, &mut report)?;
    let resampled = match &weights {
        None => Vec::new(),
        Some(weights) => {
            let how = settings.reweight.resampling;
            let uniforms = uniforms(how.uniforms(weights.kept.len()), settings.seed);
            let rows = weights.resample(how, &uniforms).unwrap_or_default();
            rows.into_iter().map(|row| row as i64).collect()
        }
    };
    let weighted = Weighted { x, weights, resampled };
    if let Some(reference) = reference {
        let sets = [("proposal", Some(all(weighted.x.size()[0]))), ("", weighted.rows())];
        for (name, rows) in sets.into_iter().filter_map(|(name, rows)| Some((name, rows?))) {
            compare(subject, proposals, &weighted.x, &rows, reference, scale, settings, name, &mut report)?;
        }
    }
    if settings.pictures {
        report.pictures = report_pictures::all(subject, proposals, &weighted, reference, scale)?;
    }
    report.resampled = weighted.rows();
    Ok(report)
}

impl Weighted {
    /// Rows of the resampled set; `None` where there are no weights or none is positive.
    pub fn rows(&self) -> Option<Tensor> {
        (!self.resampled.is_empty()).then(|| Tensor::from_slice(&self.resampled))
    }
}

/// Mirrors conformations of the wrong hand, as PROSE does; energies and densities are not those of the mirror images, so
/// this is for looking and comparing only.
fn repaired(subject: &Subject, proposals: &Proposals, report: &mut Report) -> Tensor {
    let chirality = Chirality::of(&subject.topology);
    if chirality.centres().is_empty() {
        return proposals.x.shallow_clone();
    }
    let repaired = chirality.repair(&proposals.x);
    let share = |rows: &Tensor| rows.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    report.figures.push(("chirality_correct".into(), 1.0 - share(&repaired.changed)));
    report.figures.push(("chirality_uncorrectable".into(), share(&repaired.uncorrectable)));
    repaired.x
}

fn weigh(proposals: &Proposals, settings: &Settings, report: &mut Report) -> Result<Option<Weights>> {
    let Some(energy) = &proposals.energy else { return Ok(None) };
    let mut reweighter = Reweighter::new(&settings.reweight)?;
    let source = settings.reweight.center.energy(&proposals.x.to_kind(Kind::Double)) - &proposals.log_q;
    let log_weights = reweighter.push(&source, energy)?;
    report.log_weight = Some(Tensor::from_slice(&log_weights));
    let weights = reweighter.finish();
    let summary = &weights.summary;
    let finite = energy.masked_select(&energy.isfinite());
    report.figures.extend([
        ("ess".to_string(), summary.ess),
        ("log_z".to_string(), summary.log_z),
        ("largest_share".to_string(), summary.largest_share),
        ("non_finite".to_string(), summary.non_finite as f64),
        ("filtered".to_string(), summary.filtered as f64),
        ("energy_median".to_string(), finite.median().double_value(&[])),
    ]);
    Ok(Some(weights))
}

/// Distances of the rows `rows` of the proposals `x` from the reference; names end in `_name` unless it is empty.
#[allow(clippy::too_many_arguments)] // all are needed, and a struct of them would be used here only
fn compare(
    subject: &Subject,
    proposals: &Proposals,
    x: &Tensor,
    rows: &Tensor,
    reference: &Reference,
    scale: f64,
    settings: &Settings,
    name: &str,
    report: &mut Report,
) -> Result<()> {
    let n = settings.compared.min(rows.size()[0]).min(reference.x.size()[0]);
    let (rows, expected) = (rows.narrow(0, 0, n), reference.rows(n));
    let mut push = |figure: &str, value: f64| {
        let separator = if name.is_empty() { "" } else { "_" };
        report.figures.push((format!("{figure}{separator}{name}"), value));
    };

    if let (Some(energy), Some(other)) = (&proposals.energy, &reference.energy) {
        let numbers = |t: &Tensor, rows: &Tensor| Vec::<f64>::try_from(t.index_select(0, rows));
        let (found, other) = (numbers(energy, &rows)?, numbers(other, &expected)?);
        push("energy_w1", wasserstein_1d(&found, &other, 1));
        push("energy_w2", wasserstein_1d(&found, &other, 2));
    }
    let descriptors = Descriptors::of(&subject.topology);
    let nm = x.index_select(0, &rows).to_device(Device::Cpu).to_kind(Kind::Double) * scale;
    let torus = descriptors.torus(&nm);
    let other = reference.torus.index_select(0, &expected);
    push("torus_w2", wasserstein2(&torus, &other, Geometry::Torus)?);
    let on_circles = |angles: &Tensor| Tensor::cat(&[angles.sin(), angles.cos()], 1);
    let clusters = |a: &Tensor, b: &Tensor| jensen_shannon::clustered(a, b, CLUSTERS, settings.seed);
    push("torus_jsd", clusters(&on_circles(&torus), &on_circles(&other))?);
    if let Some(tica) = &reference.tica {
        let features = |nm: &Tensor| tica.transform(&descriptors.measure(nm), 2);
        let frames = reference.x.index_select(0, &expected).to_kind(Kind::Double) * scale;
        let (found, other) = (features(&nm)?, features(&frames)?);
        push("tica_w2", wasserstein2(&found, &other, Geometry::Flat)?);
        push("tica_jsd", clusters(&found, &other)?);
    }
    Ok(())
}

fn all(n: i64) -> Tensor {
    Tensor::arange(n, (Kind::Int64, Device::Cpu))
}

/// Uniform numbers for resampling, from a generator of their own.
fn uniforms(count: usize, seed: u64) -> Vec<f64> {
    use rand::{RngExt, SeedableRng};
    let mut generator = rand::rngs::ChaCha8Rng::seed_from_u64(step_seed(seed, Stream::Eval, 0));
    (0..count).map(|_| generator.random::<f64>()).collect()
}
