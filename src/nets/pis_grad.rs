//! The path-integral-sampler network (Zhang and Chen, 2022) as the bridge-sampler codes have it: 39,316 parameters at
//! d = 10, hidden 64, two layers, all of them used. Its GELU is flax's tanh form.

use tch::Tensor;

use super::control::{Control, OUTPUT_CLIP, add_guide};
use super::linear::Linear;
use super::time_embed::Fourier;
use crate::torch::gelu::gelu_first_order as gelu;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Weights of output layers: nearly zero, so that the untrained control is (flax's constant initialiser).
const OUTPUT_WEIGHT: Init = Init::Constant(1e-8);

pub struct PisGrad {
    fourier: Fourier,
    time: [Linear; 2],
    /// The first layer acts on `[x, time]`; its two blocks are kept apart so that time is multiplied once a step.
    first_state: Tensor,
    first_time: Tensor,
    first_bias: Tensor,
    hidden: Vec<Linear>,
    output: Linear,
    gain: Option<Vec<Linear>>,
}

impl PisGrad {
    /// `gain_bias: None` leaves the gain head out.
    pub fn new(scope: Scope, dim: i64, num_steps: i64, width: i64, layers: i64, gain_bias: Option<f64>) -> Self {
        let mut net = Self::with_output(scope.clone(), dim, dim, num_steps, width, layers);
        let features = net.fourier.dim();
        net.gain = gain_bias.map(|b| gain_head(scope.sub("time_coder_grad"), features, width, layers, dim, b));
        net
    }

    /// The state head alone, with `out` outputs.
    pub(super) fn with_output(scope: Scope, dim: i64, out: i64, num_steps: i64, width: i64, layers: i64) -> Self {
        let flax = Init::LecunNormal;
        let fourier = Fourier::new(scope.clone(), width, num_steps);
        let coder = scope.sub("time_coder_state");
        let time =
            [Linear::new(coder.sub(0), fourier.dim(), width, flax), Linear::new(coder.sub(1), width, width, flax)];
        let state = scope.sub("state_time_net");
        let first = flax.weight(width, dim + width);
        let first_state = state.sub(0).parameter("weight_state", first.narrow(1, 0, dim));
        let first_time = state.sub(0).parameter("weight_time", first.narrow(1, dim, width));
        let first_bias = state.sub(0).parameter("bias", flax.bias(width, dim + width));
        let hidden = (1..layers).map(|i| Linear::new(state.sub(i), width, width, flax)).collect();
        let output = Linear::new(state.sub(layers), width, out, OUTPUT_WEIGHT);
        Self { fourier, time, first_state, first_time, first_bias, hidden, output, gain: None }
    }
}

fn gain_head(scope: Scope, features: i64, width: i64, layers: i64, dim: i64, bias: f64) -> Vec<Linear> {
    let mut head = vec![Linear::new(scope.sub(0), features, width, Init::LecunNormal)];
    head.extend((1..=layers).map(|i| Linear::new(scope.sub(i), width, width, Init::LecunNormal)));
    let last = Linear::new(scope.sub(layers + 1), width, dim, OUTPUT_WEIGHT);
    let _guard = tch::no_grad_guard();
    let _ = last.bias.detach().fill_(bias);
    head.push(last);
    head
}

impl Control for PisGrad {
    fn time_tables(&self) -> Vec<Tensor> {
        let features = self.fourier.features(); // [T+1, 2F]
        let time = self.time[1].forward(&gelu(&self.time[0].forward(&features)));
        let first = time.linear(&self.first_time, Some(&self.first_bias)); // [T+1, H]
        let mut tables = vec![first.unsqueeze(1)];
        if let Some([input, hidden @ .., output]) = self.gain.as_deref() {
            // As published, GELU stands before each hidden layer and not before the output.
            let h = hidden.iter().fold(input.forward(&features), |h, layer| layer.forward(&gelu(&h)));
            tables.push(output.forward(&h).unsqueeze(1)); // [T+1, 1, D]
        }
        tables
    }

    fn guided(&self) -> bool {
        self.gain.is_some()
    }

    fn control(&self, rows: &[Tensor], x: &Tensor, guide: Option<&Tensor>) -> Tensor {
        // One step's time features are a bias like any other: one pass over the rows less.
        let first = match x.size()[0] {
            1 => x.linear(&self.first_state, Some(&rows[0].view([-1]))),
            _ => x.matmul(&self.first_state.tr()) + &rows[0],
        };
        let mut h = gelu(&first); // [J, N, H]
        for layer in &self.hidden {
            h = gelu(&layer.forward(&h));
        }
        let head = self.output.forward(&h).clamp(-OUTPUT_CLIP, OUTPUT_CLIP); // [J, N, D]
        add_guide(head, rows.get(1), guide)
    }
}
