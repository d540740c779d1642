//! Sub-trajectory balance (Madan et al., 2023) as the GFlowNet samplers use it.

use tch::{Kind, Tensor};

use super::PathWeights;

/// Squared imbalances `(F_i - F_j + Σ_{i≤k<j} (log F_k - log B_k))²` of all sub-paths `i < j`, weighted by `λ^(j-i)`
/// (normalised to one), averaged over the batch.
///
/// `step_log_ratio` is `log F_k - log B_k`, `[T, N]`; `log_flow` is `[T + 1, N]` with `log γ(x_T)` in its last row.
/// Row 0 holds the flow at the start *including* the prior's density, so that `i = 0, j = T` is trajectory balance.
pub fn sub_trajectory_balance(step_log_ratio: &Tensor, log_flow: &Tensor, lambda: f64) -> PathWeights {
    let (steps, n) = (step_log_ratio.size()[0], step_log_ratio.size()[1] as f64);
    let options = (Kind::Double, step_log_ratio.device());
    // With C_k = Σ_{i<k} log ratio, an imbalance is (F_i - C_i) - (F_j - C_j): differences of one vector per path.
    let zero = Tensor::zeros([1, step_log_ratio.size()[1]], options);
    let cumulative = Tensor::cat(&[zero, step_log_ratio.cumsum(0, Kind::Double)], 0);
    let potential = log_flow - cumulative; // [T+1, N]
    let pairs = pair_weights(steps + 1, lambda).to_device(step_log_ratio.device()); // symmetric, [T+1, T+1]
    let row_sums = pairs.sum_dim_intlist(1, false, Kind::Double).unsqueeze(1);
    let mixed = pairs.matmul(&potential);
    // Σ_{i<j} w (p_i - p_j)² = Σ_i s_i p_i² - Σ_i p_i (W p)_i for symmetric W; its derivative is 2 (s p - W p).
    let derivative = (&row_sums * &potential - &mixed) * (2.0 / n);
    let value = (&derivative * &potential).sum(Kind::Double).double_value(&[]) * 0.5;
    // d potential_j / d ratio_k = -1 for j > k: a reversed running sum.
    let tail = derivative.flip([0]).cumsum(0, Kind::Double).flip([0]);
    let on_ratio = -tail.narrow(0, 1, steps); // [T, N]
    // The last row is the target's density, not a learned flow.
    let learned = Tensor::cat(&[derivative.narrow(0, 0, steps), derivative.narrow(0, steps, 1).zeros_like()], 0);
    PathWeights {
        value,
        log_backward: -&on_ratio,
        log_forward: on_ratio,
        log_prior: derivative.select(0, 0),
        log_z: None,
        log_flow: Some(learned),
    }
}

/// Symmetric weights with `Σ_{i<j} w_ij = 1`, `w_ij ∝ λ^(j-i)`; formed in logs, as λ^T overflows for long chains.
fn pair_weights(states: i64, lambda: f64) -> Tensor {
    let index = Tensor::arange(states, (Kind::Double, tch::Device::Cpu));
    let distance = (index.unsqueeze(0) - index.unsqueeze(1)).abs();
    let log_weight = distance * lambda.ln();
    let above = Tensor::ones_like(&log_weight).triu(1);
    let masked = log_weight.masked_fill(&above.eq(0.0), f64::NEG_INFINITY);
    let upper = (&masked - masked.view([-1]).logsumexp([0], false)).exp();
    &upper + upper.tr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn values_and_weights_are_those_of_the_double_sum() {
        let options = (Kind::Double, Device::Cpu);
        let ratio = Tensor::linspace(-1.0, 2.0, 8, options).view([4, 2]).set_requires_grad(true);
        let flow = Tensor::linspace(3.0, -2.0, 10, options).view([5, 2]).set_requires_grad(true);
        let lambda: f64 = 2.0;
        let (mut loss, mut norm) = (Tensor::zeros([], options), 0.0);
        for i in 0..5i64 {
            for j in i + 1..5 {
                let path = ratio.narrow(0, i, j - i).sum_dim_intlist(0, false, Kind::Double);
                let imbalance = flow.select(0, i) - flow.select(0, j) + path;
                let w = lambda.powi((j - i) as i32);
                norm += w;
                loss += imbalance.square().mean(Kind::Double) * w;
            }
        }
        let loss = loss / norm;
        let weights = sub_trajectory_balance(&ratio.detach(), &flow.detach(), lambda);
        assert!((weights.value - loss.double_value(&[])).abs() < 1e-10);
        let grads = crate::torch::autograd::grad(&loss, &[&ratio, &flow], false);
        let near = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]) < 1e-10;
        let on_flow = weights.log_flow.unwrap();
        assert!(near(&grads[0], &weights.log_forward) && near(&grads[1].narrow(0, 0, 4), &on_flow.narrow(0, 0, 4)));
        assert_eq!(on_flow.select(0, 4).abs().max().double_value(&[]), 0.0);
    }
}
