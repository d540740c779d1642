//! Affine maps and layer normalisation, the bricks of every network here.

use tch::Tensor;

use crate::torch::init::Init;
use crate::torch::params::Scope;

/// `y = x W^T + b` with `weight` `[out, in]` and `bias` `[out]`.
pub struct Linear {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Linear {
    pub fn new(scope: Scope, fan_in: i64, out: i64, init: Init) -> Self {
        let weight = scope.parameter("weight", init.weight(out, fan_in));
        let bias = scope.parameter("bias", init.bias(out, fan_in));
        Self { weight, bias }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

/// Normalisation over the last axis with a learned scale and shift.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub fn new(scope: Scope, dim: i64, eps: f64) -> Self {
        let options = (scope.kind(), scope.device());
        let weight = scope.parameter("weight", Tensor::ones([dim], options));
        let bias = scope.parameter("bias", Tensor::zeros([dim], options));
        Self { weight, bias, eps }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let dim = self.weight.size();
        x.layer_norm(dim, Some(&self.weight), Some(&self.bias), self.eps, false)
    }
}
