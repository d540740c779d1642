//! A stack of causal transformer blocks.

use tch::{Device, Kind, Tensor};

use super::super::linear::{LayerNorm, Linear};
use super::{EPS, LetfConfig};
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Blocks in a row; position i sees positions 0 .. i.
pub struct Stream {
    blocks: Vec<Block>,
}

impl Stream {
    pub fn new(scope: &Scope, config: &LetfConfig, sites: i64) -> Self {
        Self { blocks: (0..config.num_blocks).map(|i| Block::new(&scope.sub(i), config, sites)).collect() }
    }

    /// `[B, T, C]` -> `[B, T, C]` with at most 1 + D tokens.
    pub fn forward(&self, z: &Tensor) -> Tensor {
        self.blocks.iter().fold(z.shallow_clone(), |z, block| block.forward(&z))
    }
}

/// `z + layers(W z + positions)`.
struct Block {
    input: Linear,
    /// `[1 + D, C]`.
    positions: Tensor,
    layers: Vec<(Attention, Mlp)>,
}

impl Block {
    fn new(scope: &Scope, config: &LetfConfig, sites: i64) -> Self {
        let c = config.hidden_dim;
        let start = Tensor::randn([1 + sites, c], (Kind::Float, Device::Cpu)) * 1e-2;
        let layer = |i: i64| {
            let scope = scope.sub("fwd_blocks").sub(i);
            (Attention::new(&scope.sub("attention"), config), Mlp::new(&scope.sub("mlp"), c))
        };
        Self {
            input: Linear::new(scope.sub("proj_in"), c, c, Init::PyTorch),
            positions: scope.parameter("pos_embed", start),
            layers: (0..config.layers_per_block).map(layer).collect(),
        }
    }

    fn forward(&self, z: &Tensor) -> Tensor {
        let mut y = self.input.forward(z) + self.positions.narrow(0, 0, z.size()[1]);
        for (attention, mlp) in &self.layers {
            y = attention.forward(&y).g_add_(&y);
            y = mlp.forward(&y).g_add_(&y);
        }
        y.g_add_(z)
    }
}

/// Causal self-attention, each position included in what it sees.
struct Attention {
    norm: LayerNorm,
    qkv: Linear,
    output: Linear,
    head_dim: i64,
}

impl Attention {
    fn new(scope: &Scope, config: &LetfConfig) -> Self {
        let c = config.hidden_dim;
        Self {
            norm: LayerNorm::new(scope.sub("norm"), c, EPS),
            qkv: Linear::new(scope.sub("qkv"), c, 3 * c, Init::PyTorch),
            output: Linear::new(scope.sub("proj"), c, c, Init::PyTorch),
            head_dim: config.head_dim,
        }
    }

    fn forward(&self, y: &Tensor) -> Tensor {
        let (b, t, c) = y.size3().expect("[B, T, C]");
        let qkv = self.qkv.forward(&self.norm.forward(y));
        // All heads' queries, then all keys, then all values.
        let heads = qkv.view([b, t, -1, self.head_dim]).transpose(1, 2); // [B, 3 H, T, K]
        let parts = heads.chunk(3, 1);
        let mixed = Tensor::scaled_dot_product_attention(
            &parts[0],
            &parts[1],
            &parts[2],
            None::<&Tensor>,
            0.0,
            true,
            None,
            false,
        ); // [B, H, T, K]
        self.output.forward(&mixed.transpose(1, 2).reshape([b, t, c]))
    }
}

/// Normalised, widened fourfold, and back.
pub struct Mlp {
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl Mlp {
    pub fn new(scope: &Scope, c: i64) -> Self {
        let main = scope.sub("main");
        Self {
            norm: LayerNorm::new(scope.sub("norm"), c, EPS),
            wide: Linear::new(main.sub(0), c, 4 * c, Init::PyTorch),
            narrow: Linear::new(main.sub(2), 4 * c, c, Init::PyTorch),
        }
    }

    pub fn forward(&self, y: &Tensor) -> Tensor {
        self.narrow.forward(&self.wide.forward(&self.norm.forward(y)).gelu("none"))
    }
}
