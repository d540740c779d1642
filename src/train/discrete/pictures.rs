//! Pictures of chains and of learned samplers: lattices, the magnetisation's histogram, the two-point function.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::measure::{Reference, normalised, x_as_bytes};
use crate::log::plot::{Axis, HistogramPlot, ImageGrid, LinePlot, Picture, Sample, Series, Shades};
use crate::samplers::discrete::{Member, Path};
use crate::samplers::importance::resample::Resampling;
use crate::targets::lattice::figures::Figures;
use crate::targets::lattice::{DiscreteTarget, decode};
use crate::train::curves::Curves;
use crate::train::objective::History;

/// Lattices on a sheet.
const MOST_IMAGES: i64 = 36;

/// `series` gives all values of a figure, `scalars` the means with their errors; `x` are samples `[N, D]` in values.
pub fn draw(
    target: &dyn DiscreteTarget,
    names: &[String],
    scalars: &[(String, f64)],
    x: &Tensor,
    series: impl Fn(&str) -> Option<Vec<f64>>,
) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    if let Some((rows, columns)) = target.shape() {
        let count = x.size()[0].min(MOST_IMAGES);
        let spread =
            Tensor::linspace(0, x.size()[0] - 1, count, (Kind::Double, x.device())).round().to_kind(Kind::Int64);
        let images = x.index_select(0, &spread).view([count, rows, columns]);
        let values = target.values();
        let range = (values[0] as f64, values[values.len() - 1] as f64);
        let sheet = ImageGrid::new("samples").range(range.0, range.1).shades(Shades::Density);
        pictures.push(("samples".to_string(), sheet.draw(&images)?));
    }
    for name in ["magnetisation", "abs_magnetisation"] {
        if let Some(values) = series(name) {
            let axis = Axis::linear(name.replace('_', " "));
            let plot = HistogramPlot::new("", axis).sample(Sample::new("chains", &values));
            pictures.push((name.to_string(), plot.draw()?));
        }
    }
    if names.iter().any(|name| name == "two_point_1") {
        pictures.push(("two_point".to_string(), two_point(names, scalars)?));
    }
    Ok(pictures)
}

fn two_point(names: &[String], scalars: &[(String, f64)]) -> Result<Picture> {
    let value = |name: String| scalars.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
    let ranges = names.iter().filter(|name| name.starts_with("two_point_")).count();
    let r: Vec<f64> = (1..=ranges).map(|r| r as f64).collect();
    let column = |suffix: &str| -> Vec<f64> { (1..=ranges).map(|r| value(format!("two_point_{r}{suffix}"))).collect() };
    let found = Series::new("chains", &r, &column("")).plus_minus(&column("_error")).with_dots();
    let mut plot = LinePlot::new("", Axis::linear("distance"), Axis::linear("two-point function")).series(found);
    let exact = column("_exact");
    if exact.iter().all(|value| value.is_finite()) {
        plot = plot.series(Series::new("exact", &r, &exact).with_dots());
    }
    plot.draw()
}

/// Effective sample size, bounds on log Z and loss over training.
pub fn curves(history: &History, reference: &Reference) -> Result<Vec<(String, Picture)>> {
    let against = ("step", "updates");
    let ess = Curves {
        title: "Effective sample size",
        against,
        y_name: "ESS / N",
        tags: &[("ESS", "eval/ess")],
        reference: None,
    };
    let log_z = Curves {
        title: "log Z",
        y_name: "nats",
        tags: &[("ELBO", "eval/elbo"), ("log Z", "eval/log_z")],
        reference: reference.get("log_z").map(|value| ("exact", value)),
        ..ess
    };
    let energy = Curves {
        title: "Free energy a site",
        y_name: "F",
        tags: &[("ELBO", "eval/free_energy_elbo"), ("importance sampling", "eval/free_energy")],
        reference: None,
        ..ess
    };
    let loss = Curves { title: "Training loss", y_name: "loss", tags: &[("loss", "train/loss")], ..energy };
    let all = [("ess", ess.draw(history)?), ("log_z", log_z.draw(history)?), ("free_energy", energy.draw(history)?)];
    let mut all: Vec<_> = all.into_iter().map(|(name, picture)| (name.to_string(), picture)).collect();
    all.push(("loss".into(), loss.draw(history)?));
    Ok(all)
}

/// Samples as images, the magnetisation's histogram and the two-point function, weighted, beside exact ones.
pub fn samples(target: &dyn DiscreteTarget, reference: &Reference, path: &Path) -> Result<Vec<(String, Picture)>> {
    let log_weights = Vec::<f64>::try_from(&path.log_weight)?;
    let mut all = Vec::new();
    // Images are of samples drawn in proportion to their weights.
    let count = log_weights.len().min(MOST_IMAGES as usize);
    let rows = Resampling::Systematic.draw(&log_weights, count, &[0.5]);
    if let (Some((rows_, columns)), Some(rows)) = (target.shape(), rows) {
        let x = decode(target, &path.x.index_select(0, &Tensor::from_slice(&rows)));
        let values = target.values();
        let range = (values[0] as f64, values[values.len() - 1] as f64);
        let sheet = ImageGrid::new("samples").range(range.0, range.1).shades(Shades::Density);
        all.push(("samples".to_string(), sheet.draw(&x.view([-1, rows_, columns]))?));
    }
    let Some(model) = target.pairs().filter(|model| model.sites as i64 == target.sites()) else { return Ok(all) };
    let figures = Figures::new(model, target.sites(), target.shape());
    let read: Vec<Vec<f64>> = x_as_bytes(&path.x)?.iter().map(|x| figures.read(x)).collect();
    let weights = normalised(&log_weights);
    let names = figures.names();
    if let Some(k) = names.iter().position(|name| name == "magnetisation") {
        let m: Vec<f64> = read.iter().map(|row| row[k]).collect();
        all.push(("magnetisation".into(), magnetisation(&m, &weights, target.sites(), reference)?));
    }
    let two_point: Vec<usize> = (0..names.len()).filter(|k| names[*k].starts_with("two_point_")).collect();
    if !two_point.is_empty() {
        let mean = |k: &usize| weights.iter().zip(&read).map(|(w, row)| w * row[*k]).sum::<f64>();
        let means: Vec<f64> = two_point.iter().map(mean).collect();
        all.push(("two_point".into(), two_points(&means, reference)?));
    }
    Ok(all)
}

/// Probability of each magnetisation that D spins can have.
fn magnetisation(m: &[f64], weights: &[f64], sites: i64, reference: &Reference) -> Result<Picture> {
    let mut found = vec![0.0; sites as usize + 1];
    for (m, w) in m.iter().zip(weights) {
        found[((m + 1.0) * 0.5 * sites as f64).round() as usize] += w;
    }
    let at: Vec<f64> = (0..=sites).map(|up| 2.0 * up as f64 / sites as f64 - 1.0).collect();
    let plot = LinePlot::new("Magnetisation", Axis::linear("magnetisation"), Axis::linear("probability"));
    let mut plot = plot.series(Series::new("sampler, weighted", &at, &found).with_dots());
    if let Some(exact) = &reference.occupation {
        plot = plot.series(Series::new("exact", &at, exact));
    }
    plot.draw()
}

fn two_points(means: &[f64], reference: &Reference) -> Result<Picture> {
    let r: Vec<f64> = (1..=means.len()).map(|r| r as f64).collect();
    let plot = LinePlot::new("Two-point function", Axis::linear("distance"), Axis::linear("<s_0 s_r>"));
    let mut plot = plot.series(Series::new("sampler, weighted", &r, means).with_dots());
    let exact: Option<Vec<f64>> = (1..=means.len()).map(|r| reference.get(&format!("two_point_{r}"))).collect();
    if let Some(exact) = exact {
        plot = plot.series(Series::new("exact", &r, &exact).with_dots());
    }
    plot.draw()
}

/// Times at which rates are shown.
const SHOWN_TIMES: [f64; 4] = [0.1, 0.4, 0.7, 1.0];

/// Rates at which the sites of a few lattices leave their states, one row a time: lattices above their rates.
pub fn rates(member: &Member) -> Result<Vec<(String, Picture)>> {
    let target = &*member.target;
    let Some((rows, columns)) = target.shape() else { return Ok(Vec::new()) };
    let _guard = tch::no_grad_guard();
    // Stripes, a block, and one flipped site in an ordered lattice: where should a sampler act?
    let top = target.num_states() - 1;
    let row = Tensor::arange(rows, (Kind::Int64, tch::Device::Cpu)).unsqueeze(1).expand([rows, columns], false);
    let column = Tensor::arange(columns, (Kind::Int64, tch::Device::Cpu)).unsqueeze(0).expand([rows, columns], false);
    let half = row.lt(rows / 2);
    let block = half.logical_and(&column.lt(columns / 2));
    let single = row.eq(rows / 2).logical_and(&column.eq(columns / 2));
    let x = Tensor::stack(&[half, block, single], 0).to_kind(Kind::Int64) * top;
    let flat = x.view([3, -1]).to_device(member.params.device());
    let mut images = vec![x.to_kind(Kind::Double) / top.max(1) as f64];
    for t in SHOWN_TIMES {
        let at = member.simulation().at(&flat, t);
        let leaving = at.g.relu().sum_dim_intlist(2, false, Kind::Double).view([3, rows, columns]);
        images.push(leaving.to_device(tch::Device::Cpu));
    }
    let most = Tensor::cat(&images[1..], 0).max().double_value(&[]).max(1e-9);
    for image in &mut images[1..] {
        *image = &*image / most;
    }
    // One column a time, one row a lattice.
    let sheet = Tensor::stack(&images, 1).flatten(0, 1); // [3 * 5, L, L]
    let title = format!("lattice, then rates of leaving at t = 0.1, 0.4, 0.7, 1 (white: {most:.2})");
    let grid = ImageGrid::new(title).columns(SHOWN_TIMES.len() + 1).range(0.0, 1.0).shades(Shades::Density);
    Ok(vec![("rates".into(), grid.draw(&sheet)?)])
}
