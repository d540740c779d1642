//! Iterations to a tolerance against resolution: what a preconditioner is for.

use anyhow::{Context, Result};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::config::{InverseConfig, StudyConfig};
use super::setup::Setup;
use crate::bad_input;
use crate::log::plot::{Axis, LinePlot, Picture, Series};
use crate::log::table::{Table, figure};
use crate::samplers::inverse::{Law, Plan, Start};
use crate::targets::inverse::basis::Modes;
use crate::targets::inverse::{BasisConfig, Values};

/// One preconditioner at one resolution.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub preconditioner: String,
    pub modes: i64,
    pub rate_min: f64,
    pub rate_max: f64,
    pub step: f64,
    /// Iterations after which the expected error is below the tolerance; `None` if it never is.
    pub iterations: Option<u64>,
    /// The same of the chains that were run, where they were.
    pub measured: Option<u64>,
    /// Variance of the chain over that of the dynamics, largest mode.
    pub euler_factor: f64,
}

/// Runs every preconditioner at every resolution from 0; `say` hears a line for each.
pub fn study(config: &InverseConfig, say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    let study = config.study.as_ref().context("the config has no section study")?;
    let problems = resolutions(config, study)?;
    let mut rows = Vec::new();
    for preconditioner in &study.preconditioners {
        for (modes, at) in study.modes.iter().zip(&problems) {
            let mut config = at.clone();
            config.sampler.preconditioner = preconditioner.clone();
            let row = row(config, *modes, study)?;
            let shown = |n: Option<u64>| n.map_or("-".to_string(), |n| n.to_string());
            let (exact, measured) = (shown(row.iterations), shown(row.measured));
            say(&format!("{}, {modes} modes an axis: {exact} iterations, measured {measured}", row.preconditioner));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The config at every resolution, all with the coordinates and the observations of the finest one.
fn resolutions(config: &InverseConfig, study: &StudyConfig) -> Result<Vec<InverseConfig>> {
    let largest = study.modes.iter().copied().max().unwrap_or(1);
    let mut finest = config.clone();
    set_modes(&mut finest, largest)?;
    finest.sampler.start = Start::Zero;
    let problem = finest.problem.build()?;
    if problem.precision().is_none() || problem.prior.mixture().is_some() {
        return Err(bad_input!("'study' needs a diagonal operator and a Gaussian prior; it compares with exact laws"));
    }
    let shape = problem.basis.shape();
    let cut = |t: &Tensor, modes: i64| {
        let grid = t.view(shape.as_slice());
        let axes = 0..shape.len() as i64;
        let kept = axes.fold(grid, |grid, axis| grid.narrow(axis, 0, modes)).contiguous().view([-1]);
        Vec::<f64>::try_from(kept).map(Values::List)
    };
    study
        .modes
        .iter()
        .map(|modes| {
            let mut at = finest.clone();
            set_modes(&mut at, *modes)?;
            at.problem.data.truth = problem.truth.as_ref().map(|truth| cut(truth, *modes)).transpose()?;
            at.problem.data.y = Some(cut(&problem.y, *modes)?);
            Ok(at)
        })
        .collect()
}

fn set_modes(config: &mut InverseConfig, modes: i64) -> Result<()> {
    match &mut config.problem.basis {
        BasisConfig::Sequence(Modes { modes: m })
        | BasisConfig::BrownianSheet(Modes { modes: m })
        | BasisConfig::Dirichlet(Modes { modes: m }) => *m = modes,
        BasisConfig::Fourier(_) => {
            return Err(bad_input!(
                "'problem.basis.type' must not be fourier in a study: its modes are those of its grid"
            ));
        }
    }
    Ok(())
}

fn row(mut config: InverseConfig, modes: i64, study: &StudyConfig) -> Result<Row> {
    // A step has to be there before the limit is known; the law does not depend on it.
    let setup = Setup::new(&config)?;
    let law = setup.law.as_ref().context("a diagonal Gaussian problem has a law")?;
    let largest = law.rate.max().double_value(&[]);
    config.sampler.step = study.step_fraction * 2.0 / largest;

    let expected = |n: u64| expected_error(law, n, config.sampler.step, config.sampler.chains);
    let iterations = first_below(expected, study.tolerance);
    let measured = match iterations {
        Some(n) if n <= study.most_iterations => measure(&mut config, &setup, n, study.tolerance)?,
        _ => None,
    };
    let factor =
        law.chain_variance(config.sampler.step).map(|v| (v / &law.stationary.variance).max().double_value(&[]));
    Ok(Row {
        preconditioner: config.sampler.preconditioner.name().to_string(),
        modes,
        rate_min: law.rate.min().double_value(&[]),
        rate_max: largest,
        step: config.sampler.step,
        iterations,
        measured,
        euler_factor: factor.unwrap_or(f64::NAN),
    })
}

/// Root of the expected squared L2 error of the mean of `chains` chains after `n` steps from 0, over the posterior mean's
/// norm: bias and scatter.
fn expected_error(law: &Law, n: u64, step: f64, chains: i64) -> f64 {
    let mean = &law.posterior.mean;
    let Some(now) = law.after(n, step, &mean.zeros_like()) else { return f64::NAN };
    let squared = (now.mean - mean).square() + now.variance / chains as f64;
    (squared.sum(Kind::Double) / mean.square().sum(Kind::Double)).sqrt().double_value(&[])
}

/// Smallest n at which a falling function is below `tolerance`, by doubling and halving.
fn first_below(error: impl Fn(u64) -> f64, tolerance: f64) -> Option<u64> {
    let mut high = 1u64;
    while error(high) > tolerance {
        high = high.checked_mul(2).filter(|n| *n < 1 << 50)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if error(middle) > tolerance { low = middle } else { high = middle }
    }
    Some(high)
}

/// The first of about sixty looks at which the chains' mean is within the tolerance.
fn measure(config: &mut InverseConfig, setup: &Setup, expected: u64, tolerance: f64) -> Result<Option<u64>> {
    let most = expected + expected / 2 + 4;
    let stride = (most / 60).max(1);
    config.sampler.iterations = most;
    let snapshots: Vec<u64> = (1..=most).filter(|n| n.is_multiple_of(stride)).collect();
    let plan = Plan {
        seed: config.seed,
        iterations: most,
        burn_in: most - 1,
        thin: 1,
        snapshots: snapshots.clone(),
        traced: Vec::new(),
        traced_chains: 1,
    };
    let record = setup.run(config, None, &plan)?;
    let center = setup.center();
    let off = (&record.snapshots - &center).square().sum_dim_intlist(1, false, Kind::Double).sqrt() / center.norm();
    let errors = Vec::<f64>::try_from(off)?;
    Ok(snapshots.iter().zip(errors).find(|(_, error)| *error <= tolerance).map(|(n, _)| *n))
}

/// Rows as a table.
pub fn table(rows: &[Row]) -> Table {
    let header = ["preconditioner", "modes", "rates", "step", "iterations", "measured", "Euler factor"];
    let mut table = Table::new(header);
    for row in rows {
        let count = |n: Option<u64>| n.map_or("–".to_string(), |n| n.to_string());
        table.row([
            row.preconditioner.clone(),
            row.modes.to_string(),
            format!("{} to {}", figure(row.rate_min, 4), figure(row.rate_max, 4)),
            figure(row.step, 3),
            count(row.iterations),
            count(row.measured),
            figure(row.euler_factor, 4),
        ]);
    }
    table
}

/// Iterations against resolution, a line a preconditioner.
pub fn picture(rows: &[Row], tolerance: f64) -> Result<Picture> {
    let title = format!("Iterations to a relative error of {tolerance}");
    let mut plot = LinePlot::new(title, Axis::log("modes an axis"), Axis::log("iterations"));
    let mut names: Vec<&str> = rows.iter().map(|row| row.preconditioner.as_str()).collect();
    names.dedup();
    for name in names {
        let own = || rows.iter().filter(|row| row.preconditioner == name);
        let x: Vec<f64> = own().map(|row| row.modes as f64).collect();
        let y: Vec<f64> = own().map(|row| row.iterations.map_or(f64::NAN, |n| n as f64)).collect();
        plot = plot.series(Series::new(name, &x, &y).with_dots());
    }
    plot.draw()
}

/// Flat figures for `summary.json`.
pub fn figures(rows: &[Row]) -> Vec<(String, f64)> {
    let named = |row: &Row| {
        let name = format!("{}/{}", row.preconditioner, row.modes);
        let exact = row.iterations.map(|n| (format!("iterations/{name}"), n as f64));
        exact.into_iter().chain(row.measured.map(|n| (format!("measured/{name}"), n as f64))).collect::<Vec<_>>()
    };
    rows.iter().flat_map(named).collect()
}
