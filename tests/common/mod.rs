//! What several test files share.
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use sampler::samplers::DiffusionSampler;
use sampler::samplers::path::{Path, Tables};
use sampler::samplers::rollout::{Keep, Simulation, rollback, rollout};
use sampler::targets::Target;
use tch::{Device, Kind, Tensor};

/// A small non-Gaussian density on R^2 with coupled coordinates.
pub struct Quartic;

impl Target for Quartic {
    fn dim(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let (a, b) = (x.select(1, 0), x.select(1, 1));
        -(a.square() - 1.0).square() * 0.25 - (&b - &a * 0.5).square()
    }
}

/// Largest absolute difference of two tensors of one shape.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 { 0.0 } else { (a - b).abs().max().to_kind(Kind::Double).double_value(&[]) }
}

/// `n` paths of a sampler from libtorch's generator.
pub fn simulate(sampler: &DiffusionSampler, target: &dyn Target, n: i64, keep: Keep) -> Path {
    let tables = Tables::new(sampler);
    let noise = &mut || Tensor::randn([n, sampler.dim], (sampler.params.kind(), Device::Cpu));
    rollout(Simulation { tables: &tables, target, noise }, keep)
}

/// Paths simulated backwards from the given samples.
pub fn simulate_back(sampler: &DiffusionSampler, target: &dyn Target, samples: &Tensor) -> Path {
    let tables = Tables::new(sampler);
    let noise = &mut || samples.randn_like();
    rollback(Simulation { tables: &tables, target, noise }, samples)
}
