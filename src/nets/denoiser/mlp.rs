//! A residual network on vectors.

use tch::Tensor;

use super::config::MlpConfig;
use super::embed::Embedding;
use crate::nets::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// `h + W₂ silu(W₁ silu(h) + E e)` from block to block, with the embedding `e` of noise level and class.
pub struct Mlp {
    embedding: Embedding,
    input: Linear,
    blocks: Vec<Block>,
    output: Linear,
}

struct Block {
    first: Linear,
    embedded: Linear,
    second: Linear,
}

impl Mlp {
    pub fn new(scope: Scope, config: &MlpConfig, dim: i64, classes: Option<i64>) -> Self {
        let width = config.width;
        let linear = |place: Scope, fan_in, init| Linear::new(place, fan_in, width, init);
        let block = |i| {
            let place = scope.sub("blocks").sub(i);
            Block {
                first: linear(place.sub("first"), width, Init::PyTorch),
                embedded: linear(place.sub("embedded"), width, Init::PyTorch),
                second: linear(place.sub("second"), width, Init::Constant(0.0)),
            }
        };
        Self {
            embedding: Embedding::new(scope.sub("embedding"), width, classes),
            input: linear(scope.sub("input"), dim, Init::PyTorch),
            blocks: (0..config.blocks).map(block).collect(),
            output: Linear::new(scope.sub("output"), width, dim, Init::Constant(0.0)),
        }
    }

    /// `[N, D]` -> `[N, D]`.
    pub fn forward(&self, x: &Tensor, level: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let embedded = self.embedding.forward(level, labels); // [N or 1, H]
        let mut h = self.input.forward(x); // [N, H]
        for block in &self.blocks {
            let inner = block.first.forward(&h.silu()) + block.embedded.forward(&embedded);
            // Not in place: the way back needs h as it was.
            h = block.second.forward(&inner.silu()) + &h;
        }
        self.output.forward(&h.silu())
    }
}
