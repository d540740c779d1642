//! Gibbs chains on an energy model of bits, many at once as tensors, and annealed importance sampling by them.
//!
//! Unlike the kernels of pairs, these draw from libtorch's generator.

use tch::{Device, Kind, Tensor};

use crate::targets::lattice::energy::Energy;

/// Rows that are evaluated at once: the activations of one piece stay in the cache.
const PIECE: i64 = 1024;

/// Every site of every row in turn drawn given the others under `beta log_prob`: `[N, D]` u8 -> `[N, D]` u8.
pub fn sweep(energy: &Energy, x: &Tensor, beta: f64) -> Tensor {
    let _guard = tch::no_grad_guard();
    let parts: Vec<Tensor> = x.split(PIECE, 0).iter().map(|x| sweep_piece(energy, x, beta)).collect();
    Tensor::cat(&parts, 0)
}

fn sweep_piece(energy: &Energy, x: &Tensor, beta: f64) -> Tensor {
    let x = x.to_device(energy.device()).to_kind(Kind::Float).copy(); // [N, D]
    let mut now = energy.log_prob(&x); // [N]
    for site in 0..energy.sites() {
        let mut bit = x.select(1, site); // [N], a view
        let old = bit.copy();
        bit.copy_(&(1.0 - &old));
        let then = energy.log_prob(&x);
        let taken = now.rand_like().lt_tensor(&((&then - &now) * beta).sigmoid());
        now = then.where_self(&taken, &now);
        let new = bit.where_self(&taken, &old);
        bit.copy_(&new);
    }
    x.to_kind(Kind::Uint8).to_device(Device::Cpu)
}

/// Weighted states of the model: `[N, D]` u8 and log-weights `[N]` f64 whose mean exponential estimates Z.
///
/// Rows start uniform and go through the laws `k / levels log_prob`, a sweep at each but the last (Neal, "Annealed
/// importance sampling", 2001). One level is importance sampling by uniform states.
pub fn annealed(energy: &Energy, rows: i64, levels: i64) -> (Tensor, Tensor) {
    let _guard = tch::no_grad_guard();
    let sites = energy.sites();
    let (mut states, mut weights) = (Vec::new(), Vec::new());
    for start in (0..rows).step_by(PIECE as usize) {
        let mut x = Tensor::randint(2, [PIECE.min(rows - start), sites], (Kind::Uint8, Device::Cpu));
        let mut log_weight = energy.log_prob_of(&x) / levels as f64 + sites as f64 * std::f64::consts::LN_2; // [N]
        for level in 1..levels {
            x = sweep(energy, &x, level as f64 / levels as f64);
            log_weight += energy.log_prob_of(&x) / levels as f64;
        }
        states.push(x);
        weights.push(log_weight);
    }
    (Tensor::cat(&states, 0), Tensor::cat(&weights, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::weights::log_mean_exp;
    use crate::targets::lattice::energy::EnergyConfig;
    use crate::torch::params::Params;

    /// A perceptron of 6 bits with all its states and probabilities.
    fn example() -> (Energy, Tensor, Tensor, f64) {
        tch::manual_seed(3);
        let params = Params::new(Kind::Float, Device::Cpu);
        let energy = EnergyConfig::Mlp { hidden: vec![8] }.build(&params.root(), 6);
        let _guard = tch::no_grad_guard();
        params.named().iter().for_each(|(_, p)| drop(p.shallow_clone().g_add_(&(p.randn_like() * 1.5))));
        let codes = Tensor::arange(64, (Kind::Int64, Device::Cpu)).unsqueeze(1);
        let all = codes.bitwise_right_shift(&Tensor::arange(6, (Kind::Int64, Device::Cpu))).bitwise_and(1);
        let log_prob = energy.log_prob_of(&all);
        let log_z = log_prob.logsumexp([0i64].as_slice(), false).double_value(&[]);
        let p = log_prob.softmax(0, Kind::Double);
        (energy, all, p, log_z)
    }

    /// Shares of the 64 states among rows.
    fn shares(x: &Tensor, weights: Option<&Tensor>) -> Tensor {
        let powers = Tensor::from_slice(&[1i64, 2, 4, 8, 16, 32]);
        let code = (x.to_kind(Kind::Int64) * powers).sum_dim_intlist(1, false, Kind::Int64);
        let counts = code.bincount(weights, 64).to_kind(Kind::Double);
        &counts / counts.sum(Kind::Double)
    }

    #[test]
    fn sweeps_leave_the_law_as_it_is_and_lead_to_it() {
        let (energy, _, p, _) = example();
        let mut x = Tensor::zeros([40_000, 6], (Kind::Uint8, Device::Cpu));
        (0..30).for_each(|_| x = sweep(&energy, &x, 1.0));
        let apart = (shares(&x, None) - &p).abs().sum(Kind::Double).double_value(&[]);
        // The expected distance of 40,000 independent draws is about sqrt(2 * 64 / (pi * 40,000)) = 0.032 at most.
        assert!(apart < 0.05, "{apart}");
    }

    #[test]
    fn annealed_weights_are_of_the_law_at_any_number_of_levels() {
        let (energy, _, p, log_z) = example();
        for levels in [1, 8] {
            let (x, log_weight) = annealed(&energy, 80_000, levels);
            let found = log_mean_exp(&Vec::<f64>::try_from(&log_weight).unwrap());
            assert!((found - log_z).abs() < 0.1, "{levels}: {found}, expected {log_z}");
            let apart = (shares(&x, Some(&log_weight.softmax(0, Kind::Double))) - &p).abs().sum(Kind::Double);
            assert!(apart.double_value(&[]) < 0.15, "{levels}: {apart:?}");
        }
    }
}
