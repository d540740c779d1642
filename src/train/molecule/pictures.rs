//! Pictures of samples beside their reference.

use std::f64::consts::PI;

use anyhow::Result;
use tch::Tensor;

use super::torsions::Torsions;
use crate::log::plot::{Axis, HistogramPlot, Picture, Sample};
use crate::metrics::torus::Angles;
use crate::train::md::observables::Series;
use crate::train::md::pictures::ramachandran;

/// Bins of a torsion's histogram.
const BINS: usize = 72;

/// Of conformations `[N, 3 A]` (nm), by residue: Ramachandran plots of samples and reference, and their torsions over
/// one another.
pub fn all(torsions: &Torsions, x: &Tensor) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    let mut series = Series::default();
    for (ending, sampled, reference) in torsions.compared(x) {
        for (k, name) in ["phi", "psi"].iter().enumerate() {
            let column = |pairs: &[Angles]| pairs.iter().map(|pair| pair[k]).collect::<Vec<f64>>();
            let (sampled, reference) = (column(&sampled), column(reference));
            let axis = Axis::linear(format!("{name} / rad")).within(-PI, PI);
            let plot = HistogramPlot::new(format!("Torsion {name}{}", ending.replace('_', " ")), axis).bins(BINS);
            let plot = plot.sample(Sample::new("reference", &reference)).sample(Sample::new("samples", &sampled));
            pictures.push((format!("torsion_{name}{ending}"), plot.draw()?));
            series.torsions.insert(format!("{name}{ending}_samples"), vec![sampled]);
            series.torsions.insert(format!("{name}{ending}_reference"), vec![reference]);
        }
    }
    pictures.extend(ramachandran(&series)?);
    Ok(pictures)
}
