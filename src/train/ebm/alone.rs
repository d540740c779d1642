//! Losses of a model without a sampler.

use tch::{Kind, Tensor};

use super::config::{Alone, Discrepancy, Importance};
use crate::targets::lattice::energy::Energy;

impl Alone {
    /// The loss of data `[B, D]` f32 with its graph, and the states that it looked at. Draws from libtorch's generator.
    pub fn loss(&self, energy: &Energy, data: &Tensor) -> (Tensor, u64) {
        match self {
            Self::EnergyDiscrepancy(method) => discrepancy(energy, data, method),
            Self::Importance(method) => importance(energy, data, method),
        }
    }
}

/// `log(w + sum over j of exp(f(x_j) - f(x))) - log M`, the x_j within two noisy flips of x.
fn discrepancy(energy: &Energy, x: &Tensor, method: &Discrepancy) -> (Tensor, u64) {
    let Discrepancy { flip, contrasts, stabiliser } = *method;
    let ((b, d), options) = ((x.size()[0], x.size()[1]), (Kind::Float, x.device()));
    let noise = |size: &[i64]| Tensor::rand(size, options).lt(flip).to_kind(Kind::Float);
    let flipped = |x: &Tensor, n: &Tensor| x + n - x * n * 2.0;
    let away = flipped(x, &noise(&[b, d])).unsqueeze(1); // [B, 1, D]
    let back = flipped(&away.expand([b, contrasts, d], false), &noise(&[b, contrasts, d]));

    let own = energy.log_prob(x).unsqueeze(1); // [B, 1]
    let gain = energy.log_prob(&back.reshape([-1, d])).view([b, contrasts]) - own;
    let floor = Tensor::full([b, 1], stabiliser.ln(), options);
    let loss =
        Tensor::cat(&[gain, floor], 1).logsumexp([1i64].as_slice(), false).mean(Kind::Float) - (contrasts as f64).ln();
    (loss, (b * (1 + contrasts)) as u64)
}

/// The negative log-likelihood of data, its log Z that of uniform states: too small on average, by half the variance.
fn importance(energy: &Energy, x: &Tensor, method: &Importance) -> (Tensor, u64) {
    let (states, d) = (method.states, x.size()[1]);
    let uniform = Tensor::randint(2, [states, d], (Kind::Float, x.device()));
    let all = energy.log_prob(&Tensor::cat(&[&uniform, x], 0)); // [M + B]
    let log_z = all.narrow(0, 0, states).logsumexp([0i64].as_slice(), false) - (states as f64).ln()
        + d as f64 * std::f64::consts::LN_2;
    let rows = x.size()[0];
    (log_z - all.narrow(0, states, rows).mean(Kind::Float), (states + rows) as u64)
}
