//! The config of the `score` task.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::images::DataConfig;
use super::subject::ModelSource;
use crate::bad_input;
use crate::config::check;
use crate::metrics::sinkhorn::SinkhornConfig;
use crate::samplers::score::time_grid::UniformConfig;
use crate::samplers::score::{IntegratorConfig, ModelConfig, TimeGrid, TimeGridConfig};

/// Everything a YAML of this task may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// Data with a formula, and the score that the sampler is given unless `model` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ModelConfig>,
    /// Images in a file, in place of `target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// The score that the sampler is given.
    #[serde(default)]
    pub model: ModelSource,
    /// Where the reverse process starts, forward time T of `dX = -X/2 dt + dB`.
    #[serde(default = "ten")]
    pub horizon: f64,
    #[serde(default = "forty")]
    pub num_steps: usize,
    #[serde(default)]
    pub time_grid: TimeGridConfig,
    /// Which law `exact` starts from.
    #[serde(default)]
    pub start: Start,
    #[serde(default = "euler")]
    pub integrator: IntegratorConfig,
    #[serde(default)]
    pub sample: SampleConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyConfig>,
    #[serde(default)]
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// `N(0, (1 - e^{-T}) I)`, as samplers do.
    #[default]
    Prior,
    /// The data noised to the horizon, which isolates the error of the steps.
    Noised,
}

/// The `sample:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Samples of a repeat, and of the exact sets that they are compared with.
    pub n: i64,
    /// Independent repeats, for standard errors.
    pub repeats: usize,
    /// Random directions of the sliced distance.
    pub directions: i64,
    /// A transport distance of all coordinates besides, by the name of its convention; absent, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sinkhorn: Option<SinkhornConfig>,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self { n: 2000, repeats: 4, directions: 64, sinkhorn: None }
    }
}

/// The `study:` section: a grid over integrators and step counts, or step lengths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyConfig {
    pub integrators: Vec<IntegratorConfig>,
    /// Step counts; the grid is `time_grid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub num_steps: Vec<usize>,
    /// Step lengths h instead: floor(T/h) equal steps from the horizon, which stop above t = 0 where h does not divide T.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<f64>,
    pub measure: Measure,
    /// Smallest steps through which the order is fitted.
    #[serde(default = "four")]
    pub fit_last: usize,
}

/// How the distance from the data is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Exact moments, for Gaussian data: W2 of Gaussians (a lower bound for the randomised midpoints).
    Moments,
    /// The density on a line, for one dimension and one Gaussian noise a step.
    Density,
    /// Samples against exact samples: W1 and W2 of the first coordinate, sliced W2, with their floors.
    Samples,
    /// Images against images held out: MMD, Fréchet distance, and classes, with their floors.
    Images,
}

fn ten() -> f64 {
    10.0
}

fn forty() -> usize {
    40
}

fn four() -> usize {
    4
}

fn euler() -> IntegratorConfig {
    IntegratorConfig::Euler(Default::default())
}

impl ScoreConfig {
    /// Checks everything that can be checked without building.
    pub fn validate(&self) -> Result<()> {
        match (&self.target, &self.data, &self.model) {
            (None, None, _) | (Some(_), Some(_), _) => {
                return Err(bad_input!(
                    "one of 'target' (data with a formula) and 'data' (images in a file) must be given"
                ));
            }
            (None, Some(_), ModelSource::Exact {}) => {
                return Err(bad_input!("'model' must be learned for images: {{type: learned, weights: FILE}}"));
            }
            _ => {}
        }
        self.data.as_ref().map_or(Ok(()), DataConfig::validate)?;
        self.integrator.validate("integrator")?;
        self.grid()?;
        check::in_range("sample.n", self.sample.n, 2, 10_000_000)?;
        check::in_range("sample.repeats", self.sample.repeats, 1, 10_000)?;
        check::in_range("sample.directions", self.sample.directions, 1, 100_000)?;
        self.sample.sinkhorn.map_or(Ok(()), |sinkhorn| sinkhorn.validate("sample.sinkhorn"))?;
        self.study.as_ref().map_or(Ok(()), |study| study.validate(self))
    }

    /// The data's formula. Errors: they are images.
    pub fn target(&self) -> Result<&ModelConfig> {
        self.target.as_ref().ok_or_else(|| bad_input!("'target' must be given here: images have no exact law"))
    }

    /// The grid of `exact` and `sample`.
    pub fn grid(&self) -> Result<TimeGrid> {
        self.time_grid.build(self.horizon, self.num_steps)
    }
}

impl StudyConfig {
    fn validate(&self, config: &ScoreConfig) -> Result<()> {
        check::not_empty("study.integrators", &self.integrators)?;
        for (i, integrator) in self.integrators.iter().enumerate() {
            integrator.validate(&format!("study.integrators.{i}"))?;
        }
        if self.num_steps.is_empty() == self.steps.is_empty() {
            return Err(bad_input!(
                "'study' must have one of the lists num_steps and steps, found {} and {} entries",
                self.num_steps.len(),
                self.steps.len()
            ));
        }
        check::at_least("study.fit_last", self.fit_last, 3)?;
        if (self.measure == Measure::Images) != config.data.is_some() {
            return Err(bad_input!("'study.measure' must be images with 'data', and only there"));
        }
        if config.model != (ModelSource::Exact {}) && !matches!(self.measure, Measure::Samples | Measure::Images) {
            return Err(bad_input!(
                "'study.measure' must be samples for a learned model: its laws have no closed form"
            ));
        }
        self.grids(config).map(|_| ())
    }

    /// Every grid of the study with the length of its first step.
    pub fn grids(&self, config: &ScoreConfig) -> Result<Vec<(f64, TimeGrid)>> {
        let counted = self.num_steps.iter().map(|n| {
            let grid = config.time_grid.build(config.horizon, *n)?;
            Ok((config.horizon / *n as f64, grid))
        });
        let measured = self.steps.iter().enumerate().map(|(i, h)| {
            check::in_range(&format!("study.steps.{i}"), *h, 1e-6, config.horizon)?;
            let num_steps = (config.horizon / h + 1e-9).floor() as usize;
            let uniform = TimeGridConfig::Uniform(UniformConfig { step: Some(*h) });
            Ok((*h, uniform.build(config.horizon, num_steps)?))
        });
        counted.chain(measured).collect()
    }
}
