//! From both streams to features of each site that have not seen it.

use tch::{Device, Kind, Tensor};

use super::super::linear::{LayerNorm, Linear};
use super::stream::Mlp;
use super::{EPS, LetfConfig};
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Site i asks what lies left of sites 0 .. i and right of sites i .. D-1: everything but itself.
pub struct Readout {
    norms: [LayerNorm; 2],
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    mlp: Mlp,
    /// `[D, K]`, shared by all heads.
    positions: Tensor,
    /// 0 where site i may look, minus infinity elsewhere: `[D, 2 D]`.
    mask: Tensor,
    head_dim: i64,
}

impl Readout {
    pub fn new(scope: &Scope, config: &LetfConfig, sites: i64) -> Self {
        let (c, options) = (config.hidden_dim, (Kind::Float, Device::Cpu));
        let linear = |name: &str| Linear::new(scope.sub(name), c, c, Init::PyTorch);
        let start = Tensor::randn([sites, config.head_dim], options) * 1e-2;
        let hidden = Tensor::full([sites, sites], f64::NEG_INFINITY, options);
        let mask = Tensor::cat(&[hidden.triu(1), hidden.tril(-1)], 1);
        Self {
            norms: ["norm1", "norm2"].map(|name| LayerNorm::new(scope.sub(name), c, EPS)),
            query: linear("attn_q"),
            key: linear("attn_k"),
            value: linear("attn_v"),
            output: linear("attn_out"),
            mlp: Mlp::new(&scope.sub("mlp"), c),
            positions: scope.parameter("pos_embed", start),
            mask: mask.to_kind(scope.kind()).to_device(scope.device()),
            head_dim: config.head_dim,
        }
    }

    /// `left` and `right` `[B, D, C]`, `time` `[B, 1, C]` -> `[B, D, C]`.
    pub fn forward(&self, left: &Tensor, right: &Tensor, time: &Tensor) -> Tensor {
        let both = (left + right) / std::f64::consts::SQRT_2 + time;
        let sides = Tensor::cat(&[left + time, right + time], 1); // [B, 2 D, C]
        let (query, sides) = (self.norms[0].forward(&both), self.norms[0].forward(&sides));
        let h = &both + self.attend(&query, &sides);
        &h + self.mlp.forward(&self.norms[1].forward(&h))
    }

    fn attend(&self, query: &Tensor, sides: &Tensor) -> Tensor {
        let heads = |x: Tensor| {
            let (b, t, _) = x.size3().expect("[B, T, C]");
            x.view([b, t, -1, self.head_dim]).transpose(1, 2) // [B, H, T, K]
        };
        let q = heads(self.query.forward(query)) + &self.positions;
        let k = heads(self.key.forward(sides)) + Tensor::cat(&[&self.positions, &self.positions], 0);
        let v = heads(self.value.forward(sides));
        let mask = Some(&self.mask);
        let mixed = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, false, None, false); // [B, H, D, K]
        self.output.forward(&mixed.transpose(1, 2).reshape(query.size()))
    }
}
