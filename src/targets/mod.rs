//! What is sampled: unnormalised densities on R^d, one density a file.
//!
//! A new density is one file with a config struct and an implementation of [`Target`], one line in the config enum
//! and its `build` match, and one YAML under `configs/density/`.

pub mod brownian;
pub mod double_well;
pub mod funnel;
pub mod gaussian;
pub mod gmm;
pub mod inspect;
pub mod inverse;
pub mod lattice;
pub mod lennard_jones;
pub mod lgcp;
pub mod logistic;
pub mod many_well;
pub mod mean_free;
pub mod mog;
pub mod molecule;
pub mod mos;
mod pairs;
pub mod phi4;
pub mod prng;
mod quartic;
mod regression_data;
pub mod seeds;
pub(crate) mod support;
pub mod toys;

use std::cell::Cell;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::torch::autograd;
pub use support::Broadcast;

/// Where and in which precision a target keeps its constants.
pub type Options = (Kind, Device);

/// An unnormalised density on R^d. Points are rows; rows never interact.
pub trait Target: Send {
    /// Number of coordinates, `D`.
    fn dim(&self) -> i64;

    /// log of the unnormalised density: `[N, D]` -> `[N]`. Differentiable in `x`.
    fn log_prob(&self, x: &Tensor) -> Tensor;

    /// Gradient of [`log_prob`](Target::log_prob): `[N, D]` -> `[N, D]`.
    ///
    /// Differentiable if `x` requires a gradient. The default differentiates `log_prob`; hot targets have a formula.
    fn score(&self, x: &Tensor) -> Tensor {
        autograd::value_and_grad(x, |x| self.log_prob(x)).1
    }

    /// Log of the normalising constant, where known.
    fn log_z(&self) -> Option<f64> {
        None
    }

    /// `n` exact (or trusted reference) samples `[n, D]` in the target's own kind and device, drawn from libtorch's
    /// global generator; `None` where no exact sampler exists.
    fn sample(&self, _n: i64) -> Option<Tensor> {
        None
    }

    /// Log-density of each mode's component, `[N, D]` -> `[N, K]`, where the target has modes to count.
    fn mode_log_probs(&self, _x: &Tensor) -> Option<Tensor> {
        None
    }

    /// Number of particles and spatial dimension where coordinates are particle positions, particle-major.
    fn particles(&self) -> Option<(i64, i64)> {
        None
    }

    /// The positions, in the units of the energy, that coordinates stand for: `[N, D]` -> `[N, P S]` for P particles in
    /// S dimensions. The coordinates themselves unless a density is wrapped ([`mean_free`]).
    fn positions(&self, x: &Tensor) -> Tensor {
        x.shallow_clone()
    }
}

/// Every density that a YAML can name, by its `type`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TargetConfig {
    Gaussian(gaussian::GaussianConfig),
    Funnel(funnel::FunnelConfig),
    Gmm40(gmm::GmmConfig),
    Mog10(mog::MogConfig),
    Mos10(mos::MosConfig),
    ManyWell(many_well::ManyWellConfig),
    Dw4(double_well::DoubleWellConfig),
    LennardJones(lennard_jones::LennardJonesConfig),
    Brownian(brownian::BrownianConfig),
    Seeds(seeds::SeedsConfig),
    Sonar(logistic::DataConfig),
    Ionosphere(logistic::DataConfig),
    Credit(logistic::CreditConfig),
    Cancer(logistic::DataConfig),
    Lgcp(lgcp::LgcpConfig),
    Phi4(phi4::Phi4Config),
    Molecule(molecule::MoleculeConfig),
    MeanFree(mean_free::MeanFreeConfig),
}

impl TargetConfig {
    /// Checks the parameters, reads data files where there are any, and puts the constants in `options`.
    ///
    /// Never touches libtorch's random generator.
    pub fn build(&self, options: Options) -> Result<Box<dyn Target>> {
        Ok(match self {
            Self::Gaussian(config) => Box::new(gaussian::Gaussian::new(config, options)?),
            Self::Funnel(config) => Box::new(funnel::Funnel::new(config, options)?),
            Self::Gmm40(config) => Box::new(gmm::Gmm::new(config, options)?),
            Self::Mog10(config) => Box::new(mog::Mog::new(config, options)?),
            Self::Mos10(config) => Box::new(mos::Mos::new(config, options)?),
            Self::ManyWell(config) => Box::new(many_well::ManyWell::new(config, options)?),
            Self::Dw4(config) => Box::new(double_well::DoubleWell::new(config, options)?),
            Self::LennardJones(config) => Box::new(lennard_jones::LennardJones::new(config, options)?),
            Self::Brownian(config) => Box::new(brownian::Brownian::new(config, options)?),
            Self::Seeds(config) => Box::new(seeds::Seeds::new(config, options)?),
            Self::Sonar(config) => Box::new(logistic::Logistic::sonar(config, options)?),
            Self::Ionosphere(config) => Box::new(logistic::Logistic::ionosphere(config, options)?),
            Self::Credit(config) => Box::new(logistic::Logistic::credit(config, options)?),
            Self::Cancer(config) => Box::new(logistic::Logistic::cancer(config, options)?),
            Self::Lgcp(config) => Box::new(lgcp::Lgcp::new(config, options)?),
            Self::Phi4(config) => Box::new(phi4::Phi4::new(config, options)?),
            Self::Molecule(config) => Box::new(molecule::Molecule::new(config, options)?),
            Self::MeanFree(config) => Box::new(mean_free::MeanFree::new(config, options)?),
        })
    }

    /// The molecule that is sampled, if it is one, in whatever coordinates.
    pub fn molecule(&self) -> Option<&molecule::MoleculeConfig> {
        match self {
            Self::Molecule(config) => Some(config),
            Self::MeanFree(config) => config.target.molecule(),
            _ => None,
        }
    }
}

/// How often a density was asked, in points (not in calls of a function).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub log_prob: u64,
    pub score: u64,
}

impl Calls {
    /// Density plus score evaluations: the cost figure `target_calls`.
    pub fn total(self) -> u64 {
        self.log_prob + self.score
    }
}

/// A target that counts how many points it was evaluated at.
pub struct Counted {
    inner: Box<dyn Target>,
    calls: Cell<Calls>,
}

impl Counted {
    pub fn new(inner: Box<dyn Target>) -> Self {
        Self { inner, calls: Cell::new(Calls::default()) }
    }

    pub fn calls(&self) -> Calls {
        self.calls.get()
    }

    /// Continues a count, as after a resume.
    pub fn set_calls(&self, calls: Calls) {
        self.calls.set(calls);
    }
}

impl Target for Counted {
    fn dim(&self) -> i64 {
        self.inner.dim()
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let mut calls = self.calls.get();
        calls.log_prob += x.size()[0] as u64;
        self.calls.set(calls);
        self.inner.log_prob(x)
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let mut calls = self.calls.get();
        calls.score += x.size()[0] as u64;
        self.calls.set(calls);
        self.inner.score(x)
    }

    fn log_z(&self) -> Option<f64> {
        self.inner.log_z()
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        self.inner.sample(n)
    }

    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        self.inner.mode_log_probs(x)
    }

    fn particles(&self) -> Option<(i64, i64)> {
        self.inner.particles()
    }

    fn positions(&self, x: &Tensor) -> Tensor {
        self.inner.positions(x)
    }
}
