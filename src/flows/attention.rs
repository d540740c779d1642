//! The pre-norm transformer block, attention then a GELU network, that both flows have in every layer.

use tch::{Device, Kind, Tensor};

use super::config::NetworkConfig;
use super::leaves::{Leaves, Norm};
use crate::nets::linear::Linear;

/// What the tokens at hand may look at.
pub enum Attend<'a> {
    /// Each at itself and those before it; the tokens are the first ones.
    Causal,
    /// The same, where the tokens stand from `start` on and those before it are in the cache, which these enter.
    Cached { cache: &'a mut Cache, start: i64, mask: Option<&'a Tensor> },
}

/// Keys and values of one layer, `[B, H, L, d]` each, allocated once and filled from the front.
pub struct Cache {
    keys: Tensor,
    values: Tensor,
}

impl Cache {
    pub fn new(size: [i64; 4], options: (Kind, Device)) -> Self {
        Self { keys: Tensor::empty(size, options), values: Tensor::empty(size, options) }
    }
}

/// Which later tokens each of `count` new ones after `start` old ones must not see: true where it may look,
/// `[count, start + count]`; `None` for a single one, which may look everywhere.
pub fn window(start: i64, count: i64, device: Device) -> Option<Tensor> {
    (count > 1).then(|| Tensor::ones([count, start + count], (Kind::Bool, device)).tril(start))
}

pub struct Transformer {
    pub(super) norm: Norm,
    pub(super) qkv: Linear,
    pub(super) qk_norms: Option<(Norm, Norm)>,
    pub(super) projection: Linear,
    pub(super) mlp_norm: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) heads: i64,
}

impl Transformer {
    pub fn new(leaves: &Leaves, network: &NetworkConfig, at: &str) -> Self {
        let norm = |name: &str| leaves.norm(&format!("{at}.attention.{name}"));
        Self {
            norm: norm("norm"),
            qkv: leaves.linear(&format!("{at}.attention.qkv")),
            qk_norms: network.use_qkln.then(|| (norm("q_layer_norm"), norm("k_layer_norm"))),
            projection: leaves.linear(&format!("{at}.attention.proj")),
            mlp_norm: leaves.norm(&format!("{at}.mlp.norm")),
            up: leaves.linear(&format!("{at}.mlp.main.0")),
            down: leaves.linear(&format!("{at}.mlp.main.2")),
            heads: network.heads(),
        }
    }

    /// `[B, T, C]` to the same, both residuals included.
    pub fn forward(&self, u: &Tensor, attend: &mut Attend) -> Tensor {
        let v = u + self.attention(u, attend);
        let hidden = self.up.forward(&self.mlp_norm.forward(&v)).gelu("none"); // [B, T, 4 C]
        self.down.forward(&hidden) + v
    }

    fn attention(&self, u: &Tensor, attend: &mut Attend) -> Tensor {
        let parts = self.qkv.forward(&self.norm.forward(u)).chunk(3, -1); // 3 x [B, T, C]
        // Queries and keys are normalised over all channels, before the heads part.
        let (q, k) = match &self.qk_norms {
            Some((q_norm, k_norm)) => (q_norm.forward(&parts[0]), k_norm.forward(&parts[1])),
            None => (parts[0].shallow_clone(), parts[1].shallow_clone()),
        };
        let (q, k, v) = (self.split(&q), self.split(&k), self.split(&parts[2])); // [B, H, T, d]
        let mixed = match attend {
            Attend::Causal => attention(&q, &k, &v, None, true),
            Attend::Cached { cache, start, mask } => {
                let (count, end) = (k.size()[2], *start + k.size()[2]);
                cache.keys.narrow(2, *start, count).copy_(&k);
                cache.values.narrow(2, *start, count).copy_(&v);
                attention(&q, &cache.keys.narrow(2, 0, end), &cache.values.narrow(2, 0, end), *mask, false)
            }
        };
        self.projection.forward(&mixed.transpose(1, 2).flatten(2, 3)) // [B, T, C]
    }

    fn split(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        x.reshape([size[0], size[1], self.heads, size[2] / self.heads]).transpose(1, 2)
    }
}

fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal: bool) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, mask, 0.0, causal, None, false)
}
