//! Langevin dynamics on function spaces with score priors, and the Metropolis chains that users know beside them.
//!
//! `dX = (S_θ(X) + C Aᵀ(y - A X)/σ²) dt + sqrt(2 C) dW` (Baldassari et al., arXiv 2505.18276), discretised by Euler. A
//! sampler is a [`Kernel`]: a function of state and noise. Where every mode is an autoregression by itself, [`affine`]
//! runs whole chains without a tensor.

pub mod affine;

pub mod langevin;
pub mod law;
pub mod learned;
pub mod mala;
pub mod pcn;
pub mod preconditioner;
pub mod record;
pub mod score;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use law::Law;
pub use preconditioner::{Preconditioner, PreconditionerConfig};
pub use record::{Plan, Record};
pub use score::{Score, ScoreConfig, ScoreError};

use crate::config::check;
use crate::targets::inverse::covariance::Empty;
use crate::targets::inverse::values::FileValues;

/// Randomness of one step of `N` chains.
pub struct Noise {
    /// Standard normals `[N, W]`.
    pub z: Tensor,
    /// Uniform on (0, 1), `[N]`; read by Metropolis chains.
    pub u: Tensor,
}

/// What a step tells besides the state.
pub struct Info {
    /// Share of the chains that moved, where they may refuse to.
    pub accepted: Option<f64>,
}

/// A Markov kernel on coordinates `[N, D]`.
pub trait Kernel {
    /// Width `W` of the noise.
    fn width(&self) -> i64;

    fn step(&self, x: &Tensor, noise: &Noise) -> (Tensor, Info);
}

/// The `sampler:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplerConfig {
    #[serde(default)]
    pub method: Method,
    /// Ignored by pCN, whose preconditioner is the prior.
    #[serde(default = "prior")]
    pub preconditioner: PreconditionerConfig,
    /// Step h; of pCN β in (0, 1].
    pub step: f64,
    #[serde(default = "thousand")]
    pub iterations: u64,
    /// Iterations before averages begin.
    #[serde(default)]
    pub burn_in: u64,
    /// Averages take every so many-th iteration.
    #[serde(default = "one")]
    pub thin: u64,
    #[serde(default = "one_chain")]
    pub chains: i64,
    #[serde(default)]
    pub start: Start,
    /// Lets a step run that is unstable for some mode.
    #[serde(default)]
    pub allow_unstable: bool,
    /// A file with the chains' noise, `z` [iterations, chains, D] (one chain: [iterations, D], D as a grid if one likes) and
    /// for Metropolis chains `u` [iterations, chains]; the whole trajectory is then written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseFile>,
}

/// How a chain moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Euler steps of the preconditioned dynamics, unadjusted.
    #[default]
    Langevin,
    /// The same steps, accepted or refused.
    Mala,
    /// The preconditioned Crank-Nicolson walk.
    Pcn,
}

/// Where chains start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Start {
    #[default]
    Zero,
    /// Draws of the reference Gaussian, or of the mixture.
    Prior(Empty),
    /// `[D]` or `[chains, D]` of a file.
    File(FileValues),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseFile {
    pub file: std::path::PathBuf,
    #[serde(default = "z")]
    pub key: String,
    #[serde(default = "u")]
    pub uniforms: String,
}

fn z() -> String {
    "z".to_string()
}

fn u() -> String {
    "u".to_string()
}

fn prior() -> PreconditionerConfig {
    PreconditionerConfig::Prior(Empty {})
}

fn thousand() -> u64 {
    1000
}

fn one() -> u64 {
    1
}

fn one_chain() -> i64 {
    1
}

impl SamplerConfig {
    pub fn validate(&self) -> Result<()> {
        match self.method {
            Method::Pcn => check::in_range("sampler.step", self.step, f64::MIN_POSITIVE, 1.0)?,
            _ => check::positive("sampler.step", self.step)?,
        }
        check::in_range("sampler.iterations", self.iterations, 1, 1_000_000_000)?;
        check::in_range("sampler.burn_in", self.burn_in, 0, self.iterations - 1)?;
        check::in_range("sampler.thin", self.thin, 1, self.iterations - self.burn_in)?;
        check::in_range("sampler.chains", self.chains, 1, 1_000_000)
    }
}
