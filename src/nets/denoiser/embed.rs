//! What a body is told beside the noisy point: noise level and class, as one vector.

use tch::Tensor;

use crate::nets::linear::Linear;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Frequencies of the noise level's sines and cosines.
const FREQUENCIES: i64 = 16;
/// The largest, in radians a unit of `c_noise`, whose range is about 3 wide; the least is a 64th of it.
const HIGHEST: f64 = 32.0;

/// Sines and cosines of `c_noise`, two layers, and a learned vector for each class.
pub struct Embedding {
    frequencies: Tensor, // [1, F]
    layers: [Linear; 2],
    classes: Option<Tensor>, // [K, E]
}

impl Embedding {
    pub fn new(scope: Scope, width: i64, classes: Option<i64>) -> Self {
        let options = (tch::Kind::Double, scope.device());
        let powers = Tensor::linspace(-6.0, 0.0, FREQUENCIES, options);
        let frequencies = (powers * 2f64.ln()).exp() * HIGHEST;
        let layer = |i, fan_in| Linear::new(scope.sub("level").sub(i), fan_in, width, Init::PyTorch);
        let layers = [layer(0, 2 * FREQUENCIES), layer(1, width)];
        // PyTorch's nn.Embedding starts standard normal; an order less keeps it beside the noise level's own.
        let normal = |count| Tensor::randn([count, width], (tch::Kind::Float, tch::Device::Cpu)) * 0.1;
        let classes = classes.map(|count| scope.parameter("classes", normal(count)));
        Self { frequencies: frequencies.unsqueeze(0).to_kind(scope.kind()), layers, classes }
    }

    /// `c_noise` `[N, 1]` or `[1, 1]`, labels `[N]` -> `[N, E]` or `[1, E]`, through a last SiLU.
    pub fn forward(&self, level: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let angle = level * &self.frequencies; // [N, F]
        let features = Tensor::cat(&[angle.sin(), angle.cos()], 1); // [N, 2 F]
        let embedded = self.layers[1].forward(&self.layers[0].forward(&features).silu());
        let embedded = match (&self.classes, labels) {
            (Some(classes), Some(labels)) => embedded + classes.index_select(0, labels),
            _ => embedded,
        };
        embedded.silu()
    }
}
