//! The free energy `F(t)` of LEAPS' loss, up to a constant minus log Z_t: a perceptron of the time alone (Holderrieth,
//! Albergo and Jaakkola, 2025, sec. 5).

use tch::Tensor;

use super::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// A perceptron `1 -> widths -> 1` with SiLU between its layers, under the reference code's names.
pub struct FreeEnergy {
    layers: Vec<Linear>,
}

impl FreeEnergy {
    pub fn new(scope: Scope, widths: &[i64]) -> Self {
        let sizes: Vec<i64> = [&[1], widths, &[1]].concat();
        let layer =
            |(i, pair): (usize, &[i64])| Linear::new(scope.sub("net").sub(2 * i), pair[0], pair[1], Init::PyTorch);
        Self { layers: sizes.windows(2).enumerate().map(layer).collect() }
    }

    /// `F(t)` and its derivative at times `[B]`, `[B]` each and both differentiable in the parameters.
    ///
    /// The derivative rides along with the value, so it costs no backward pass of its own.
    pub fn forward(&self, t: &Tensor) -> (Tensor, Tensor) {
        let (mut y, mut slope) = (t.unsqueeze(1).to_kind(self.layers[0].weight.kind()), Tensor::new());
        for (i, layer) in self.layers.iter().enumerate() {
            slope = if i == 0 {
                layer.weight.tr().expand([y.size()[0], -1], false)
            } else {
                slope.matmul(&layer.weight.tr())
            };
            y = layer.forward(&y);
            if i + 1 < self.layers.len() {
                // silu' = s (1 + u (1 - s)) with s the sigmoid.
                let gate = y.sigmoid();
                let bend = &gate * (&y * (1.0 - &gate) + 1.0);
                (y, slope) = (y * gate, slope * bend);
            }
        }
        (y.squeeze_dim(1), slope.squeeze_dim(1))
    }
}
