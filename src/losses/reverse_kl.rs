//! Reverse KL by the log-derivative trick.

use tch::{Kind, Tensor};

use super::PathWeights;

/// `∇KL(q|p) = E_q[(R - b) ∇log q] - E_q[∇log p]` with the batch mean of `R` as baseline `b` ("Rethinking Losses for
/// Diffusion Bridge Samplers", section 3). The plain batch mean, as in the authors' code: no leave-one-out factor.
pub fn log_derivative(log_rnd: &Tensor) -> PathWeights {
    let n = log_rnd.size()[0] as f64;
    let mean = log_rnd.mean(Kind::Double);
    let weights = (log_rnd - &mean) / n;
    PathWeights {
        log_backward: Tensor::full_like(&weights.unsqueeze(0), -1.0 / n),
        ..PathWeights::balanced(mean.double_value(&[]), &weights)
    }
}
