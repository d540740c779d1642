//! PROSE's layer: a whole transformer block between an adaptive norm and a gate, then a SwiGLU network between another
//! pair ("Amortized Sampling with Transferable Normalizing Flows", Tan et al., 2025, section 3).
//!
//! Scales, shifts and gates depend on the molecule alone, so a layer here only multiplies and adds them.

use tch::Tensor;

use super::attention::{Attend, Transformer};
use super::config::FlowConfig;
use super::leaves::{Leaves, Norm, plain_norm};
use crate::nets::linear::Linear;

pub struct ProseLayer {
    around_transformer: Modulation,
    pub(super) transformer: Transformer,
    pub(super) transition: Option<Transition>,
    eps: f64,
}

pub(super) struct Transition {
    around: Modulation,
    pub(super) up: Tensor,
    pub(super) down: Tensor,
}

/// An adaptive layer norm and the gate that belongs to it, both functions of the conditioning.
struct Modulation {
    norm: Norm,
    scale: Linear,
    shift: Tensor,
    gate: Linear,
}

/// A [`Modulation`]'s outcome for given molecules, each `[U, T, C]`.
#[derive(Debug)]
pub struct Modulated {
    pub scale: Tensor,
    pub shift: Tensor,
    pub gate: Tensor,
}

/// What one layer takes from the conditioning.
#[derive(Debug)]
pub struct ProseTerms {
    pub transformer: Modulated,
    pub transition: Option<Modulated>,
}

impl ProseLayer {
    pub fn new(leaves: &Leaves, config: &FlowConfig, at: &str) -> Self {
        let transition = config.transition().then(|| Transition {
            around: Modulation::new(leaves, &format!("{at}.transition")),
            up: leaves.tensor(&format!("{at}.transition.transition.swish_linear.0.weight")),
            down: leaves.tensor(&format!("{at}.transition.transition.linear_out.weight")),
        });
        Self {
            around_transformer: Modulation::new(leaves, &format!("{at}.mha")),
            transformer: Transformer::new(leaves, config.network(), &format!("{at}.mha.mha")),
            transition,
            eps: leaves.eps(),
        }
    }

    /// The layer's terms for a block's conditioning `[U, T, C]`.
    pub fn terms(&self, conditioning: &Tensor) -> ProseTerms {
        ProseTerms {
            transformer: self.around_transformer.terms(conditioning),
            transition: self.transition.as_ref().map(|transition| transition.around.terms(conditioning)),
        }
    }

    /// `[B, T, C]` to the same.
    pub fn forward(&self, h: &Tensor, terms: &ProseTerms, attend: &mut Attend) -> Tensor {
        let inner = self.transformer.forward(&terms.transformer.enter(h, self.eps), attend);
        let h = terms.transformer.leave(h, &inner);
        match (&self.transition, &terms.transition) {
            (Some(transition), Some(terms)) => terms.leave(&h, &transition.forward(&terms.enter(&h, self.eps))),
            _ => h,
        }
    }
}

impl Transition {
    /// SwiGLU without biases; the second half of the first product is the gate.
    fn forward(&self, w: &Tensor) -> Tensor {
        let parts = w.linear(&self.up, None::<&Tensor>).chunk(2, -1); // 2 x [B, T, 4 C]
        (parts[1].silu() * &parts[0]).linear(&self.down, None::<&Tensor>)
    }
}

impl Modulation {
    fn new(leaves: &Leaves, at: &str) -> Self {
        Self {
            norm: leaves.norm(&format!("{at}.adaln.norm_cond")),
            scale: leaves.linear(&format!("{at}.adaln.to_gamma.0")),
            shift: leaves.tensor(&format!("{at}.adaln.to_beta.weight")),
            gate: leaves.linear(&format!("{at}.scale_output.to_adaln_zero_gamma.0")),
        }
    }

    /// The norm's terms see the conditioning normalised, the gate sees it as it is.
    fn terms(&self, conditioning: &Tensor) -> Modulated {
        let normal = self.norm.forward(conditioning);
        Modulated {
            scale: self.scale.forward(&normal).sigmoid(),
            shift: normal.linear(&self.shift, None::<&Tensor>),
            gate: self.gate.forward(conditioning).sigmoid(),
        }
    }
}

impl Modulated {
    /// `norm(h) scale + shift`.
    fn enter(&self, h: &Tensor, eps: f64) -> Tensor {
        self.shift.addcmul(&plain_norm(h, eps), &self.scale)
    }

    /// `h + gate y`.
    fn leave(&self, h: &Tensor, y: &Tensor) -> Tensor {
        h.addcmul(y, &self.gate)
    }

    /// The terms of tokens `start .. start + count`.
    pub fn narrow(&self, start: i64, count: i64) -> Self {
        let part = |t: &Tensor| t.narrow(1, start, count);
        Self { scale: part(&self.scale), shift: part(&self.shift), gate: part(&self.gate) }
    }
}

impl ProseTerms {
    pub fn narrow(&self, start: i64, count: i64) -> Self {
        Self {
            transformer: self.transformer.narrow(start, count),
            transition: self.transition.as_ref().map(|terms| terms.narrow(start, count)),
        }
    }
}
