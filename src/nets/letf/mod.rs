//! The locally equivariant transformer (Ou, Zhang and Li, "Discrete neural flow samplers with locally equivariant
//! transformer", 2025): rates of all single-site changes from one call, with `G(tau, i | x) = -G(x_i, i | x^{i->tau})`.
//!
//! | file | what |
//! |---|---|
//! | [`stream`] | causal transformers from either end of the sequence |
//! | [`readout`] | attention of a site to all others, but not to itself |
//!
//! A site's features see the time and every other site, never the site itself; so a change of that site leaves them as
//! they were to the last bit, and `G = <h_i, Omega_tau - Omega_{x_i}>` only changes its sign. Names and initial values
//! of parameters are the reference code's.

pub mod readout;
pub mod stream;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use self::readout::Readout;
use self::stream::Stream;
use super::linear::{LayerNorm, Linear};
use crate::config::check;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// PyTorch's default.
const EPS: f64 = 1e-5;

/// Frequencies of the time features.
const FREQUENCIES: i64 = 128;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LetfConfig {
    /// Features of a site, a multiple of `head_dim`.
    pub hidden_dim: i64,
    pub head_dim: i64,
    /// Residual blocks of each stream.
    pub num_blocks: i64,
    /// Attention layers of each block.
    pub layers_per_block: i64,
}

impl Default for LetfConfig {
    fn default() -> Self {
        Self { hidden_dim: 64, head_dim: 16, num_blocks: 3, layers_per_block: 1 }
    }
}

impl LetfConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("net.head_dim", self.head_dim, 1, 4096)?;
        check::in_range("net.hidden_dim", self.hidden_dim, 1, 65_536)?;
        check::multiple_of("net.hidden_dim", self.hidden_dim as u64, self.head_dim as u64)?;
        check::in_range("net.num_blocks", self.num_blocks, 1, 1024)?;
        check::in_range("net.layers_per_block", self.layers_per_block, 1, 1024)
    }
}

/// The network for `sites` sites of `states` states.
pub struct Letf {
    /// `[S, C]` both.
    tokens: Tensor,
    omega: Tensor,
    time: [Linear; 2],
    forward: Stream,
    backward: Stream,
    readout: Readout,
    norm: LayerNorm,
}

impl Letf {
    /// Draws initial weights from libtorch's generator. The sizes must be valid: see [`LetfConfig::validate`].
    pub fn new(scope: Scope, config: &LetfConfig, sites: i64, states: i64) -> Self {
        let c = config.hidden_dim;
        // kaiming_uniform with a = sqrt 5 is nn.Linear's own bound.
        let table = |scope: Scope| scope.parameter("embedding", Init::PyTorch.weight(states, c));
        let (time, output) = (scope.sub("time_embedder").sub("mlp"), scope.sub("output_layer"));
        Self {
            tokens: table(scope.sub("vocab_embedder")),
            omega: table(output.sub("ommega_embedder")),
            time: [
                Linear::new(time.sub(0), 2 * FREQUENCIES, c, Init::PyTorch),
                Linear::new(time.sub(2), c, c, Init::PyTorch),
            ],
            forward: Stream::new(&scope.sub("fwd_blocks"), config, sites),
            backward: Stream::new(&scope.sub("bwd_blocks"), config, sites),
            readout: Readout::new(&scope.sub("readout"), config, sites),
            norm: LayerNorm::new(output.sub("norm_final"), c, EPS),
        }
    }

    /// Rates `G` before they are made positive: `x` `[B, D]` i64, `t` `[B]` in [0, 1] -> `[B, D, S]`, 0 at a site's own
    /// state.
    pub fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let time = self.time_features(t).unsqueeze(1); // [B, 1, C]
        let tokens = Tensor::embedding(&self.tokens, x, -1, false, false); // [B, D, C]

        // Left of site i: time, x_0 .. x_{i-1}; right of it: x_{i+1} .. x_{D-1}, time. Nobody asks what lies beyond the
        // last site of either stream.
        let d = tokens.size()[1];
        let stream = |stream: &Stream, tokens: &Tensor| {
            stream.forward(&Tensor::cat(&[&time, &tokens.narrow(1, 0, d - 1)], 1)) // [B, D, C]
        };
        let left = stream(&self.forward, &tokens);
        let right = stream(&self.backward, &tokens.flip([1])).flip([1]);

        let hollow = self.norm.forward(&self.readout.forward(&left, &right, &time)) + &time;
        let scores = hollow.matmul(&self.omega.tr()); // [B, D, S]
        &scores - scores.gather(2, &x.unsqueeze(2), false)
    }

    /// `[cos(t f_j), sin(t f_j)]`, `f_j = 10000^(-j / 128)`, through two layers: `[B]` -> `[B, C]`.
    fn time_features(&self, t: &Tensor) -> Tensor {
        // One time seen as many, as simulations have it, needs one look.
        if t.size()[0] > 1 && t.stride()[0] == 0 {
            return self.time_features(&t.narrow(0, 0, 1)).expand([t.size()[0], -1], false);
        }
        let kind = self.tokens.kind();
        let steps = Tensor::arange(FREQUENCIES, (Kind::Float, t.device()));
        let frequency = (steps * (-(10_000f64.ln()) / FREQUENCIES as f64)).exp();
        let angle = t.to_kind(Kind::Float).unsqueeze(1) * frequency; // [B, F]
        let waves = Tensor::cat(&[angle.cos(), angle.sin()], 1).to_kind(kind);
        let [first, second] = &self.time;
        second.forward(&first.forward(&waves).silu())
    }
}
