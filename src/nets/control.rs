//! Control networks `u(x, k)` of diffusion samplers, and their configuration.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pis_grad::PisGrad;
use super::vanilla::Vanilla;
use crate::config::check;
use crate::torch::params::Scope;

/// Bound on the guide before the gain multiplies it, and on the control itself (PIS code).
pub const GUIDE_CLIP: f64 = 1e2;
pub const OUTPUT_CLIP: f64 = 1e4;

/// A network `u(x, k)` split where it pays: what depends on time alone is computed once a step, not once a sample.
pub trait Control: Send {
    /// Tables over the states `0 ..= T`, each `[T + 1, 1, ·]`, with their graph.
    fn time_tables(&self) -> Vec<Tensor>;

    /// Whether the network multiplies a guide.
    fn guided(&self) -> bool;

    /// `u` at `x` `[J, N, D]` given the matching rows of the tables (each `[J, 1, ·]`) and the guide `[J, N, D]`.
    fn control(&self, rows: &[Tensor], x: &Tensor, guide: Option<&Tensor>) -> Tensor;
}

/// Which network, and how large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetConfig {
    /// Path-integral-sampler network: Fourier features, a state head and a time-dependent gain on the guide.
    PisGrad {
        /// Width of every hidden layer.
        #[serde(default = "default_hidden")]
        hidden: i64,
        /// Hidden layers of the state head.
        #[serde(default = "default_layers")]
        layers: i64,
        /// Start of the gain head's bias: 0 switches the guide on slowly, 1 starts with the full guide.
        #[serde(default)]
        gain_bias: f64,
        /// Whether the target's score enters through the gain head at all.
        #[serde(default = "yes")]
        guide: bool,
    },
    /// Residual LayerNorm network of the "Rethinking Losses" code, state-dependent gain.
    Vanilla {
        #[serde(default = "default_hidden")]
        hidden: i64,
        #[serde(default = "default_layers")]
        layers: i64,
        #[serde(default = "yes")]
        guide: bool,
    },
}

fn default_hidden() -> i64 {
    64
}

fn default_layers() -> i64 {
    2
}

fn yes() -> bool {
    true
}

impl NetConfig {
    pub fn validate(&self) -> Result<()> {
        let (NetConfig::PisGrad { hidden, layers, .. } | NetConfig::Vanilla { hidden, layers, .. }) = self;
        check::in_range("net.hidden", *hidden, 1, 8192)?;
        check::in_range("net.layers", *layers, 1, 64)?;
        match self {
            NetConfig::PisGrad { gain_bias, .. } => check::finite("net.gain_bias", *gain_bias),
            NetConfig::Vanilla { .. } => Ok(()),
        }
    }

    /// Whether the network multiplies the (annealed) score.
    pub fn guided(&self) -> bool {
        let (NetConfig::PisGrad { guide, .. } | NetConfig::Vanilla { guide, .. }) = self;
        *guide
    }

    /// Builds the network for states of dimension `dim` in a chain of `num_steps` steps.
    pub fn build(&self, scope: Scope, dim: i64, num_steps: i64) -> Box<dyn Control> {
        match *self {
            NetConfig::PisGrad { hidden, layers, gain_bias, guide } => {
                let gain = guide.then_some(gain_bias);
                Box::new(PisGrad::new(scope, dim, num_steps, hidden, layers, gain))
            }
            NetConfig::Vanilla { hidden, layers, guide } => {
                Box::new(Vanilla::new(scope, dim, num_steps, hidden, layers, guide))
            }
        }
    }
}

/// `head + gain ⊙ clip(guide)`, each part bounded as in the reference code.
pub(super) fn add_guide(head: Tensor, gain: Option<&Tensor>, guide: Option<&Tensor>) -> Tensor {
    match (gain, guide) {
        (Some(gain), Some(guide)) => head.addcmul(&guide.clamp(-GUIDE_CLIP, GUIDE_CLIP), gain),
        _ => head,
    }
}
