//! Distances of samples from exact samples, repeated for standard errors, beside their sampling floor.

use std::time::Instant;

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use super::config::SampleConfig;
use super::subject::Subject;
use crate::metrics::energy::wasserstein_1d;
use crate::metrics::sinkhorn::{SinkhornConfig, sinkhorn};
use crate::metrics::sliced::sliced_w2;
use crate::samplers::score::{Integrator, TimeGrid, simulate};
use crate::targets::Options;
use crate::torch::seed::{Stream, reseed};

/// Mean over repeats and its standard error; the error of one repeat is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    pub mean: f64,
    pub error: f64,
}

impl Figure {
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self { mean, error: (variance / n).sqrt() }
    }

    /// A number without error.
    pub fn exact(mean: f64) -> Self {
        Self { mean, error: 0.0 }
    }
}

/// Distances of one law from another.
#[derive(Debug, Clone, Copy)]
pub struct Distances {
    /// Of the first coordinate.
    pub w1: Figure,
    pub w2: Figure,
    /// Over random directions.
    pub sliced_w2: Figure,
    /// Of all coordinates together, in the convention that the config names.
    pub sinkhorn: Option<Figure>,
}

/// What a set of repeats gives.
pub struct Measured {
    pub distances: Distances,
    /// Samples of the first repeat `[n, D]`.
    pub x: Tensor,
    /// Seconds of a repeat, the mean.
    pub wall_s: f64,
}

/// Two sets of points of a repeat, of which the distances are taken.
type Pair = (Tensor, Tensor);

/// Distances of an integrator's samples from exact ones.
pub fn measure(
    subject: &Subject,
    integrator: &dyn Integrator,
    grid: &TimeGrid,
    config: &SampleConfig,
    seed: u64,
    options: Options,
) -> Result<Measured> {
    let mut first = None;
    let mut seconds = 0.0;
    let pairs = (0..config.repeats).map(|repeat| {
        let started = Instant::now();
        let x = simulate(subject.model.as_ref(), integrator, grid, config.n, repeat_seed(seed, repeat), options);
        seconds += started.elapsed().as_secs_f64();
        first.get_or_insert_with(|| x.shallow_clone());
        Ok((x, subject.exact_samples(config.n, seed, 2 * repeat)?))
    });
    let distances = distances(pairs.collect::<Result<Vec<Pair>>>()?, config, seed)?;
    let x = first.context("no repeats")?;
    Ok(Measured { distances, x, wall_s: seconds / config.repeats as f64 })
}

/// The same distances between two exact sets: what no sampler can be told from at this number of samples.
pub fn floor(subject: &Subject, config: &SampleConfig, seed: u64) -> Result<Distances> {
    let pair = |repeat| {
        let one = subject.exact_samples(config.n, seed, 2 * repeat)?;
        Ok((one, subject.exact_samples(config.n, seed, 2 * repeat + 1)?))
    };
    distances((0..config.repeats).map(pair).collect::<Result<_>>()?, config, seed)
}

/// The seed of a repeat.
pub(super) fn repeat_seed(seed: u64, repeat: usize) -> u64 {
    seed.wrapping_add(repeat as u64 * 1_000_003)
}

/// Random unit vectors `[count, D]` f64 for points like `x` `[N, D]`.
pub fn unit_directions(count: i64, x: &Tensor) -> Tensor {
    let directions = Tensor::randn([count, x.size()[1]], (Kind::Double, x.device()));
    &directions / directions.square().sum_dim_intlist(-1, true, None).sqrt()
}

fn distances(pairs: Vec<Pair>, config: &SampleConfig, seed: u64) -> Result<Distances> {
    reseed(seed, Stream::Data, 1);
    let directions = unit_directions(config.directions, &pairs[0].0);

    let first =
        |x: &Tensor| Vec::<f64>::try_from(x.select(1, 0).to_kind(Kind::Double).contiguous()).unwrap_or_default();
    let on_line = |power| {
        let values: Vec<f64> = pairs.iter().map(|(x, y)| wasserstein_1d(&first(x), &first(y), power)).collect();
        Figure::of(&values)
    };
    let sliced: Vec<f64> = pairs.iter().map(|(x, y)| sliced_w2(x, y, &directions)).collect();
    let transport = |config: &SinkhornConfig| {
        let values = pairs.iter().map(|(x, y)| Ok(sinkhorn(x, y, config)?.value));
        anyhow::Ok(Figure::of(&values.collect::<Result<Vec<f64>>>()?))
    };
    let sinkhorn = config.sinkhorn.as_ref().map(transport).transpose()?;
    Ok(Distances { w1: on_line(1), w2: on_line(2), sliced_w2: Figure::of(&sliced), sinkhorn })
}
