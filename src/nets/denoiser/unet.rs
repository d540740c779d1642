//! A small U-Net on grey images (after Ho, Jain and Abbeel 2020, and the ADM network of Dhariwal and Nichol 2021).

use tch::Tensor;

use super::config::UnetConfig;
use super::embed::Embedding;
use crate::nets::conv::{Conv2d, GroupNorm};
use crate::nets::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Residual blocks at each resolution on the way down, two at the coarsest, and as many on the way up, which see what the
/// way down had at theirs. Images enter folded into patches, which saves the costliest resolution.
pub struct Unet {
    size: (i64, i64),
    patch: i64,
    embedding: Embedding,
    input: Conv2d,
    down: Vec<Level>,
    up: Vec<Level>,
    norm: GroupNorm,
    output: Conv2d,
}

/// Blocks of one resolution, and the change of resolution that comes before them.
struct Level {
    resize: Option<Conv2d>,
    blocks: Vec<Block>,
}

impl Unet {
    /// `shape`: height and width of the images.
    pub fn new(scope: Scope, config: &UnetConfig, shape: &[i64], classes: Option<i64>) -> Self {
        let UnetConfig { channels, patch, groups, .. } = config;
        let (levels, folded) = (channels.len(), patch * patch);
        let blocks = |place: &Scope, input: i64, out: i64, count: i64| -> Vec<Block> {
            let block = |i| {
                let input = if i == 0 { input } else { out };
                Block::new(place.sub(i), input, out, config.embedding, *groups)
            };
            (0..count).map(block).collect()
        };

        let level_down = |i: usize| {
            let place = scope.sub("down").sub(i);
            let resize = (i > 0).then(|| halve(place.sub("resize"), channels[i - 1], channels[i]));
            // The coarsest resolution has no way up of its own.
            let count = if i + 1 == levels { 2 * config.blocks } else { config.blocks };
            Level { resize, blocks: blocks(&place.sub("blocks"), channels[i], channels[i], count) }
        };
        let level_up = |i: usize| {
            let place = scope.sub("up").sub(i);
            let resize = Some(keep(place.sub("resize"), channels[i + 1], channels[i]));
            Level { resize, blocks: blocks(&place.sub("blocks"), 2 * channels[i], channels[i], config.blocks) }
        };
        Self {
            size: (shape[0], shape[1]),
            patch: *patch,
            embedding: Embedding::new(scope.sub("embedding"), config.embedding, classes),
            input: keep(scope.sub("input"), folded, channels[0]),
            down: (0..levels).map(level_down).collect(),
            up: (0..levels - 1).rev().map(level_up).collect(),
            norm: GroupNorm::new(scope.sub("norm"), channels[0], *groups),
            output: Conv2d::new(scope.sub("output"), channels[0], folded, 3, 1, Init::Constant(0.0)),
        }
    }

    /// `[N, H W]` -> `[N, H W]`.
    pub fn forward(&self, x: &Tensor, level: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let embedded = self.embedding.forward(level, labels); // [N or 1, E]
        let images = x.view([-1, 1, self.size.0, self.size.1]);
        let mut h = self.input.forward(&images.pixel_unshuffle(self.patch)); // [N, C, H/p, W/p]

        let mut seen = Vec::new();
        for level in &self.down {
            h = level.resize.as_ref().map_or_else(|| h.shallow_clone(), |conv| conv.forward(&h));
            h = level.blocks.iter().fold(h, |h, block| block.forward(&h, &embedded));
            seen.push(h.shallow_clone());
        }
        seen.pop();
        for (level, before) in self.up.iter().zip(seen.iter().rev()) {
            let (height, width) = (before.size()[2], before.size()[3]);
            let larger = h.upsample_nearest2d([height, width], None, None);
            let larger = level.resize.as_ref().map_or_else(|| larger.shallow_clone(), |conv| conv.forward(&larger));
            h = Tensor::cat(&[&larger, before], 1); // [N, 2 C, H, W]
            h = level.blocks.iter().fold(h, |h, block| block.forward(&h, &embedded));
        }
        let out = self.output.forward(&self.norm.forward(&h).silu());
        out.pixel_shuffle(self.patch).reshape(x.size())
    }
}

/// Two convolutions around a scale and shift by the embedding, beside a short cut.
struct Block {
    norms: [GroupNorm; 2],
    convs: [Conv2d; 2],
    embedded: Linear,
    shortcut: Option<Conv2d>,
}

impl Block {
    fn new(scope: Scope, input: i64, out: i64, embedding: i64, groups: i64) -> Self {
        let norm = |name, channels| GroupNorm::new(scope.sub(name), channels, groups);
        Self {
            norms: [norm("norm0", input), norm("norm1", out)],
            convs: [
                keep(scope.sub("conv0"), input, out),
                Conv2d::new(scope.sub("conv1"), out, out, 3, 1, Init::Constant(0.0)),
            ],
            embedded: Linear::new(scope.sub("embedded"), embedding, 2 * out, Init::PyTorch),
            shortcut: (input != out).then(|| Conv2d::new(scope.sub("shortcut"), input, out, 1, 1, Init::PyTorch)),
        }
    }

    fn forward(&self, x: &Tensor, embedded: &Tensor) -> Tensor {
        let h = self.convs[0].forward(&self.norms[0].forward(x).silu());
        let both = self.embedded.forward(embedded).unsqueeze(-1).unsqueeze(-1).chunk(2, 1); // [N or 1, C, 1, 1]
        let h = self.norms[1].forward(&h) * (&both[0] + 1.0) + &both[1];
        let h = self.convs[1].forward(&h.silu());
        self.shortcut.as_ref().map_or_else(|| x.shallow_clone(), |conv| conv.forward(x)) + h
    }
}

fn keep(scope: Scope, input: i64, out: i64) -> Conv2d {
    Conv2d::new(scope, input, out, 3, 1, Init::PyTorch)
}

fn halve(scope: Scope, input: i64, out: i64) -> Conv2d {
    Conv2d::new(scope, input, out, 3, 2, Init::PyTorch)
}
