//! What a denoiser is built from; kept as JSON beside its weights.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;

/// A network, and the law of data it is scaled for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserConfig {
    /// `[D]` for vectors, `[H, W]` for images; points are `[N, D]` or `[N, H W]` either way. Left out, that of the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<i64>,
    pub body: BodyConfig,
    /// Deviation of the data, `σ_d`.
    #[serde(default = "unit")]
    pub sigma_data: f64,
    /// Number of classes that points are labelled with; left out, the network is told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<i64>,
}

/// Every body that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum BodyConfig {
    /// Residual layers on vectors.
    Mlp(MlpConfig),
    /// Convolutions at falling and rising resolution, on images.
    Unet(UnetConfig),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    pub width: i64,
    /// Residual blocks of two layers each.
    pub blocks: i64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { width: 128, blocks: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetConfig {
    /// Channels of each resolution, from the finest; every further entry halves the image.
    pub channels: Vec<i64>,
    /// Images enter as squares of so many pixels a side, folded into channels: 2 makes 28 x 28 x 1 into 14 x 14 x 4.
    pub patch: i64,
    /// Residual blocks at each resolution on the way down; as many on the way up.
    pub blocks: i64,
    /// Width of the embedding of noise level and class.
    pub embedding: i64,
    /// Groups of channels that are normalised together; must divide all channels.
    pub groups: i64,
}

impl Default for UnetConfig {
    fn default() -> Self {
        Self { channels: vec![48, 80], patch: 2, blocks: 1, embedding: 96, groups: 8 }
    }
}

fn unit() -> f64 {
    1.0
}

impl DenoiserConfig {
    /// Number of coordinates of a point.
    pub fn dim(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Keys are named as they stand under `denoiser`.
    pub fn validate(&self) -> Result<()> {
        check::not_empty("denoiser.shape", &self.shape)?;
        for (i, extent) in self.shape.iter().enumerate() {
            check::in_range(&format!("denoiser.shape.{i}"), *extent, 1, 100_000)?;
        }
        check::positive("denoiser.sigma_data", self.sigma_data)?;
        self.classes.map_or(Ok(()), |n| check::in_range("denoiser.classes", n, 1, 100_000))?;
        match &self.body {
            BodyConfig::Mlp(mlp) => mlp.validate(),
            BodyConfig::Unet(unet) => unet.validate(&self.shape),
        }
    }
}

impl MlpConfig {
    fn validate(&self) -> Result<()> {
        check::in_range("denoiser.body.width", self.width, 1, 100_000)?;
        check::in_range("denoiser.body.blocks", self.blocks, 0, 1000)
    }
}

impl UnetConfig {
    fn validate(&self, shape: &[i64]) -> Result<()> {
        check::not_empty("denoiser.body.channels", &self.channels)?;
        check::in_range("denoiser.body.groups", self.groups, 1, 1024)?;
        for (i, channels) in self.channels.iter().enumerate() {
            let key = format!("denoiser.body.channels.{i}");
            check::in_range(&key, *channels, 1, 4096)?;
            check::multiple_of(&key, *channels as u64, self.groups as u64)?;
        }
        check::in_range("denoiser.body.patch", self.patch, 1, 64)?;
        check::in_range("denoiser.body.blocks", self.blocks, 1, 64)?;
        check::in_range("denoiser.body.embedding", self.embedding, 1, 4096)?;
        check::at_most("denoiser.body.channels (their number)", self.channels.len(), 8)?;
        let unit = self.patch << (self.channels.len() - 1);
        if shape.len() != 2 || shape.iter().any(|extent| extent % unit != 0) {
            return Err(bad_input!(
                "'denoiser.shape' must be a height and a width, both multiples of {unit} (body.patch, doubled for every \
                 further resolution), found {shape:?}"
            ));
        }
        Ok(())
    }
}
