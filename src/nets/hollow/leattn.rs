//! leAttn: a site asks all others, by its place and the time alone.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Codebook, TimeFeatures};
use crate::bad_input;
use crate::config::check;
use crate::nets::linear::{LayerNorm, Linear};
use crate::nets::rates::RateNet;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeattnConfig {
    /// Features of a site, a multiple of `head_dim`.
    pub hidden_dim: i64,
    pub head_dim: i64,
}

impl Default for LeattnConfig {
    fn default() -> Self {
        Self { hidden_dim: 64, head_dim: 16 }
    }
}

impl LeattnConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("net.head_dim", self.head_dim, 1, 4096)?;
        check::in_range("net.hidden_dim", self.hidden_dim, 1, 65_536)?;
        check::multiple_of("net.hidden_dim", self.hidden_dim as u64, self.head_dim as u64)
    }
}

/// One layer of attention in which query i does not know `x_i` and row i leaves out key and value i. A second layer
/// would see site i through the others; depth lies in the perceptron that follows, site by site.
pub struct Leattn {
    codebook: Codebook,
    time: TimeFeatures,
    /// `[D, C]`.
    positions: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    norm: LayerNorm,
    mlp: [Linear; 2],
    /// Minus infinity on the diagonal, 0 elsewhere: `[D, D]`.
    mask: Tensor,
    head_dim: i64,
}

impl Leattn {
    /// Draws initial weights from libtorch's generator.
    ///
    /// # Errors
    /// If there is one site only, which has nobody to ask.
    pub fn new(scope: Scope, config: &LeattnConfig, sites: i64, states: i64) -> Result<Self> {
        if sites < 2 {
            return Err(bad_input!("'net.type' leattn needs at least 2 sites, found {sites}; take lemlp"));
        }
        let (c, options) = (config.hidden_dim, (Kind::Float, Device::Cpu));
        let linear = |name: &str, fan_in: i64, out: i64| Linear::new(scope.sub(name), fan_in, out, Init::PyTorch);
        let mask = Tensor::zeros([sites, sites], options);
        let _ = mask.diagonal(0, 0, 1).fill_(f64::NEG_INFINITY);
        Ok(Self {
            codebook: Codebook::new(&scope, states, c),
            time: TimeFeatures::new(scope.sub("time"), c),
            positions: scope.parameter("positions", Tensor::randn([sites, c], options) * 1e-1),
            query: linear("query", c, c),
            key: linear("key", c, c),
            value: linear("value", c, c),
            norm: LayerNorm::new(scope.sub("norm"), c, 1e-5),
            mlp: [linear("mlp.0", c, 4 * c), linear("mlp.2", 4 * c, c)],
            mask: mask.to_kind(scope.kind()).to_device(scope.device()),
            head_dim: config.head_dim,
        })
    }

    fn heads(&self, x: Tensor) -> Tensor {
        let (b, d, _) = x.size3().expect("[B, D, C]");
        x.view([b, d, -1, self.head_dim]).transpose(1, 2) // [B, H, D, K]
    }
}

impl RateNet for Leattn {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let place = self.time.forward(t).unsqueeze(1) + &self.positions; // [B, D, C]
        let told = self.codebook.embed(x) + &place; // [B, D, C]

        let q = self.heads(self.query.forward(&place)) / (self.head_dim as f64).sqrt();
        let (k, v) = (self.heads(self.key.forward(&told)), self.heads(self.value.forward(&told)));
        let weight = (q.matmul(&k.transpose(2, 3)) + &self.mask).softmax(-1, None::<Kind>); // [B, H, D, D]
        let h = weight.matmul(&v).transpose(1, 2).reshape(place.size()) + &place; // [B, D, C]

        let [wide, narrow] = &self.mlp;
        let hollow = &h + narrow.forward(&wide.forward(&self.norm.forward(&h)).gelu("none"));
        self.codebook.rates(&hollow, x)
    }
}
