//! Samples of one model under one integrator, and how far they lie from exact ones.

use anyhow::Result;

use super::config::ScoreConfig;
use super::digits;
use super::measure::{Distances, floor, measure};
use super::pictures;
use super::subject::Subject;
use crate::samplers::score::StepCost;
use crate::targets::Options;
use crate::train::Evaluation;

/// Samples `x` [n, D], distances with standard errors and floors, a histogram. The second part is the work of a repeat.
pub fn sample(config: &ScoreConfig, options: Options) -> Result<(Evaluation, StepCost)> {
    let subject = Subject::build(config, options)?;
    subject.check_integrator("integrator", &config.integrator, config.sample.n)?;
    let integrator = config.integrator.build();
    let grid = config.grid()?;
    let cost = integrator.cost().times(grid.num_steps(), config.sample.n);
    if subject.gallery().is_some() {
        return Ok((digits::sample(config, &subject, options)?, cost));
    }
    let measured = measure(&subject, integrator.as_ref(), &grid, &config.sample, config.seed, options)?;
    let floor = floor(&subject, &config.sample, config.seed)?;

    let mut scalars = distance_figures("", &measured.distances);
    scalars.extend(distance_figures("_floor", &floor));
    scalars.push(("sample_wall_s".to_string(), measured.wall_s));
    scalars.extend(cost_figures(&cost));
    let exact = subject.exact_samples(config.sample.n, config.seed, 0)?;
    let histogram = pictures::first_coordinate(&measured.x, &exact)?;
    let evaluation = Evaluation {
        scalars,
        pictures: vec![("first_coordinate".to_string(), histogram)],
        tensors: vec![("x".to_string(), measured.x)],
        ..Evaluation::default()
    };
    Ok((evaluation, cost))
}

fn distance_figures(ending: &str, distances: &Distances) -> Vec<(String, f64)> {
    let named = [("w1", distances.w1), ("w2", distances.w2), ("sliced_w2", distances.sliced_w2)].into_iter();
    let both = named.chain(distances.sinkhorn.map(|figure| ("sinkhorn", figure))).flat_map(|(name, figure)| {
        [(format!("eval/{name}{ending}"), figure.mean), (format!("eval/{name}{ending}_error"), figure.error)]
    });
    // One repeat has no error.
    both.filter(|(_, value)| !value.is_nan()).collect()
}

/// Counts of evaluations under their names.
pub fn cost_figures(cost: &StepCost) -> Vec<(String, f64)> {
    let named =
        [("score_calls", cost.score_calls), ("hvp_calls", cost.hvp_calls), ("hessian_calls", cost.hessian_calls)];
    named.into_iter().map(|(name, calls)| (name.to_string(), calls as f64)).collect()
}
