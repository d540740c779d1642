//! Shallow locally equivariant networks (Ou, Zhang and Li, "Discrete neural flow samplers", 2025, sec. 4.2), and the
//! bricks that all such networks share.
//!
//! | file | what |
//! |---|---|
//! | [`lemlp`] | sums over the other sites |
//! | [`leattn`] | attention to the other sites |
//!
//! Features `h_i` of a site see the time and every other site but not the site itself (they are *hollow*), so
//! `G(tau, i | x) = <h_i, Omega_tau - Omega_{x_i}>` changes its sign, to the last bit, when the site changes its state.

pub mod leattn;
pub mod lemlp;

use tch::{Kind, Tensor};

use super::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Frequencies of the time features.
const FREQUENCIES: i64 = 128;

/// `[cos(t f_j), sin(t f_j)]`, `f_j = 10000^(-j / 128)`, through two layers.
pub struct TimeFeatures {
    layers: [Linear; 2],
}

impl TimeFeatures {
    pub fn new(scope: Scope, features: i64) -> Self {
        let first = Linear::new(scope.sub(0), 2 * FREQUENCIES, features, Init::PyTorch);
        Self { layers: [first, Linear::new(scope.sub(2), features, features, Init::PyTorch)] }
    }

    /// `[B]` -> `[B, C]`.
    pub fn forward(&self, t: &Tensor) -> Tensor {
        let steps = Tensor::arange(FREQUENCIES, (Kind::Double, t.device()));
        let frequency = (steps * (-(10_000f64.ln()) / FREQUENCIES as f64)).exp();
        let angle = t.to_kind(Kind::Double).unsqueeze(1) * frequency; // [B, F]
        let [first, second] = &self.layers;
        let waves = Tensor::cat(&[angle.cos(), angle.sin()], 1).to_kind(first.weight.kind());
        second.forward(&first.forward(&waves).silu())
    }
}

/// Tables of the states: what a site tells the others, and what its own features are read against.
pub struct Codebook {
    /// `[S, C]` both.
    tokens: Tensor,
    omega: Tensor,
}

impl Codebook {
    pub fn new(scope: &Scope, states: i64, features: i64) -> Self {
        let table = |name: &str| scope.sub(name).parameter("weight", Init::PyTorch.weight(states, features));
        Self { tokens: table("tokens"), omega: table("omega") }
    }

    /// `[B, D]` i64 -> `[B, D, C]`.
    pub fn embed(&self, x: &Tensor) -> Tensor {
        Tensor::embedding(&self.tokens, x, -1, false, false)
    }

    /// `<h_i, Omega_tau - Omega_{x_i}>`: `[B, D, C]` and states `[B, D]` -> `[B, D, S]`.
    pub fn rates(&self, hollow: &Tensor, x: &Tensor) -> Tensor {
        let scores = hollow.matmul(&self.omega.tr()); // [B, D, S]
        &scores - scores.gather(2, &x.unsqueeze(2), false)
    }
}
