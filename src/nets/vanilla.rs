//! The "vanilla" network of the "Rethinking Losses" code: an encoder, then two residual LayerNorm backbones, one for an
//! additive head and one for a per-coordinate gain on the guide.

use tch::Tensor;

use super::control::{Control, OUTPUT_CLIP, add_guide};
use super::linear::{LayerNorm, Linear};
use super::time_embed::sinusoidal;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// flax's default epsilon.
const LAYER_NORM_EPS: f64 = 1e-6;

pub struct Vanilla {
    encoder: Linear,
    encoder_norm: LayerNorm,
    features: Tensor,
    head: Backbone,
    gain: Option<Backbone>,
}

/// Layers on `[encoded x, time features]`, ending in a layer that starts at zero.
struct Backbone {
    first_state: Tensor,
    first_time: Tensor,
    first_bias: Tensor,
    layers: Vec<Linear>,
    norms: Vec<LayerNorm>,
    output: Linear,
}

impl Vanilla {
    pub fn new(scope: Scope, dim: i64, num_steps: i64, width: i64, layers: i64, guide: bool) -> Self {
        let features = sinusoidal(64, num_steps, scope.kind(), scope.device());
        let encoder = Linear::new(scope.sub("encoder"), dim, width, Init::HeNormal);
        let encoder_norm = LayerNorm::new(scope.sub("encoder_norm"), width, LAYER_NORM_EPS);
        let size = (features.size()[1], width, layers, dim);
        let head = Backbone::new(scope.sub("head"), size);
        let gain = guide.then(|| Backbone::new(scope.sub("gain"), size));
        Self { encoder, encoder_norm, features, head, gain }
    }
}

impl Backbone {
    fn new(scope: Scope, (features, width, layers, dim): (i64, i64, i64, i64)) -> Self {
        let first = Init::HeNormal.weight(width, width + features);
        let zero = scope.sub("layers").sub(0);
        let first_state = zero.parameter("weight_state", first.narrow(1, 0, width));
        let first_time = zero.parameter("weight_time", first.narrow(1, width, features));
        let first_bias = zero.parameter("bias", Init::HeNormal.bias(width, width + features));
        let layer = |i| Linear::new(scope.sub("layers").sub(i), width, width, Init::HeNormal);
        let norm = |i| LayerNorm::new(scope.sub("norms").sub(i), width, LAYER_NORM_EPS);
        let (layers, norms) = ((1..layers).map(layer).collect(), (0..layers).map(norm).collect());
        let output = Linear::new(scope.sub("output"), width, dim, Init::Constant(0.0));
        Self { first_state, first_time, first_bias, layers, norms, output }
    }

    fn time_table(&self, features: &Tensor) -> Tensor {
        features.linear(&self.first_time, Some(&self.first_bias)).unsqueeze(1) // [T+1, 1, H]
    }

    fn forward(&self, encoded: &Tensor, time_row: &Tensor) -> Tensor {
        let first = (encoded.matmul(&self.first_state.tr()) + time_row).relu();
        let mut h = self.norms[0].forward(&first);
        for (layer, norm) in self.layers.iter().zip(&self.norms[1..]) {
            h = norm.forward(&(layer.forward(&h).relu() + &h));
        }
        self.output.forward(&h)
    }
}

impl Control for Vanilla {
    fn time_tables(&self) -> Vec<Tensor> {
        let backbones = std::iter::once(&self.head).chain(&self.gain);
        backbones.map(|backbone| backbone.time_table(&self.features)).collect()
    }

    fn guided(&self) -> bool {
        self.gain.is_some()
    }

    fn control(&self, rows: &[Tensor], x: &Tensor, guide: Option<&Tensor>) -> Tensor {
        let encoded = self.encoder_norm.forward(&self.encoder.forward(x)).relu();
        let head = self.head.forward(&encoded, &rows[0]);
        let gain = match (&self.gain, guide) {
            (Some(backbone), Some(_)) => Some(backbone.forward(&encoded, &rows[1])),
            _ => None,
        };
        add_guide(head, gain.as_ref(), guide).clamp(-OUTPUT_CLIP, OUTPUT_CLIP)
    }
}
