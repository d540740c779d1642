//! A grid over integrators and steps: distances, slopes, costs.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::config::{Measure, ScoreConfig};
use super::exact;
use super::measure::{Distances, Figure, floor, measure};
use super::order::{Slope, fit};
use super::pictures;
use super::subject::Subject;
use crate::log::plot::Picture;
use crate::log::table::{Table, figure, mean_std};
use crate::samplers::score::{Integrator, StepCost, TimeGrid, simulate};
use crate::targets::Options;

/// One integrator at one step.
pub struct Row {
    pub num_steps: usize,
    pub h: f64,
    /// Evaluations a particle.
    pub cost: StepCost,
    /// Of the whole law, or of the first coordinate of samples.
    pub w2: Figure,
    /// Distances of samples, where they were drawn.
    pub distances: Option<Distances>,
    /// Seconds in which one set of `sample.n` samples is drawn.
    pub wall_s: f64,
}

/// One integrator at all steps.
pub struct Track {
    pub name: String,
    pub order: u32,
    pub rows: Vec<Row>,
    pub slope: Option<Slope>,
}

pub struct Study {
    pub tracks: Vec<Track>,
    /// Distances between exact samples, where samples were drawn.
    pub floor: Option<Distances>,
    pub fit_last: usize,
}

/// Runs the grid; `say` hears a line for every integrator at every step.
pub fn study(config: &ScoreConfig, options: Options, say: &mut dyn FnMut(&str)) -> Result<Study> {
    let wanted = config.study.as_ref().context("the config has no section study")?;
    let subject = Subject::build(config, options)?;
    check_integrators(config, &subject)?;
    let grids = wanted.grids(config)?;
    let mut tracks = Vec::new();
    for integrator in &wanted.integrators {
        let (name, integrator) = (integrator.name(), integrator.build());
        let mut rows = Vec::new();
        for (h, grid) in &grids {
            let row = row(config, wanted.measure, &subject, integrator.as_ref(), *h, grid, options)?;
            say(&format!("{name}, {} steps: W2 {}", row.num_steps, with_error(row.w2)));
            rows.push(row);
        }
        let (h, w2): (Vec<f64>, Vec<f64>) = rows.iter().map(|row| (row.h, row.w2.mean)).unzip();
        let slope = fit(&h, &w2, wanted.fit_last);
        tracks.push(Track { name, order: integrator.order(), rows, slope });
    }
    let sampled = wanted.measure == Measure::Samples;
    let floor = sampled.then(|| floor(&subject, &config.sample, config.seed)).transpose()?;
    Ok(Study { tracks, floor, fit_last: wanted.fit_last })
}

/// Refuses integrators that memory does not suffice for.
pub fn check_integrators(config: &ScoreConfig, subject: &Subject) -> Result<()> {
    let named = config.study.iter().flat_map(|study| study.integrators.iter().enumerate());
    named.into_iter().try_for_each(|(i, integrator)| {
        subject.check_integrator(&format!("study.integrators.{i}"), integrator, config.sample.n)
    })
}

fn row(
    config: &ScoreConfig,
    how: Measure,
    subject: &Subject,
    integrator: &dyn Integrator,
    h: f64,
    grid: &TimeGrid,
    options: Options,
) -> Result<Row> {
    let num_steps = grid.num_steps();
    let cost = integrator.cost().times(num_steps, 1);
    if how != Measure::Samples {
        let w2 = Figure::exact(exact::exact(config, integrator, grid)?.w2);
        // Laws are exact, and drawn from only to see what that costs.
        let started = Instant::now();
        drop(simulate(subject.model.as_ref(), integrator, grid, config.sample.n, config.seed, options));
        return Ok(Row { num_steps, h, cost, w2, distances: None, wall_s: started.elapsed().as_secs_f64() });
    }
    let measured = measure(subject, integrator, grid, &config.sample, config.seed, options)?;
    let w2 = measured.distances.w2;
    Ok(Row { num_steps, h, cost, w2, distances: Some(measured.distances), wall_s: measured.wall_s })
}

fn with_error(value: Figure) -> String {
    if value.error > 0.0 { mean_std(value.mean, value.error) } else { figure(value.mean, 5) }
}

impl Study {
    /// A row for every integrator and step; the floor comes last.
    pub fn table(&self) -> Table {
        let header = ["integrator", "steps", "h", "score calls", "HVPs", "Hessians", "W2", "W1", "sliced W2", "wall s"];
        let mut table = Table::new(header);
        let sampled = |distances: &Option<Distances>| match distances {
            Some(d) => [with_error(d.w1), with_error(d.sliced_w2)],
            None => ["–", "–"].map(String::from),
        };
        for track in &self.tracks {
            for row in &track.rows {
                let [w1, sliced] = sampled(&row.distances);
                let calls = [row.cost.score_calls, row.cost.hvp_calls, row.cost.hessian_calls].map(|n| n.to_string());
                let mut cells = vec![track.name.clone(), row.num_steps.to_string(), figure(row.h, 4)];
                cells.extend(calls);
                cells.extend([with_error(row.w2), w1, sliced, figure(row.wall_s, 3)]);
                table.row(cells);
            }
        }
        if let Some(floor) = &self.floor {
            let [w1, sliced] = sampled(&self.floor);
            let blank = || String::from("–");
            let name = "exact samples".to_string();
            let w2 = with_error(floor.w2);
            table.row([name, blank(), blank(), blank(), blank(), blank(), w2, w1, sliced, blank()]);
        }
        table
    }

    /// Fitted orders beside the expected ones.
    pub fn orders(&self) -> Table {
        let mut table = Table::new(["integrator", "slope", "95 % interval", "expected"]);
        for track in &self.tracks {
            let (value, interval) = match track.slope {
                Some(slope) => (figure(slope.value, 3), format!("{:.2} to {:.2}", slope.low, slope.high)),
                None => ("–".to_string(), "–".to_string()),
            };
            table.row([track.name.clone(), value, interval, track.order.to_string()]);
        }
        table
    }

    /// Flat figures for `summary.json`.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let mut figures = Vec::new();
        for track in &self.tracks {
            let name = &track.name;
            figures.extend(track.slope.iter().flat_map(|slope| {
                let named = [("slope", slope.value), ("slope_low", slope.low), ("slope_high", slope.high)];
                named.map(|(tag, value)| (format!("{tag}/{name}"), value))
            }));
            figures.extend(track.rows.iter().map(|row| (format!("w2/{name}/{}", row.num_steps), row.w2.mean)));
        }
        figures.extend(self.floor.iter().map(|floor| ("w2_floor".to_string(), floor.w2.mean)));
        figures
    }

    /// Every row as JSON.
    pub fn rows(&self) -> Value {
        let rows = self.tracks.iter().flat_map(|track| {
            track.rows.iter().map(|row| {
                json!({
                    "integrator": track.name, "order": track.order, "num_steps": row.num_steps, "h": row.h,
                    "score_calls": row.cost.score_calls, "hvp_calls": row.cost.hvp_calls,
                    "hessian_calls": row.cost.hessian_calls, "w2": row.w2.mean, "w2_error": row.w2.error,
                    "w1": row.distances.map(|d| d.w1.mean), "w1_error": row.distances.map(|d| d.w1.error),
                    "sliced_w2": row.distances.map(|d| d.sliced_w2.mean),
                    "sinkhorn": row.distances.and_then(|d| d.sinkhorn).map(|figure| figure.mean), "wall_s": row.wall_s,
                })
            })
        });
        Value::Array(rows.collect())
    }

    pub fn pictures(&self) -> Result<Vec<(String, Picture)>> {
        pictures::of_study(self)
    }
}
