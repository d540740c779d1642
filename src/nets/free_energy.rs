//! The free energy along a path of laws, up to a constant, as a network of time (LEAPS, Holderrieth et al., 2025).

use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// `F(t)`, an estimate of `-log Z_t + const`: a SiLU network from one number to one number.
pub struct FreeEnergy {
    layers: Vec<Linear>,
}

impl FreeEnergy {
    /// `hidden` are the widths of the layers between.
    pub fn new(scope: Scope, hidden: &[i64]) -> Self {
        let widths: Vec<i64> = [1].iter().chain(hidden).chain(&[1]).copied().collect();
        let scope = scope.sub("net");
        // Activations take the odd places, as in PyTorch's nn.Sequential.
        let layer = |(k, pair): (usize, &[i64])| Linear::new(scope.sub(2 * k), pair[0], pair[1], Init::PyTorch);
        Self { layers: widths.windows(2).enumerate().map(layer).collect() }
    }

    /// `F` and `dF/dt` at `t` `[B]`, both with their graph: value and tangent go through the layers together.
    pub fn value_and_slope(&self, t: &Tensor) -> (Tensor, Tensor) {
        let mut value = t.unsqueeze(1); // [B, 1]
        let mut slope = Tensor::ones_like(&value);
        for (k, layer) in self.layers.iter().enumerate() {
            value = layer.forward(&value);
            slope = slope.matmul(&layer.weight.tr());
            if k + 1 < self.layers.len() {
                let gate = value.sigmoid();
                slope = &slope * (&gate * (1.0 + &value * (1.0 - &gate)));
                value = &value * gate;
            }
        }
        (value.squeeze_dim(1), slope.squeeze_dim(1))
    }

    /// `F(1) - F(0)`, which estimates `-log(Z_1 / Z_0)`.
    pub fn difference(&self) -> f64 {
        let _guard = tch::no_grad_guard();
        let like = &self.layers[0].weight;
        let ends = Tensor::from_slice(&[0.0, 1.0]).to_kind(like.kind()).to_device(like.device());
        let (value, _) = self.value_and_slope(&ends);
        let value = value.to_device(Device::Cpu).to_kind(Kind::Double);
        value.double_value(&[1]) - value.double_value(&[0])
    }
}
