//! A simulation against a reference ensemble and published figures.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tch::{Device, Kind};

use super::config::{MdConfig, Published};
use super::ensemble::averages;
use super::observables::Series;
use super::pictures;
use super::system::read_points;
use crate::bad_input;
use crate::config::load;
use crate::io::tensors::read_tensors;
use crate::log::plot::Picture;
use crate::log::table::{Table, figure, mean_std};
use crate::metrics::autocorrelation::Average;

/// One figure, its standard error, and what it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub mean: f64,
    pub error: f64,
    pub ess: f64,
    pub reference: Option<Published>,
    pub published: Option<Published>,
}

/// A comparison: its rows and pictures with both distributions.
pub struct Comparison {
    pub rows: Vec<Row>,
    pub pictures: Vec<(String, Picture)>,
}

/// Opens the config of a run; `overrides` may change `analysis.*`.
pub fn open(run: &Path, overrides: &[String]) -> Result<MdConfig> {
    if let Some(wrong) = overrides.iter().find(|o| !o.starts_with("analysis.")) {
        return Err(bad_input!("override '{wrong}': a run that is done can change analysis.* only"));
    }
    let loaded = load::load::<MdConfig>(&run.join("config.yaml"), overrides)?;
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    Ok(loaded.value)
}

/// Compares the run in `folder` with the points of `reference`, a tensor file with `positions` or `x`, and `energy`
/// (kJ/mol), and with the figures that its config quotes as published.
pub fn compare(folder: &Path, config: &MdConfig, reference: Option<&Path>) -> Result<Comparison> {
    let series = Series::read(folder, &config.analysis, config.run.chains)?;
    let reference = reference.map(|path| read_reference(path, config)).transpose()?;
    let found = averages(&series, config)?;
    let expected = reference.as_ref().map(|reference| averages(reference, config)).transpose()?;

    let row = |name: &str, own: Average, other: Option<_>, published| {
        let other = other.map(|o: Average| Published { mean: o.mean, error: o.error });
        let reference = other.filter(|o| o.mean.is_finite());
        Row { name: name.to_string(), mean: own.mean, error: own.error, ess: own.ess, reference, published }
    };
    let energy = expected.as_ref().map(|e| e.energy);
    let mut rows = vec![row("mean energy, kJ/mol", found.energy, energy, config.analysis.energy)];
    for (i, (name, own)) in found.regions.iter().enumerate() {
        let other = expected.as_ref().map(|e| e.regions[i].1);
        rows.push(row(name, *own, other, config.analysis.regions[i].published));
    }

    let mut pictures = pictures::marginals(&series, reference.as_ref())?;
    pictures.push(("energy".into(), pictures::energies(&series, reference.as_ref())?));
    let pictures = pictures.into_iter().map(|(name, picture)| (format!("compare_{name}"), picture)).collect();
    Ok(Comparison { rows, pictures })
}

fn read_reference(path: &Path, config: &MdConfig) -> Result<Series> {
    let dim = config.target.build((Kind::Double, Device::Cpu))?.dim();
    let x = read_points(path, dim, (Kind::Double, Device::Cpu))?;
    Series::of_points(&x, read_tensors(path)?.get("energy"), &config.analysis)
}

impl Row {
    /// How many combined standard errors lie between this figure and the other.
    pub fn deviation(&self, other: Published) -> f64 {
        (self.mean - other.mean) / self.error.hypot(other.error)
    }

    /// Whether it lies further than `within` from either, or that cannot be said.
    pub fn off(&self, within: f64) -> bool {
        let mut others = self.reference.into_iter().chain(self.published);
        !others.all(|other| self.deviation(other).abs() <= within)
    }
}

/// The rows as a table; deviations in combined standard errors.
pub fn table(rows: &[Row]) -> Table {
    let header = ["figure", "this run", "ESS", "reference", "deviation", "published", "deviation"];
    let mut table = Table::new(header);
    for row in rows {
        let cells = |other: Option<Published>| {
            let text = other.map_or("–".to_string(), |other| mean_std(other.mean, other.error));
            let deviation = other.map_or("–".to_string(), |other| format!("{:+.1}", row.deviation(other)));
            [text, deviation]
        };
        let own = [row.name.clone(), mean_std(row.mean, row.error), figure(row.ess, 3)];
        table.row(own.into_iter().chain(cells(row.reference)).chain(cells(row.published)));
    }
    table
}
