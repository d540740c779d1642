//! Pictures of a trajectory.

use std::f64::consts::PI;

use anyhow::Result;

use super::observables::Series;
use crate::log::plot::{Axis, Field, HeatMap, HistogramPlot, LinePlot, Picture, Sample, Series as Curve};

/// Cells along each axis of a Ramachandran plot, and bins of a torsion's histogram.
const CELLS: usize = 72;
/// Free energies above this many kT are cut.
const CEILING: f64 = 10.0;
/// Chains shown in the energy trace.
const TRACES: usize = 4;

/// Ramachandran plots, torsion marginals, the distribution of the energy and its course.
pub fn all(series: &Series) -> Result<Vec<(String, Picture)>> {
    let mut pictures = ramachandran(series)?;
    pictures.extend(marginals(series, None)?);
    pictures.push(("energy".into(), energies(series, None)?));
    pictures.push(("energy_trace".into(), trace(series)?));
    Ok(pictures)
}

/// Free energy over each pair of `phi` and `psi`.
pub fn ramachandran(series: &Series) -> Result<Vec<(String, Picture)>> {
    let full = (-PI, PI);
    let draw = |(phi, psi, ending): (String, String, String)| {
        let angles = series.torsions[&phi].iter().flatten().zip(series.torsions[&psi].iter().flatten());
        let points: Vec<(f64, f64)> = angles.map(|(a, b)| (*a, *b)).collect();
        let density = Field::histogram(&points, full, full, CELLS, CELLS);
        let axis = |name: &str| Axis::linear(format!("{name} / rad")).within(-PI, PI);
        let title = format!("Ramachandran plot {}", ending.trim_start_matches('_'));
        let mut map = HeatMap::free_energy(title.trim_end(), axis(&phi), axis(&psi), density, CEILING);
        map.equal = true;
        Ok((format!("ramachandran{ending}"), map.draw()?))
    };
    series.pairs().into_iter().map(draw).collect()
}

/// Histogram of each torsion, over a reference's where there is one.
pub fn marginals(series: &Series, reference: Option<&Series>) -> Result<Vec<(String, Picture)>> {
    let draw = |name: &String| {
        let sample = |series: &Series, label: &str| Some(Sample::new(label, &series.torsions.get(name)?.concat()));
        let axis = Axis::linear(format!("{name} / rad")).within(-PI, PI);
        let plot = HistogramPlot::new(format!("Torsion {name}"), axis).bins(CELLS);
        Ok((format!("torsion_{name}"), with_samples(plot, sample, series, reference).draw()?))
    };
    series.torsions.keys().map(draw).collect()
}

/// Histogram of the energy, over a reference's where there is one.
pub fn energies(series: &Series, reference: Option<&Series>) -> Result<Picture> {
    let sample = |series: &Series, label: &str| {
        let values = series.energy.concat();
        (!values.is_empty()).then(|| Sample::new(label, &values))
    };
    let plot = HistogramPlot::new("Energy", Axis::linear("energy / (kJ/mol)"));
    with_samples(plot, sample, series, reference).draw()
}

fn with_samples(
    mut plot: HistogramPlot,
    sample: impl Fn(&Series, &str) -> Option<Sample>,
    series: &Series,
    reference: Option<&Series>,
) -> HistogramPlot {
    let label = if reference.is_some() { "molecular dynamics" } else { "" };
    plot.samples.extend(sample(series, label));
    plot.samples.extend(reference.and_then(|reference| sample(reference, "reference")));
    plot
}

/// Energy of the first chains against time.
fn trace(series: &Series) -> Result<Picture> {
    let window = (series.time.len() / 100).max(1);
    let curve = |(i, chain): (usize, &Vec<f64>)| Curve::new(format!("chain {i}"), &series.time, chain).smoothed(window);
    let plot = LinePlot::new("Energy", Axis::linear("time / ps"), Axis::linear("energy / (kJ/mol)"));
    series.energy.iter().take(TRACES).enumerate().map(curve).fold(plot, LinePlot::series).draw()
}
