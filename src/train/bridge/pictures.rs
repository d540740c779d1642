//! Pictures of a bridge run.

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::log::plot::{Axis, HistogramPlot, LinePlot, PairsPlot, Picture, Sample, Series};
use crate::samplers::DiffusionSampler;
use crate::targets::Target;
use crate::train::objective::History;

/// Coordinates shown in the matrix of marginals, and points in each of its panels.
const SHOWN_COORDINATES: i64 = 4;
const SHOWN_POINTS: i64 = 1000;

/// Curves over training: each metric against updates, and the bounds against target calls.
pub fn curves(history: &History, target: &dyn Target) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for (axis, name) in [("step", "updates"), ("cost/target_calls", "target calls")] {
        let suffix = if axis == "step" { "" } else { "_by_target_calls" };
        let bounds = [
            ("ELBO", "eval/elbo"),
            ("log Z", "eval/log_z"),
            ("EUBO", "eval/eubo"),
            ("log Z, forward", "eval/log_z_fwd"),
        ];
        pictures.push((
            format!("bounds{suffix}"),
            plot(history, "Bounds on log Z", axis, name, "nats", &bounds, target.log_z())?,
        ));
        let ess = [("reverse", "eval/ess"), ("forward", "eval/ess_fwd")];
        pictures
            .push((format!("ess{suffix}"), plot(history, "Effective sample size", axis, name, "ESS / N", &ess, None)?));
    }
    let loss = [("loss", "train/loss")];
    pictures.push(("loss".into(), plot(history, "Training loss", "step", "updates", "loss", &loss, None)?));
    Ok(pictures)
}

fn plot(
    history: &History,
    title: &str,
    axis: &str,
    axis_name: &str,
    y_name: &str,
    tags: &[(&str, &str)],
    reference: Option<f64>,
) -> Result<Picture> {
    let mut plot = LinePlot::new(title, Axis::linear(axis_name), robust_axis(history, y_name, tags));
    for (label, tag) in tags {
        let rows = history.iter().filter(|row| row.contains_key(*tag));
        let place = |row: &std::collections::BTreeMap<String, f64>| row.get(axis).copied().unwrap_or(0.0);
        let (x, y): (Vec<f64>, Vec<f64>) = rows.map(|row| (place(row), row[*tag])).unzip();
        if !x.is_empty() {
            plot = plot.series(Series::new(*label, &x, &y));
        }
    }
    if let Some(value) = reference {
        plot = plot.reference("exact log Z", value);
    }
    plot.draw()
}

/// The first evaluations may lie orders of magnitude off: the axis spans what came after the first quarter.
fn robust_axis(history: &History, name: &str, tags: &[(&str, &str)]) -> Axis {
    let mut settled = Vec::new();
    for (_, tag) in tags {
        let values: Vec<f64> = history.iter().filter_map(|row| row.get(*tag)).copied().collect();
        settled.extend(values[values.len() / 4..].iter().filter(|v| v.is_finite()));
    }
    let (low, high) = settled.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    if low < high { Axis::linear(name).within(low, high) } else { Axis::linear(name) }
}

/// Marginals of the first coordinates, samples against exact ones.
pub fn marginals(x: &Tensor, reference: Option<&Tensor>) -> Result<Picture> {
    let dims = x.size()[1].min(SHOWN_COORDINATES);
    let part = |t: &Tensor| t.narrow(1, 0, dims).narrow(0, 0, t.size()[0].min(SHOWN_POINTS));
    let mut plot = PairsPlot::new("Marginals", (0..dims).map(|d| format!("x{d}")));
    if let Some(reference) = reference {
        plot = plot.points("exact", &part(reference));
    }
    plot.points("sampler", &part(x)).draw()
}

/// Distribution of the log-weights; all mass in one place is a perfect sampler.
pub fn log_weights(log_weight: &Tensor, log_z: Option<f64>) -> Result<Picture> {
    let values = Vec::<f64>::try_from(log_weight.to_kind(Kind::Double).contiguous())?;
    let mut plot = HistogramPlot::new("Log-weights", Axis::linear("log w"));
    plot = plot.sample(Sample::new("samples", &values));
    if let Some(log_z) = log_z {
        // As high as the peak of a normal distribution of this spread.
        let peak = 0.4 / log_weight.std(true).double_value(&[]).max(1e-6);
        plot = plot.curve("exact log Z", &[log_z, log_z], &[0.0, peak]);
    }
    plot.draw()
}

/// The learned interpolation and noise.
pub fn schedule(sampler: &DiffusionSampler) -> Result<Vec<(String, Picture)>> {
    let record = sampler.record();
    let share = Vec::<f64>::try_from(record.prior_share.to_kind(Kind::Double))?;
    let steps: Vec<f64> = (0..share.len()).map(|k| k as f64).collect();
    let beta: Vec<f64> = share.iter().map(|s| 1.0 - s).collect();
    let linear: Vec<f64> = steps.iter().map(|k| k / (share.len() - 1).max(1) as f64).collect();
    let interpolation = LinePlot::new("Annealing schedule", Axis::linear("step"), Axis::linear("share of the target"))
        .series(Series::new("learned", &steps, &beta))
        .series(Series::new("linear", &steps, &linear));

    let std = sampler.step_std().to_kind(Kind::Double); // [T, D]
    let dims = Vec::<f64>::try_from(std.mean_dim(0, false, Kind::Double))?;
    let index: Vec<f64> = (0..dims.len()).map(|d| d as f64).collect();
    let noise = LinePlot::new("Noise per step, mean over steps", Axis::linear("coordinate"), Axis::linear("deviation"))
        .series(Series::new("sigma", &index, &dims).with_dots());
    Ok(vec![("interpolation".into(), interpolation.draw()?), ("sigma".into(), noise.draw()?)])
}
