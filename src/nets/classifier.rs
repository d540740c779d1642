//! A small convolutional classifier of grey images, for its features.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::conv::Conv2d;
use super::linear::Linear;
use crate::config::check;
use crate::torch::init::Init;
use crate::torch::params::Params;

/// Keys of a classifier; kept as JSON beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Height and width of images; those of the data where left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<i64>,
    /// Channels of the convolutions, of which every one but the first halves the image.
    pub channels: Vec<i64>,
    /// Number of features.
    pub features: i64,
    /// Number of classes; that of the data where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<i64>,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self { shape: Vec::new(), channels: vec![8, 16, 32], features: 32, classes: None }
    }
}

impl ClassifierConfig {
    pub fn validate(&self) -> Result<()> {
        check::length("classifier.shape", self.shape.len(), 2)?;
        for (i, extent) in self.shape.iter().enumerate() {
            check::in_range(&format!("classifier.shape.{i}"), *extent, 1, 4096)?;
        }
        check::not_empty("classifier.channels", &self.channels)?;
        for (i, channels) in self.channels.iter().enumerate() {
            check::in_range(&format!("classifier.channels.{i}"), *channels, 1, 4096)?;
        }
        check::in_range("classifier.features", self.features, 1, 4096)?;
        check::in_range("classifier.classes", self.classes.unwrap_or(0), 2, 100_000)
    }
}

/// Convolutions, a layer of features, and a layer of classes.
pub struct Classifier {
    config: ClassifierConfig,
    params: Params,
    convs: Vec<Conv2d>,
    features: Linear,
    classes: Linear,
}

impl Classifier {
    pub fn new(config: &ClassifierConfig, (kind, device): (Kind, Device)) -> Result<Self> {
        config.validate()?;
        let params = Params::new(kind, device);
        let root = params.root();
        let conv = |i: usize| {
            let (input, stride) = if i == 0 { (1, 1) } else { (config.channels[i - 1], 2) };
            Conv2d::new(root.sub("convs").sub(i), input, config.channels[i], 3, stride, Init::PyTorch)
        };
        let convs = (0..config.channels.len()).map(conv).collect();
        let halved = |extent: i64| (1..config.channels.len()).fold(extent, |extent, _| (extent + 1) / 2);
        let pixels: i64 = config.shape.iter().map(|extent| halved(*extent)).product();
        let last = config.channels[config.channels.len() - 1];
        let features = Linear::new(root.sub("features"), last * pixels, config.features, Init::PyTorch);
        let classes = config.classes.unwrap_or(0);
        let classes = Linear::new(root.sub("classes"), config.features, classes, Init::PyTorch);
        drop(root);
        Ok(Self { config: config.clone(), params, convs, features, classes })
    }

    pub fn config(&self) -> &ClassifierConfig {
        &self.config
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What the last layer sees, `[N, H W]` in [-1, 1] -> `[N, F]`.
    pub fn features(&self, x: &Tensor) -> Tensor {
        let images = x.to_kind(self.params.kind()).view([-1, 1, self.config.shape[0], self.config.shape[1]]);
        let h = self.convs.iter().fold(images, |h, conv| conv.forward(&h).silu()); // [N, C, h, w]
        self.features.forward(&h.flatten(1, -1)).silu()
    }

    /// Logits of the classes from features, `[N, F]` -> `[N, K]`.
    pub fn logits(&self, features: &Tensor) -> Tensor {
        self.classes.forward(features)
    }
}
