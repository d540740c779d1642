//! A network's parameters by name, and the bricks that take theirs from there.

use std::collections::HashMap;

use tch::Tensor;

use super::layout::Entry;
use crate::nets::linear::Linear;
use crate::torch::params::Params;

/// Parameters by name. Asking for one that the layout lacks is a bug and panics.
pub struct Leaves {
    tensors: HashMap<String, Tensor>,
    eps: f64,
}

impl Leaves {
    /// Registers the parameters among `entries` in `params`; `eps` is that of every layer norm.
    pub fn new(params: &Params, entries: &[Entry], eps: f64) -> Self {
        let root = params.root();
        let parameters = entries.iter().filter(|entry| !entry.is_buffer());
        let tensors = parameters.map(|e| (e.name.clone(), root.parameter(&e.name, e.values()))).collect();
        Self { tensors, eps }
    }

    pub fn tensor(&self, name: &str) -> Tensor {
        match self.tensors.get(name) {
            Some(tensor) => tensor.shallow_clone(),
            None => panic!("the layout has no parameter '{name}'"),
        }
    }

    pub fn linear(&self, at: &str) -> Linear {
        Linear { weight: self.tensor(&format!("{at}.weight")), bias: self.tensor(&format!("{at}.bias")) }
    }

    pub fn norm(&self, at: &str) -> Norm {
        Norm { weight: self.tensor(&format!("{at}.weight")), bias: self.tensor(&format!("{at}.bias")), eps: self.eps }
    }

    pub fn eps(&self) -> f64 {
        self.eps
    }
}

/// Normalisation over the last axis with a learned scale and shift.
pub struct Norm {
    pub weight: Tensor,
    pub bias: Tensor,
    pub eps: f64,
}

impl Norm {
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}

/// Normalisation over the last axis with nothing learned.
pub fn plain_norm(x: &Tensor, eps: f64) -> Tensor {
    let dim = *x.size().last().unwrap_or(&0);
    x.layer_norm([dim], None::<&Tensor>, None::<&Tensor>, eps, false)
}
