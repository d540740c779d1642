//! What a learned score is worth: its loss on points held out, its error where the exact score is known, its samples.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::objective::LearnObjective;
use super::source::Source;
use crate::log::plot::{Axis, ImageGrid, LinePlot, Picture, Series};
use crate::metrics::sliced::sliced_w2;
use crate::samplers::score::models::{LearnedScore, at};
use crate::samplers::score::time_grid::{KarrasConfig, alpha, sigma};
use crate::samplers::score::{IntegratorConfig, ScoreModel, TimeGridConfig, config::Plain, simulate};
use crate::torch::seed::{Stream, reseed};
use crate::train::objective::Evaluation;
use crate::train::score::measure::unit_directions;
use crate::train::score::pictures::first_coordinate;

/// Seed of all that an evaluation draws: the same points and the same noise every time, so that figures compare.
const SEED: u64 = 11;
/// Random directions of the sliced distance.
const DIRECTIONS: i64 = 64;
/// Times at which the score is compared with the exact one, evenly spaced in the logarithm.
const TIMES: usize = 9;
const EARLIEST: f64 = 0.01;
/// Images shown.
const SHOWN: i64 = 100;

/// Figures and samples of the present network.
pub fn evaluate(objective: &LearnObjective, _last: bool) -> Result<Evaluation> {
    let _no_grad = tch::no_grad_guard();
    let (config, model) = (&objective.config, &objective.model);
    reseed(SEED, Stream::Eval, 0);
    let (x, labels) = objective.source.held_out(config.eval.points)?;
    let kind = model.denoiser().params().kind();
    let held_out = (x.to_kind(kind), labels);
    let mut evaluation = Evaluation::default();
    if held_out.0.size()[0] > 0 {
        evaluation.scalars.push(("eval/loss".to_string(), objective.loss(&held_out).double_value(&[])));
    }
    if let Source::Exact(exact) = &objective.source {
        add_errors(&mut evaluation, model, exact.as_ref(), &x.to_kind(Kind::Double), config.horizon)?;
    }
    add_samples(&mut evaluation, objective)?;
    Ok(evaluation)
}

/// The error of the score, mean square over points of the noised data relative to the score's own, by time.
fn add_errors(
    evaluation: &mut Evaluation,
    model: &LearnedScore,
    exact: &dyn ScoreModel,
    data: &Tensor,
    horizon: f64,
) -> Result<()> {
    let (from, to) = (EARLIEST.min(0.1 * horizon).ln(), horizon.ln());
    let times: Vec<f64> = (0..TIMES).map(|i| (from + (to - from) * i as f64 / (TIMES - 1) as f64).exp()).collect();
    let errors: Vec<f64> = times.iter().map(|t| relative_error(model, exact, data, *t)).collect();

    let mean = errors.iter().sum::<f64>() / TIMES as f64;
    evaluation.scalars.push(("eval/score_error".to_string(), mean));
    let named = times.iter().zip(&errors).map(|(t, error)| (format!("eval/score_error_t{t:.2}"), *error));
    evaluation.scalars.extend(named);
    let plot = LinePlot::new("Error of the learned score", Axis::log("t"), Axis::log("relative mean square"));
    let picture = plot.series(Series::new("learned", &times, &errors).with_dots()).draw()?;
    evaluation.pictures.push(("score_error".to_string(), picture));
    Ok(())
}

/// `E|s - s*|² / E|s*|²` at time `t` under the noised law of `data` `[N, D]`.
pub fn relative_error(model: &dyn ScoreModel, exact: &dyn ScoreModel, data: &Tensor, t: f64) -> f64 {
    let x = data * alpha(t) + data.randn_like() * sigma(t);
    let wanted = exact.score(&at(t, &x), &x);
    let error = model.score(&at(t, &x), &x) - &wanted;
    (error.square().sum(None) / wanted.square().sum(None)).double_value(&[])
}

/// Samples by DPM-Solver++(2M) on EDM's noise levels, their picture, and for vectors their sliced distance.
fn add_samples(evaluation: &mut Evaluation, objective: &LearnObjective) -> Result<()> {
    let (eval, model) = (&objective.config.eval, &objective.model);
    let grid = TimeGridConfig::Karras(KarrasConfig { sigma_min: 0.02, ..KarrasConfig::default() });
    let grid = grid.build(objective.config.horizon, eval.num_steps)?;
    let options = (Kind::Double, model.denoiser().params().device());
    let integrator = IntegratorConfig::DpmSolver2m(Plain {}).build();
    let x = simulate(model, integrator.as_ref(), &grid, eval.samples, SEED, options);

    let picture = match &objective.source {
        Source::Images(images) => ("samples", image_grid("Samples", &x, images.size())?),
        Source::Exact(exact) => {
            reseed(SEED, Stream::Eval, u64::MAX);
            let reference = exact.sample(eval.samples).unwrap_or_else(|| x.zeros_like());
            let distance = sliced_w2(&x, &reference, &unit_directions(DIRECTIONS, &x));
            evaluation.scalars.push(("eval/sliced_w2".to_string(), distance));
            ("first_coordinate", first_coordinate(&x, &reference)?)
        }
    };
    evaluation.pictures.push((picture.0.to_string(), picture.1));
    evaluation.tensors.push(("x".to_string(), x));
    Ok(())
}

/// A sheet of the first hundred images of `x` `[N, H W]` in [-1, 1], ten in a row.
pub fn image_grid(title: &str, x: &Tensor, size: (i64, i64)) -> Result<Picture> {
    sheet_of(title, &x.narrow(0, 0, x.size()[0].min(SHOWN)), size)
}

/// A sheet of all of them.
pub fn sheet_of(title: &str, x: &Tensor, (height, width): (i64, i64)) -> Result<Picture> {
    ImageGrid::new(title).columns(10).range(-1.0, 1.0).draw(&x.contiguous().view([-1, height, width]))
}
