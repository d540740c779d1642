//! leMLP: a site's features are sums over all others, bent.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Codebook, TimeFeatures};
use crate::config::check;
use crate::nets::linear::Linear;
use crate::nets::rates::RateNet;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LemlpConfig {
    /// Features of a site.
    pub hidden_dim: i64,
    /// Terms of the sum.
    pub terms: i64,
}

impl Default for LemlpConfig {
    fn default() -> Self {
        Self { hidden_dim: 64, terms: 4 }
    }
}

impl LemlpConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("net.hidden_dim", self.hidden_dim, 1, 65_536)?;
        check::in_range("net.terms", self.terms, 1, 1024)
    }
}

/// `h = sum_k silu(W_k e(x) + b_k + V_k tau(t))` with `W_k` `[D, D]` of zero diagonal, the same for every feature.
pub struct Lemlp {
    codebook: Codebook,
    time: TimeFeatures,
    time_to_terms: Linear,
    /// `[K, D, D]` and `[K, D, C]`.
    weight: Tensor,
    bias: Tensor,
    /// 0 on the diagonal, 1 elsewhere: `[D, D]`.
    mask: Tensor,
}

impl Lemlp {
    /// Draws initial weights from libtorch's generator.
    pub fn new(scope: Scope, config: &LemlpConfig, sites: i64, states: i64) -> Self {
        let (c, k, options) = (config.hidden_dim, config.terms, (Kind::Float, Device::Cpu));
        let weight = Init::PyTorch.weight(k * sites, sites).view([k, sites, sites]);
        let mask = Tensor::ones([sites, sites], options) - Tensor::eye(sites, options);
        Self {
            codebook: Codebook::new(&scope, states, c),
            time: TimeFeatures::new(scope.sub("time"), c),
            time_to_terms: Linear::new(scope.sub("time_to_terms"), c, k * c, Init::PyTorch),
            weight: scope.parameter("weight", weight),
            bias: scope.parameter("bias", Tensor::zeros([k, sites, c], options)),
            mask: mask.to_kind(scope.kind()).to_device(scope.device()),
        }
    }
}

impl RateNet for Lemlp {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let tokens = self.codebook.embed(x).unsqueeze(1); // [B, 1, D, C]
        let (k, _, c) = self.bias.size3().expect("[K, D, C]");
        let time = self.time_to_terms.forward(&self.time.forward(t)).view([-1, k, 1, c]); // [B, K, 1, C]
        let terms = (&self.weight * &self.mask).matmul(&tokens) + &self.bias + time; // [B, K, D, C]
        let hollow = terms.silu().sum_dim_intlist(1, false, None::<Kind>); // [B, D, C]
        self.codebook.rates(&hollow, x)
    }
}
