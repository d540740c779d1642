//! The YAML of `score train`.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::source::Source;
use crate::bad_input;
use crate::config::check;
use crate::nets::DenoiserConfig;
use crate::samplers::score::ModelConfig;
use crate::train::config::TrainConfig;
use crate::train::denoiser::NoiseConfig;
use crate::train::score::images::DataConfig;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnConfig {
    /// Data with an exact sampler; or `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ModelConfig>,
    /// Images in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// The network; its `shape` is that of the data where left out.
    pub denoiser: DenoiserConfig,
    /// The longest time of `dX = -X/2 dt + dB` that the score is to be used at.
    #[serde(default = "ten")]
    pub horizon: f64,
    #[serde(default)]
    pub noise: NoiseConfig,
    pub train: TrainConfig,
    #[serde(default)]
    pub eval: LearnEvalConfig,
    #[serde(default)]
    pub seed: u64,
}

/// The `eval:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnEvalConfig {
    /// Held-out points that the loss, and the error of the score, are taken at.
    pub points: i64,
    /// Samples drawn.
    pub samples: i64,
    /// Steps of DPM-Solver++(2M) on EDM's grid that draw them.
    pub num_steps: usize,
}

impl Default for LearnEvalConfig {
    fn default() -> Self {
        Self { points: 512, samples: 100, num_steps: 20 }
    }
}

fn ten() -> f64 {
    10.0
}

impl LearnConfig {
    /// Checks everything that can be checked without reading files.
    pub fn validate(&self) -> Result<()> {
        if self.target.is_some() == self.data.is_some() {
            return Err(bad_input!(
                "one of 'target' (data with a formula) and 'data' (images in a file) must be given"
            ));
        }
        self.data.as_ref().map_or(Ok(()), DataConfig::validate)?;
        check::in_range("horizon", self.horizon, 1e-3, 100.0)?;
        self.noise.validate()?;
        self.train.validate()?;
        check::in_range("eval.points", self.eval.points, 2, 1_000_000)?;
        check::in_range("eval.samples", self.eval.samples, 2, 1_000_000)?;
        check::in_range("eval.num_steps", self.eval.num_steps, 2, 100_000)
    }

    /// Builds or reads the data.
    pub fn source(&self, device: Device) -> Result<Source> {
        match (&self.target, &self.data) {
            (Some(target), _) => Ok(Source::Exact(target.build((Kind::Double, device))?)),
            (None, Some(data)) => Ok(Source::Images(data.read((Kind::Float, device))?)),
            (None, None) => Err(bad_input!("'target' or 'data' must be given")),
        }
    }

    /// The network's description with what the data tell filled in.
    pub fn network(&self, source: &Source) -> Result<DenoiserConfig> {
        let mut network = self.denoiser.clone();
        let shape = source.shape();
        if network.shape.is_empty() {
            network.shape = shape;
        } else if network.shape.iter().product::<i64>() != shape.iter().product::<i64>() {
            return Err(bad_input!("'denoiser.shape' is {:?}, but the data have shape {shape:?}", network.shape));
        }
        if let Some(wanted) = network.classes {
            let found = source.classes().unwrap_or(0);
            if found == 0 || found > wanted {
                return Err(bad_input!(
                    "'denoiser.classes' is {wanted}, but the data have {found} (labels of images are 'data.labels')"
                ));
            }
        }
        Ok(network)
    }
}
