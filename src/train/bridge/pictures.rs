//! Pictures of a bridge run.

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::log::plot::{Axis, HistogramPlot, LinePlot, PairsPlot, Picture, Sample, Series};
use crate::samplers::DiffusionSampler;
use crate::targets::Target;
use crate::train::curves::Curves;
use crate::train::objective::History;

/// Coordinates shown in the matrix of marginals, and points in each of its panels.
const SHOWN_COORDINATES: i64 = 4;
const SHOWN_POINTS: i64 = 1000;

/// Curves over training: each metric against updates, and the bounds against target calls.
pub fn curves(history: &History, target: &dyn Target) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for against in [("step", "updates"), ("cost/target_calls", "target calls")] {
        let suffix = if against.0 == "step" { "" } else { "_by_target_calls" };
        let bounds = Curves {
            title: "Bounds on log Z",
            against,
            y_name: "nats",
            tags: &[
                ("ELBO", "eval/elbo"),
                ("log Z", "eval/log_z"),
                ("EUBO", "eval/eubo"),
                ("log Z, forward", "eval/log_z_fwd"),
            ],
            reference: target.log_z().map(|log_z| ("exact log Z", log_z)),
        };
        pictures.push((format!("bounds{suffix}"), bounds.draw(history)?));
        let ess = Curves {
            title: "Effective sample size",
            y_name: "ESS / N",
            tags: &[("reverse", "eval/ess"), ("forward", "eval/ess_fwd")],
            reference: None,
            ..bounds
        };
        pictures.push((format!("ess{suffix}"), ess.draw(history)?));
    }
    let tags = &[("loss", "train/loss")];
    let against = ("step", "updates");
    let loss = Curves { title: "Training loss", against, y_name: "loss", tags, reference: None };
    pictures.push(("loss".into(), loss.draw(history)?));
    Ok(pictures)
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
