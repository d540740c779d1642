//! One block: atoms in an order of its own, a causal transformer over them, and an affine map of each atom whose scale
//! and shift the transformer makes of the atoms before it.

use tch::{Kind, Tensor};

use super::attention::{Attend, Cache, window};
use super::config::FlowConfig;
#[cfg(target_arch = "x86_64")]
use super::decode::decode;
use super::embedder::positions;
use super::leaves::Leaves;
use super::prose::{ProseLayer, ProseTerms};
use super::tarflow::TarflowLayer;
use crate::nets::linear::Linear;

/// How the inverse finds the atoms, each of which depends on those before it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Inversion {
    /// One after the other.
    #[default]
    Sequential,
    /// `segment` at a time, by fixed-point iteration until no coordinate moves by more than `tolerance`; exact after
    /// as many passes as the segment is long, whatever the tolerance (Liu and Qin, 2025, arXiv 2505.12849).
    Jacobi { segment: i64, tolerance: f64 },
}

pub struct Block {
    position_scale: Tensor,
    positions: Tensor,
    pub(super) proj_in: Linear,
    conditioner: Conditioner,
    pub(super) layers: Vec<Layer>,
    pub(super) proj_out: Linear,
    pub(super) heads: i64,
}

/// What makes the block's conditioning of the embedded atoms.
enum Conditioner {
    /// Of an atom and the one after it: a token sets the scale and shift of its successor.
    LookAhead(Linear, Linear),
    Direct(Linear),
}

pub(super) enum Layer {
    Prose(ProseLayer),
    Tarflow(TarflowLayer),
}

#[derive(Debug)]
pub(super) enum LayerTerms {
    Prose(ProseTerms),
    Tarflow(Tensor),
}

/// What a block takes from the molecules. Tokens are `T = L - 1`: the last atom conditions nobody.
#[derive(Debug)]
pub struct BlockTerms {
    order: Order,
    /// Position embedding plus the input layer's bias, `[T, C]`.
    pub(super) offset: Tensor,
    pub(super) layers: Vec<LayerTerms>,
    /// In the block's order, for tokens' successors, `[U, T, 1]`; `None` where nothing is padded.
    pub(super) mask: Option<Tensor>,
}

impl BlockTerms {
    /// Rows of the terms, `U`.
    pub(super) fn molecules(&self) -> i64 {
        self.order.there.size()[0]
    }
}

/// A permutation of atoms and its inverse, `[U, L]` each.
#[derive(Debug)]
struct Order {
    there: Tensor,
    back: Tensor,
}

impl Block {
    pub fn new(leaves: &Leaves, config: &FlowConfig, b: i64) -> Self {
        let (network, at) = (config.network(), format!("blocks.{b}"));
        let linear = |name: &str| leaves.linear(&format!("{at}.{name}"));
        let conditioner = if config.lookahead() {
            Conditioner::LookAhead(linear("proj_cond.0"), linear("proj_cond.2"))
        } else {
            Conditioner::Direct(linear("proj_cond"))
        };
        let layer = |l| {
            let at = format!("{at}.attn_blocks.{l}");
            if config.adaptive() {
                Layer::Prose(ProseLayer::new(leaves, config, &at))
            } else {
                Layer::Tarflow(TarflowLayer::new(leaves, config, &at))
            }
        };
        let position_scale = leaves.tensor(&format!("{at}.pos_embed_scale"));
        let options = (position_scale.kind(), position_scale.device());
        let base = network.pos_embed_div_value;
        Self {
            positions: positions(network.max_num_tokens, network.channels, base, options),
            position_scale,
            proj_in: linear("proj_in"),
            conditioner,
            layers: (0..network.layers_per_block).map(layer).collect(),
            proj_out: linear("proj_out"),
            heads: network.heads(),
        }
    }

    /// The block's terms for embedded atoms `[U, L, C]`, an order of them `[U, L]` and a mask `[U, L]`.
    pub fn prepare(&self, embedded: &Tensor, order: &Tensor, mask: Option<&Tensor>) -> BlockTerms {
        let order = Order::new(order);
        let tokens = embedded.size()[1] - 1;
        let conditioning = self.conditioner.forward(&order.apply(embedded)); // [U, T, C]
        let layers = self.layers.iter().map(|layer| match layer {
            Layer::Prose(layer) => LayerTerms::Prose(layer.terms(&conditioning)),
            Layer::Tarflow(_) => LayerTerms::Tarflow(conditioning.shallow_clone()),
        });
        BlockTerms {
            offset: self.positions.narrow(0, 0, tokens) * &self.position_scale + &self.proj_in.bias,
            layers: layers.collect(),
            mask: mask.map(|mask| order.apply(&mask.unsqueeze(-1)).narrow(1, 1, tokens)),
            order,
        }
    }

    /// `x` `[B, L, 3]` to the same, and the log-determinant `[B]` in f64.
    pub fn forward(&self, x: &Tensor, terms: &BlockTerms) -> (Tensor, Tensor) {
        let x = terms.order.apply(x);
        let tokens = x.size()[1] - 1;
        let (scale, shift) = self.affine(&x.narrow(1, 0, tokens), terms, 0, None);
        let rest = (x.narrow(1, 1, tokens) - shift) * (-&scale).exp();
        // The first atom has none before it and passes as it is.
        let y = Tensor::cat(&[x.narrow(1, 0, 1), rest], 1); // [B, L, 3]
        (terms.order.undo(&y), -total(&scale))
    }

    /// The inverse of [`forward`](Self::forward), with the log-determinant of the inverse.
    pub fn inverse(&self, y: &Tensor, terms: &BlockTerms, method: Inversion) -> (Tensor, Tensor) {
        let y = terms.order.apply(y).contiguous();
        #[cfg(target_arch = "x86_64")]
        if method == Inversion::Sequential
            && let Some((x, log_det)) = decode(self, terms, &y)
        {
            return (terms.order.undo(&x), log_det);
        }
        let (batch, tokens) = (y.size()[0], y.size()[1] - 1);
        let channels = self.positions.size()[1];
        let size = [batch, self.heads, tokens, channels / self.heads];
        let options = (y.kind(), y.device());
        let mut caches: Vec<Cache> = self.layers.iter().map(|_| Cache::new(size, options)).collect();

        let (segment, tolerance) = match method {
            Inversion::Sequential => (1, 0.0),
            Inversion::Jacobi { segment, tolerance } => (segment.max(1), tolerance),
        };
        // Atoms not yet known start as what comes in.
        let x = y.copy();
        let mut log_det = Tensor::zeros([batch], (Kind::Double, y.device()));
        let mut start = 0;
        while start < tokens {
            let count = segment.min(tokens - start);
            log_det += self.solve(&x, &y, terms, &mut caches, (start, count), tolerance);
            start += count;
        }
        (terms.order.undo(&x), log_det)
    }

    /// Finds atoms `start + 1 ..= start + count` of `x` in place; returns their share of the log-determinant.
    fn solve(
        &self,
        x: &Tensor,
        y: &Tensor,
        terms: &BlockTerms,
        caches: &mut [Cache],
        (start, count): (i64, i64),
        tolerance: f64,
    ) -> Tensor {
        let mask = window(start, count, x.device());
        let mut unknown = x.narrow(1, start + 1, count);
        let image = y.narrow(1, start + 1, count);
        let mut passes = 0;
        loop {
            let known = Some((&mut *caches, mask.as_ref()));
            let (scale, shift) = self.affine(&x.narrow(1, start, count), terms, start, known);
            let found = &image * scale.exp() + shift;
            passes += 1;
            let settled = passes >= count || (&found - &unknown).abs().max().double_value(&[]) <= tolerance;
            unknown.copy_(&found);
            if settled {
                return total(&scale);
            }
        }
    }

    /// Log-scale and shift of each token's successor, `[B, T, 3]` both, for atoms `[B, T, 3]` from `start` on; what
    /// came before `start` is in the caches.
    fn affine(
        &self,
        atoms: &Tensor,
        terms: &BlockTerms,
        start: i64,
        mut known: Option<(&mut [Cache], Option<&Tensor>)>,
    ) -> (Tensor, Tensor) {
        let count = atoms.size()[1];
        let mut h = atoms.linear(&self.proj_in.weight, None::<&Tensor>) + terms.offset.narrow(0, start, count);
        for (l, (layer, terms)) in self.layers.iter().zip(&terms.layers).enumerate() {
            let mut attend = match &mut known {
                Some((caches, mask)) => Attend::Cached { cache: &mut caches[l], start, mask: *mask },
                None => Attend::Causal,
            };
            h = layer.forward(&h, terms, (start, count), &mut attend); // [B, T, C]
        }
        let mut out = self.proj_out.forward(&h); // [B, T, 6]
        if let Some(mask) = &terms.mask {
            out *= mask.narrow(1, start, count);
        }
        (out.narrow(2, 0, 3), out.narrow(2, 3, 3))
    }
}

impl Conditioner {
    /// `[U, L, C]` to `[U, L - 1, C]`.
    fn forward(&self, embedded: &Tensor) -> Tensor {
        let tokens = embedded.size()[1] - 1;
        let own = embedded.narrow(1, 0, tokens);
        match self {
            Conditioner::LookAhead(first, second) => {
                let both = Tensor::cat(&[&own, &embedded.narrow(1, 1, tokens)], -1); // [U, T, 2 C]
                second.forward(&first.forward(&both).gelu("none"))
            }
            Conditioner::Direct(linear) => linear.forward(&own),
        }
    }
}

impl Layer {
    fn forward(&self, h: &Tensor, terms: &LayerTerms, (start, count): (i64, i64), attend: &mut Attend) -> Tensor {
        match (self, terms) {
            (Layer::Prose(layer), LayerTerms::Prose(terms)) => layer.forward(h, &terms.narrow(start, count), attend),
            (Layer::Tarflow(layer), LayerTerms::Tarflow(g)) => layer.forward(h, &g.narrow(1, start, count), attend),
            _ => unreachable!("terms were prepared by another network"),
        }
    }
}

impl Order {
    fn new(there: &Tensor) -> Self {
        Self { there: there.shallow_clone(), back: there.argsort(-1, false) }
    }

    /// `[B, L, ·]` in the atoms' own order to this one.
    fn apply(&self, x: &Tensor) -> Tensor {
        taken(x, &self.there)
    }

    fn undo(&self, x: &Tensor) -> Tensor {
        taken(x, &self.back)
    }
}

/// Rows of `x` `[B, L, ·]` as listed in `index` `[U, L]`.
fn taken(x: &Tensor, index: &Tensor) -> Tensor {
    match index.size()[0] {
        1 => x.index_select(1, &index.select(0, 0)),
        _ => x.gather(1, &index.unsqueeze(-1).expand_as(x), false),
    }
}

/// The sum over tokens and coordinates, `[B]` in f64.
fn total(scale: &Tensor) -> Tensor {
    scale.flatten(1, -1).sum_dim_intlist(-1, false, Kind::Double)
}
