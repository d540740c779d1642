//! What a config samples from: a score, and the data that samples are compared with.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::config::ScoreConfig;
use super::digits::Gallery;
use crate::bad_input;
use crate::samplers::score::local_linearization::RouteName;
use crate::samplers::score::models::learned::{LearnedScore, row_labels};
use crate::samplers::score::{IntegratorConfig, ScoreModel};
use crate::targets::Options;
use crate::torch::seed::{Stream, reseed};
use crate::train::denoiser::store;

/// The `model:` section: which score the integrators are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelSource {
    /// That of the target.
    Exact {},
    /// That of a network, from a file that `score train` wrote.
    Learned { weights: PathBuf },
}

impl Default for ModelSource {
    fn default() -> Self {
        Self::Exact {}
    }
}

/// A score and the data.
pub struct Subject {
    /// The score that integrators are given.
    pub model: Box<dyn ScoreModel>,
    data: Data,
    /// Number of classes that the model's rows are asked for.
    classes: Option<i64>,
}

enum Data {
    /// The model's own.
    Own,
    Exact(Box<dyn ScoreModel>),
    Images(Box<Gallery>),
}

impl Subject {
    /// Builds the target, reads weights and images. Errors: parts that do not fit each other.
    pub fn build(config: &ScoreConfig, options: Options) -> Result<Self> {
        let ModelSource::Learned { weights } = &config.model else {
            let target = config.target()?;
            return Ok(Self { model: target.build(options)?, data: Data::Own, classes: None });
        };
        let (denoiser, notes) = store::read(weights, (Kind::Float, options.1))?;
        let classes = denoiser.config().classes;
        let model = LearnedScore::new(denoiser);
        let trained = notes.get("horizon").and_then(|text| text.parse::<f64>().ok());
        if let Some(most) = trained.filter(|most| config.horizon > most * (1.0 + 1e-9)) {
            return Err(bad_input!(
                "'horizon' is {}, but the weights were trained for times up to {most}",
                config.horizon
            ));
        }
        let data = match &config.data {
            Some(images) => Data::Images(Box::new(Gallery::read(images, options.1)?)),
            None => Data::Exact(config.target()?.build(options)?),
        };
        let subject = Self { model: Box::new(model), data, classes };
        let (here, there) = (subject.data_dim(), subject.model.dim());
        if here != there {
            return Err(bad_input!("'model.weights' are of {there} coordinates, the data have {here}"));
        }
        Ok(subject)
    }

    fn data_dim(&self) -> i64 {
        match &self.data {
            Data::Own => self.model.dim(),
            Data::Exact(exact) => exact.dim(),
            Data::Images(gallery) => gallery.images.size().0 * gallery.images.size().1,
        }
    }

    /// Images, where the data are such.
    pub fn gallery(&self) -> Option<&Gallery> {
        match &self.data {
            Data::Images(gallery) => Some(gallery),
            _ => None,
        }
    }

    /// The class that each of `n` samples was asked for, `[n]`, where the model knows classes.
    pub fn labels(&self, n: i64, device: Device) -> Option<Tensor> {
        self.classes.map(|classes| row_labels(n, classes, device))
    }

    /// Set number `set` of `n` exact samples.
    pub fn exact_samples(&self, n: i64, seed: u64, set: usize) -> Result<Tensor> {
        reseed(seed, Stream::Data, 1000 + set as u64);
        let exact = match &self.data {
            Data::Own => self.model.sample(n),
            Data::Exact(exact) => exact.sample(n),
            Data::Images(_) => None,
        };
        exact.context("the target has no exact samples to compare with")
    }

    /// Refuses whole Hessians where they would not fit into memory.
    pub fn check_integrator(&self, key: &str, integrator: &IntegratorConfig, n: i64) -> Result<()> {
        /// Numbers in the Hessians of all particles: 2 GB.
        const MOST: i64 = 1 << 28;
        let dim = self.model.dim();
        let hessian = matches!(integrator, IntegratorConfig::LocalLinearization(c) if c.route == RouteName::Hessian);
        if hessian && n.saturating_mul(dim * dim) > MOST {
            return Err(bad_input!(
                "'{key}.route' must be series: {n} whole Hessians of {dim} coordinates do not fit into memory"
            ));
        }
        Ok(())
    }
}
