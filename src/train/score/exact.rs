//! The law of the samples in closed form.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{ScoreConfig, Start};
use super::subject::ModelSource;
use crate::bad_input;
use crate::metrics::bures::w2_gaussians;
use crate::metrics::sliced::w2_densities;
use crate::samplers::score::models::{GaussianScore, MixtureConfig};
use crate::samplers::score::{Integrator, ModelConfig, TimeGrid, density, moments};

/// f64 on the CPU.
pub const EXACT: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Points of the grid on a line.
const POINTS: i64 = 801;
/// How far it reaches on either side, at least.
const REACH: f64 = 9.0;

/// Distance and moments of the law at the end of the grid.
#[derive(Debug)]
pub struct ExactLaw {
    /// W2 from the data; for the randomised midpoints, whose law is no Gaussian, a lower bound from the moments.
    pub w2: f64,
    /// One a coordinate.
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
}

/// The law for Gaussian data under any integrator, and for mixtures on a line under one Gaussian noise a step.
pub fn exact(config: &ScoreConfig, integrator: &dyn Integrator, grid: &TimeGrid) -> Result<ExactLaw> {
    if config.model != (ModelSource::Exact {}) {
        return Err(bad_input!("'model' must be exact for an exact law; `score sample` takes a learned one"));
    }
    match config.target()? {
        ModelConfig::Gaussian(gaussian) => {
            Ok(by_moments(&GaussianScore::new(gaussian, EXACT)?, config.start, integrator, grid))
        }
        ModelConfig::Mixture(mixture) if config.start == Start::Prior => by_density(config, mixture, integrator, grid),
        _ => Err(bad_input!(
            "'target.type' must be gaussian, or a mixture in one dimension with start: prior, for an exact law; \
             `score sample` takes any"
        )),
    }
}

fn by_moments(model: &GaussianScore, start: Start, integrator: &dyn Integrator, grid: &TimeGrid) -> ExactLaw {
    let start = match start {
        Start::Prior => moments::prior_law(model, grid.horizon()),
        Start::Noised => moments::noised_law(model, grid.horizon()),
    };
    let law = moments::propagate(model, integrator, grid, start);
    let list = |t: &Tensor| Vec::try_from(t.contiguous()).unwrap_or_default();
    ExactLaw {
        w2: w2_gaussians(&law.mean, &law.covariance, &model.mean, &model.variance),
        mean: list(&law.mean),
        variance: list(&law.covariance.diagonal(0, 0, 1)),
    }
}

fn by_density(
    config: &ScoreConfig,
    mixture: &MixtureConfig,
    integrator: &dyn Integrator,
    grid: &TimeGrid,
) -> Result<ExactLaw> {
    let model = config.target()?.build(EXACT)?;
    if mixture.means[0].len() != 1 {
        return Err(bad_input!(
            "'target.means' must have one coordinate for an exact law of a mixture, found {}; use `score sample`",
            mixture.means[0].len()
        ));
    }
    // Wide enough for the prior and every component. What a long step of a local linearisation throws beyond is lost.
    let furthest = mixture.means.iter().zip(&mixture.covariances);
    let reach = furthest.map(|(m, c)| m[0].abs() + 8.0 * c[0][0].sqrt()).fold(REACH, f64::max);
    let points = Tensor::linspace(-reach, reach, POINTS, EXACT);
    let line = density::propagate(model.as_ref(), integrator, grid, &points)?;
    let data = density::data_density(model.as_ref(), &points)?;

    let list = |t: &Tensor| Vec::<f64>::try_from(t).unwrap_or_default();
    let (points, weights) = (list(&points), list(&(&line.density / line.density.sum(None))));
    let mean: f64 = points.iter().zip(&weights).map(|(x, w)| x * w).sum();
    let variance = points.iter().zip(&weights).map(|(x, w)| (x - mean).powi(2) * w).sum();
    let w2 = w2_densities(&points, &list(&line.density), &list(&data.density));
    Ok(ExactLaw { w2, mean: vec![mean], variance: vec![variance] })
}
