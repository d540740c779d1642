//! The law of the samples without sampling, for data on a line: its density on a grid.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use super::time_grid::sigma;
use super::{Draws, Integrator, Randomness, ScoreModel, State, TimeGrid};
use crate::bad_input;
use crate::targets::support::LN_2PI;

/// Probability densities at evenly spaced points, `[G]` f64.
#[derive(Debug)]
pub struct LineDensity {
    pub points: Tensor,
    pub density: Tensor,
}

impl LineDensity {
    fn spacing(&self) -> f64 {
        self.points.double_value(&[1]) - self.points.double_value(&[0])
    }

    /// The integral: 1 but for what has left the grid.
    pub fn mass(&self) -> f64 {
        self.density.sum(None).double_value(&[]) * self.spacing()
    }
}

/// The data's own density at `points` `[G]`.
///
/// Errors: a model of several dimensions, or without a formula for its density.
pub fn data_density(model: &dyn ScoreModel, points: &Tensor) -> Result<LineDensity> {
    ensure!(model.dim() == 1, "densities on a line need one dimension, the model has {}", model.dim());
    let x = points.unsqueeze(-1);
    let log_prob = model.log_prob(&super::models::at(0.0, &x), &x);
    let log_prob = log_prob.ok_or_else(|| bad_input!("'target.type' must be one with a formula for its density"))?;
    Ok(LineDensity { points: points.shallow_clone(), density: log_prob.exp() })
}

/// Density at the end of the grid, from the prior, at `points` `[G]`: exact one-step kernels, the trapezoidal rule.
///
/// The rule converges faster than any power of the spacing while each step's noise is wider than it. What leaves the grid
/// is lost, and [`LineDensity::mass`] tells: long steps of a local linearisation throw rare particles from between
/// separated modes very far, and W2 then depends on how far the grid reaches. Errors: a model of
/// several dimensions; an integrator whose step, given where it starts, is not Gaussian with some noise.
pub fn propagate(
    model: &dyn ScoreModel,
    integrator: &dyn Integrator,
    grid: &TimeGrid,
    points: &Tensor,
) -> Result<LineDensity> {
    ensure!(model.dim() == 1, "densities on a line need one dimension, the model has {}", model.dim());
    if integrator.randomness() != Randomness::NORMAL {
        return Err(bad_input!(
            "'integrator.type' must be one with a single Gaussian noise a step to propagate densities"
        ));
    }
    let _no_grad = tch::no_grad_guard();
    let x = points.to_kind(Kind::Double).unsqueeze(-1); // [G, 1]
    let mut line =
        LineDensity { density: normal(&points.square(), sigma(grid.horizon())), points: points.shallow_clone() };
    for step in grid.steps() {
        // The step's end is its mean plus its deviation times ξ: two values of ξ tell both.
        let end = |xi: f64| {
            let draws = Draws { xi: x.full_like(xi), extra: x.shallow_clone(), u: x.shallow_clone() };
            integrator.step(model, step, State::new(x.shallow_clone()), &draws).x
        };
        let mean = end(0.0);
        let deviation = (end(1.0) - &mean).abs(); // [G, 1]
        let narrowest = deviation.min().double_value(&[]);
        if narrowest < 0.5 * line.spacing() {
            return Err(bad_input!(
                "'integrator.type' must be one whose noise the grid resolves: the step from t = {} to {} has a deviation \
                 of {narrowest}, points lie {} apart",
                step.from,
                step.to,
                line.spacing()
            ));
        }
        let kernel = kernel(&mean, &deviation, points); // [G from, G to]
        line.density = line.density.unsqueeze(0).matmul(&kernel).squeeze_dim(0) * line.spacing();
    }
    Ok(line)
}

/// `N(y_j; mean_i, deviation_i²)`, `[G, G]`.
fn kernel(mean: &Tensor, deviation: &Tensor, points: &Tensor) -> Tensor {
    let scaled = (points - mean) / deviation;
    (scaled.square() * -0.5).exp() / (deviation * (0.5f64 * LN_2PI).exp())
}

/// A centred normal density from squared distances.
fn normal(squares: &Tensor, deviation: f64) -> Tensor {
    (squares * (-0.5 / (deviation * deviation))).exp() * (-0.5 * LN_2PI - deviation.ln()).exp()
}
