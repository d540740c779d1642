//! Layers of the streams, and attention of a vertex to all others.

use tch::{Kind, Tensor};

use super::super::letf::stream::Mlp;
use super::super::linear::{LayerNorm, Linear};
use super::{EPS, LegfConfig};
use crate::torch::init::Init;
use crate::torch::params::Scope;

fn heads(x: &Tensor, head_dim: i64) -> Tensor {
    let (b, t, _) = x.size3().expect("[B, T, C]");
    x.view([b, t, -1, head_dim]).transpose(1, 2) // [B, H, T, K]
}

/// `mask` is added to the scaled products: `[B, H, T, K]` each -> `[B, T, H K]`.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Tensor {
    let (b, _, t, width) = q.size4().expect("[B, H, T, K]");
    let scores = (q / (width as f64).sqrt()).matmul(&k.transpose(2, 3)) + mask;
    scores.softmax(-1, None::<Kind>).matmul(v).transpose(1, 2).reshape([b, t, -1])
}

/// A pre-norm transformer layer.
pub struct Block {
    norm: LayerNorm,
    qkv: Linear,
    output: Linear,
    mlp: Mlp,
    head_dim: i64,
}

impl Block {
    pub fn new(scope: &Scope, config: &LegfConfig) -> Self {
        let c = config.hidden_dim;
        Self {
            norm: LayerNorm::new(scope.sub("norm"), c, EPS),
            qkv: Linear::new(scope.sub("qkv"), c, 3 * c, Init::PyTorch),
            output: Linear::new(scope.sub("output"), c, c, Init::PyTorch),
            mlp: Mlp::new(&scope.sub("mlp"), c),
            head_dim: config.head_dim,
        }
    }

    /// `[B, T, C]` and `[B or 1, H, T, T]` -> `[B, T, C]`.
    pub fn forward(&self, y: &Tensor, mask: &Tensor) -> Tensor {
        let parts = heads(&self.qkv.forward(&self.norm.forward(y)), self.head_dim).chunk(3, 1);
        let y = y + self.output.forward(&attend(&parts[0], &parts[1], &parts[2], mask));
        &y + self.mlp.forward(&y)
    }
}

/// A vertex asks what the streams knew before they came to it. What it asks with has not seen the vertex either, so such
/// layers may follow each other.
pub struct Readout {
    norms: [LayerNorm; 3],
    query: Linear,
    sides: Linear,
    output: Linear,
    mlp: Mlp,
    head_dim: i64,
}

impl Readout {
    pub fn new(scope: &Scope, config: &LegfConfig) -> Self {
        let c = config.hidden_dim;
        Self {
            norms: ["norm1", "norm_sides", "norm2"].map(|name| LayerNorm::new(scope.sub(name), c, EPS)),
            query: Linear::new(scope.sub("query"), c, c, Init::PyTorch),
            sides: Linear::new(scope.sub("sides"), c, 2 * c, Init::PyTorch),
            output: Linear::new(scope.sub("output"), c, c, Init::PyTorch),
            mlp: Mlp::new(&scope.sub("mlp"), c),
            head_dim: config.head_dim,
        }
    }

    /// Features of vertices `[B, D, C]`, of both streams `[B, 2 D, C]`, `mask` `[B or 1, H, D, 2 D]` -> `[B, D, C]`.
    pub fn forward(&self, h: &Tensor, told: &Tensor, mask: &Tensor) -> Tensor {
        let q = heads(&self.query.forward(&self.norms[0].forward(h)), self.head_dim);
        let sides = heads(&self.sides.forward(&self.norms[1].forward(told)), self.head_dim).chunk(2, 1);
        let h = h + self.output.forward(&attend(&q, &sides[0], &sides[1], mask));
        &h + self.mlp.forward(&self.norms[2].forward(&h))
    }
}
