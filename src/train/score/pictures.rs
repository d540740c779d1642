//! Pictures of a study and of samples.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::order::fit;
use super::study::{Row, Study};
use crate::log::plot::{Axis, HistogramPlot, LinePlot, Picture, Sample, Series};

/// W2 against h, number of steps, score calls and wall time; both axes logarithmic, slopes in the legend.
pub fn of_study(study: &Study) -> Result<Vec<(String, Picture)>> {
    let calls = "evaluations a particle (scores, products, Hessians)";
    let pictures = [
        ("w2_against_h", against(study, "step h", false, |row| row.h)?),
        ("w2_against_steps", against(study, "steps", true, |row| row.num_steps as f64)?),
        ("w2_against_score_calls", against(study, "score calls a particle", true, |row| row.cost.score_calls as f64)?),
        ("w2_against_evaluations", against(study, calls, true, |row| row.cost.evaluations() as f64)?),
        ("w2_against_wall_time", against(study, "wall time / s", true, |row| row.wall_s)?),
    ];
    Ok(pictures.map(|(name, picture)| (name.to_string(), picture)).into())
}

/// `work` says that the errors of interest lie at large x rather than at small x.
fn against(study: &Study, label: &str, work: bool, x: impl Fn(&Row) -> f64) -> Result<Picture> {
    let mut plot = LinePlot::new("Distance from the data", Axis::log(label), Axis::log("W2"));
    for track in &study.tracks {
        let (xs, ys): (Vec<f64>, Vec<f64>) = track.rows.iter().map(|row| (x(row), row.w2.mean)).unzip();
        let progress: Vec<f64> = xs.iter().map(|x| if work { 1.0 / x } else { *x }).collect();
        let sign = if work { -1.0 } else { 1.0 };
        let slope = fit(&progress, &ys, study.fit_last);
        let label = slope.map_or(track.name.clone(), |slope| format!("{}: {:.2}", track.name, sign * slope.value));
        plot = plot.series(Series::new(label, &xs, &ys).with_dots());
    }
    if let Some(floor) = &study.floor {
        plot = plot.reference("exact samples", floor.w2.mean);
    }
    plot.draw()
}

/// Histogram of the first coordinate over that of exact samples.
pub fn first_coordinate(x: &Tensor, exact: &Tensor) -> Result<Picture> {
    let values =
        |t: &Tensor| Vec::<f64>::try_from(t.select(1, 0).to_kind(Kind::Double).contiguous()).unwrap_or_default();
    HistogramPlot::new("First coordinate", Axis::linear("x₁"))
        .sample(Sample::new("sampler", &values(x)))
        .sample(Sample::new("exact", &values(exact)))
        .draw()
}
