//! Convolutions and group normalisation, the bricks of networks on images `[N, C, H, W]`.

use tch::Tensor;

use crate::torch::init::Init;
use crate::torch::params::Scope;

/// A square convolution with `weight` `[out, in, k, k]` and `bias` `[out]`, padded to keep the size at stride 1.
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    pub fn new(scope: Scope, input: i64, out: i64, kernel: i64, stride: i64, init: Init) -> Self {
        let fan_in = input * kernel * kernel;
        let weight = scope.parameter("weight", init.weight(out, fan_in).view([out, input, kernel, kernel]));
        let bias = scope.parameter("bias", init.bias(out, fan_in));
        Self { weight, bias, stride, padding: kernel / 2 }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (stride, padding) = (self.stride, self.padding);
        x.conv2d(&self.weight, Some(&self.bias), [stride, stride], [padding, padding], [1, 1], 1)
    }
}

/// Normalisation over groups of channels with a learned scale and shift (Wu and He, 2018).
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
}

/// PyTorch's epsilon.
const EPS: f64 = 1e-5;

impl GroupNorm {
    /// `groups` must divide `channels`.
    pub fn new(scope: Scope, channels: i64, groups: i64) -> Self {
        let options = (scope.kind(), scope.device());
        let weight = scope.parameter("weight", Tensor::ones([channels], options));
        let bias = scope.parameter("bias", Tensor::zeros([channels], options));
        Self { weight, bias, groups }
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.group_norm(self.groups, Some(&self.weight), Some(&self.bias), EPS, false)
    }
}
