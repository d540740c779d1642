//! A residual network over spectral coordinates: the score of a function's law, beyond its Gaussian part.

use tch::Tensor;

use super::linear::{LayerNorm, Linear};
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// `g(u, τ)` for whitened coordinates u `[N, D]` and log-noise levels `[N, 1]`, which starts as zero.
///
/// Blocks `h + W₂ silu(W₁ norm(h))` between a map in and a map out; the level is one more input. Coordinates of a
/// Karhunen-Loève basis are whitened to one scale, so that a resolution more is a few columns more of two matrices.
pub struct Spectral {
    input: Linear,
    blocks: Vec<(LayerNorm, Linear, Linear)>,
    norm: LayerNorm,
    output: Linear,
}

impl Spectral {
    pub fn new(scope: Scope, dim: i64, width: i64, blocks: i64) -> Self {
        let block = |i: i64| {
            let scope = scope.sub("blocks").sub(i);
            (
                LayerNorm::new(scope.sub("norm"), width, 1e-5),
                Linear::new(scope.sub("up"), width, 2 * width, Init::PyTorch),
                Linear::new(scope.sub("down"), 2 * width, width, Init::PyTorch),
            )
        };
        Self {
            input: Linear::new(scope.sub("input"), dim + 1, width, Init::PyTorch),
            blocks: (0..blocks).map(block).collect(),
            norm: LayerNorm::new(scope.sub("norm"), width, 1e-5),
            output: Linear::new(scope.sub("output"), width, dim, Init::Constant(0.0)),
        }
    }

    /// `[N, D]`, `[N, 1]` -> `[N, D]`.
    pub fn forward(&self, u: &Tensor, level: &Tensor) -> Tensor {
        let mut h = self.input.forward(&Tensor::cat(&[u, level], 1)); // [N, W]
        for (norm, up, down) in &self.blocks {
            h = &h + down.forward(&up.forward(&norm.forward(&h)).silu());
        }
        self.output.forward(&self.norm.forward(&h).silu())
    }
}
