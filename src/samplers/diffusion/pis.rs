//! Path integral sampler: controlled Brownian motion from the origin.

use super::config::Process;
use super::learned::{Learned, free_kernel};
use crate::processes::record::{Guide, Start};
use crate::processes::{Record, Rnd, schedule};
use tch::Kind;

/// Forward `x + σ_k u dt`, deviation `σ_k √dt`; the reference law is the same chain without `u`, whose end is
/// `N(0, s_T)`, `s_k = Σ_{i<k} σ_i² dt` (Zhang and Chen, 2022).
///
/// Backwards the reference is the Brownian bridge `N(x' s_k/s_{k+1}, σ_k² dt s_k/s_{k+1})`, which ends in the origin.
/// The guide is `t ∇log γ` with `t = k/T`, as in the "Beyond ELBOs" code.
pub fn record(process: &Process, learned: &Learned) -> Record {
    let steps = process.num_steps;
    let dt = 1.0 / steps as f64;
    let sigma = learned.table(&schedule::half_cosine(steps, process.noise)) * learned.log_noise.exp();
    let std = &sigma * dt.sqrt();
    let reached = std.square().cumsum(0, Kind::Double).to_kind(std.kind()); // s_1 .. s_T
    let before = &reached - std.square();
    let shrink = (before / &reached).clamp_min(0.0);
    let dim = learned.prior_mean.size()[0];
    let time = learned.table(&(0..=steps).map(|k| k as f64 * dt).collect::<Vec<_>>());
    Record {
        num_steps: steps,
        start: Start::Origin,
        forward: free_kernel(std.ones_like(), Some(&sigma * dt), std.shallow_clone()),
        backward: free_kernel(shrink.shallow_clone(), None, &std * shrink.sqrt()),
        guide: Some(Guide { state: None, constant: None, score: Some(time) }),
        rnd: Rnd::Girsanov {
            reference: free_kernel(std.ones_like(), None, std),
            log_volume: None,
            terminal_std: Some(reached.select(0, steps - 1).view([-1]).sqrt().expand([dim], false)),
        },
        prior_share: learned.prior_share().detach(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::diffusion::config::{Kind as Sampler, ProcessConfig};
    use crate::torch::params::Params;
    use tch::Device;

    #[test]
    fn the_bridge_ends_in_the_origin() {
        let config: ProcessConfig = serde_json::from_value(serde_json::json!({"type": "pis", "num_steps": 5})).unwrap();
        let process = config.resolve().unwrap();
        assert_eq!(process.kind, Sampler::Pis);
        let params = Params::new(Kind::Double, Device::Cpu);
        let record = record(&process, &Learned::new(&params.root(), &process, 3));
        assert!(record.backward.state.double_value(&[0, 0, 0]).abs() < 1e-12);
        assert!(record.backward.std.double_value(&[0, 0, 0]).abs() < 1e-12);
        let s: f64 = (0..5).map(|k| record.forward.std.double_value(&[k, 0, 0]).powi(2)).sum();
        let Rnd::Girsanov { terminal_std: Some(std), .. } = &record.rnd else { panic!("PIS has a terminal law") };
        assert!((std.double_value(&[2]).powi(2) - s).abs() < 1e-12);
    }
}
