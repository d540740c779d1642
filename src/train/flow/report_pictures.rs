//! Pictures of proposals: Ramachandran plots, energies, weights, slow components.

use std::f64::consts::PI;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::proposals::Proposals;
use super::reference::Reference;
use super::report::Weighted;
use super::subject::Subject;
use crate::log::plot::{Axis, Field, HeatMap, HistogramPlot, LinePlot, Picture, Sample, ScatterPlot, Series};
use crate::samplers::importance::sums::WeightSums;
use crate::targets::molecule::descriptors::Descriptors;

/// Cells along each axis of a Ramachandran plot; free energies above the ceiling (kT) are cut.
const CELLS: usize = 60;
const CEILING: f64 = 8.0;
/// Points of a scatter plot.
const SHOWN: i64 = 4000;
/// Energies further than this many spreads above the reference's are not drawn.
const SPREADS: f64 = 12.0;

type Named = Vec<(String, Picture)>;

pub fn all(
    subject: &Subject,
    proposals: &Proposals,
    weighted: &Weighted,
    reference: Option<&Reference>,
    scale: f64,
) -> Result<Named> {
    let descriptors = Descriptors::of(&subject.topology);
    let nm = weighted.x.to_device(Device::Cpu).to_kind(Kind::Double) * scale;
    let torus = descriptors.torus(&nm);
    let rows = weighted.rows();

    let mut pictures = Named::new();
    let mut sets = vec![("proposal", torus.shallow_clone())];
    sets.extend(rows.as_ref().map(|rows| ("reweighted", torus.index_select(0, rows))));
    sets.extend(reference.map(|reference| ("reference", reference.torus.shallow_clone())));
    for (name, torus) in &sets {
        pictures.extend(ramachandran(name, torus, &descriptors)?);
    }
    if let Some(energy) = &proposals.energy {
        pictures.push(("energies".into(), energies(energy, rows.as_ref(), reference)?));
    }
    if let Some(weights) = &weighted.weights {
        pictures.push(("log_weights".into(), log_weights(&weights.log_weights)?));
        pictures.push(("ess_by_samples".into(), ess_by_samples(&weights.log_weights)?));
    }
    if let Some((tica, reference)) = reference.and_then(|r| Some((r.tica.as_ref()?, r))) {
        let plane = |nm: &Tensor| tica.transform(&descriptors.measure(nm), 2);
        let mut plot = ScatterPlot::new("Slow components", Axis::linear("TIC 1"), Axis::linear("TIC 2"));
        let frames = reference.x.index_select(0, &reference.rows(SHOWN)).to_kind(Kind::Double) * scale;
        plot = plot.points("reference", &points(&plane(&frames)?)?);
        let shown = |t: &Tensor| t.narrow(0, 0, t.size()[0].min(SHOWN));
        plot = plot.points("proposal", &points(&plane(&shown(&nm))?)?);
        if let Some(rows) = &rows {
            plot = plot.points("reweighted", &points(&plane(&nm.index_select(0, &shown(rows)))?)?);
        }
        pictures.push(("tica".into(), plot.draw()?));
    }
    Ok(pictures)
}

/// Ramachandran plots of one set of conformations `[N, A, 3]`.
pub fn of_set(name: &str, subject: &Subject, x: &Tensor, scale: f64) -> Result<Named> {
    let descriptors = Descriptors::of(&subject.topology);
    ramachandran(name, &descriptors.torus(&(x.to_kind(Kind::Double) * scale)), &descriptors)
}

/// Free energy over each phi and the psi before it, which turn the same peptide plane's neighbours.
fn ramachandran(name: &str, torus: &Tensor, descriptors: &Descriptors) -> Result<Named> {
    let bonds = descriptors.phi.len().min(descriptors.psi.len()) as i64;
    let draw = |k: i64| {
        let pair = torus.index_select(1, &Tensor::from_slice(&[k, descriptors.phi.len() as i64 + k]));
        let density = Field::histogram(&points(&pair)?, (-PI, PI), (-PI, PI), CELLS, CELLS);
        let axis = |label: String| Axis::linear(label).within(-PI, PI);
        let (phi, psi) = (axis(format!("phi {} / rad", k + 2)), axis(format!("psi {} / rad", k + 1)));
        let mut map = HeatMap::free_energy(format!("Ramachandran plot, {name}"), phi, psi, density, CEILING);
        map.equal = true;
        let ending = if bonds == 1 { String::new() } else { format!("_{}", k + 1) };
        Ok((format!("ramachandran_{name}{ending}"), map.draw()?))
    };
    (0..bonds).map(draw).collect()
}

/// Energies in kT, within the range that the reference or the reweighted set spans.
fn energies(energy: &Tensor, rows: Option<&Tensor>, reference: Option<&Reference>) -> Result<Picture> {
    let numbers = |t: &Tensor| Ok::<_, anyhow::Error>(Vec::<f64>::try_from(t.masked_select(&t.isfinite()))?);
    let proposal = numbers(energy)?;
    let reweighted = rows.map(|rows| numbers(&energy.index_select(0, rows))).transpose()?;
    let reference = reference.and_then(|reference| reference.energy.as_ref()).map(&numbers).transpose()?;
    let guide = reference.as_ref().or(reweighted.as_ref()).unwrap_or(&proposal);
    let mean = guide.iter().sum::<f64>() / guide.len().max(1) as f64;
    let spread = (guide.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / guide.len().max(1) as f64).sqrt().max(1.0);
    let (low, high) = (mean - SPREADS / 2.0 * spread, mean + SPREADS * spread);
    let inside = |values: &[f64]| values.iter().copied().filter(|e| (low..high).contains(e)).collect::<Vec<f64>>();

    let mut plot = HistogramPlot::new("Energy", Axis::linear("E / kT").within(low, high)).bins(80);
    let sets = [("reference", reference.as_ref()), ("proposal", Some(&proposal)), ("reweighted", reweighted.as_ref())];
    for (label, values) in sets {
        let values = values.map(|values| inside(values)).unwrap_or_default();
        if !values.is_empty() {
            plot = plot.sample(Sample::new(label, &values));
        }
    }
    plot.draw()
}

fn log_weights(log_weights: &[f64]) -> Result<Picture> {
    let finite: Vec<f64> = log_weights.iter().copied().filter(|w| w.is_finite()).collect();
    let top = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Clashes have weights of nothing at all, thousands below.
    let shown: Vec<f64> = finite.into_iter().filter(|w| *w > top - 200.0).collect();
    HistogramPlot::new("Log-weights", Axis::linear("log w")).sample(Sample::new("kept", &shown)).draw()
}

/// Effective samples of the first N proposals, for N up to all of them.
fn ess_by_samples(log_weights: &[f64]) -> Result<Picture> {
    let mut sums = WeightSums::default();
    let step = (log_weights.len() / 200).max(1);
    let mut points = Vec::new();
    for (i, log_weight) in log_weights.iter().enumerate() {
        sums.push(*log_weight);
        if (i + 1) % step == 0 {
            points.push(((i + 1) as f64, sums.ess()));
        }
    }
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let plot = LinePlot::new("Effective sample size", Axis::linear("proposals"), Axis::linear("effective samples"));
    plot.series(Series::new("kept proposals", &x, &y)).draw()
}

/// The first two columns as points.
fn points(t: &Tensor) -> Result<Vec<(f64, f64)>> {
    let t = t.to_kind(Kind::Double);
    let column = |k: i64| Vec::<f64>::try_from(t.select(1, k).contiguous());
    Ok(column(0)?.into_iter().zip(column(1)?).collect())
}
