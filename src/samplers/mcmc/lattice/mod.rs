//! Markov chains on discrete states: single sites, clusters, exchange of temperatures.
//!
//! | file | kernels |
//! |---|---|
//! | [`site`] | Gibbs (heat bath) and Metropolis |
//! | [`cluster`] | Swendsen-Wang and Wolff |
//! | [`tempering`] | parallel tempering around any of them |
//! | [`bits`] | Gibbs on energy models, and annealed importance sampling |
//!
//! A kernel changes a state in place and gives an [`Info`]. Its random numbers come from a ChaCha generator that the
//! caller seeds, so a chain repeats to the bit wherever it runs.

pub mod bits;
pub mod cluster;
pub mod site;
pub mod tempering;

use anyhow::Result;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::config::check;
use crate::targets::lattice::PairModel;
pub use tempering::Tempering;

/// What a sweep does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum KernelConfig {
    /// Every site in turn drawn from its conditional law.
    Gibbs,
    /// As many single-site proposals as there are sites, at random sites.
    Metropolis,
    /// Bonds drawn between like sites, every cluster drawn anew.
    SwendsenWang,
    /// So many single clusters, each grown from a random site.
    Wolff {
        #[serde(default = "one")]
        clusters: u32,
    },
}

fn one() -> u32 {
    1
}

impl KernelConfig {
    /// # Errors
    /// If the model is none that the kernel leaves invariant; `key` names the kernel in the config.
    pub fn build<'a>(&self, model: &'a PairModel, key: &str) -> Result<Box<dyn Kernel + 'a>> {
        Ok(match self {
            Self::Gibbs => Box::new(site::Gibbs::new(model)),
            Self::Metropolis => Box::new(site::Metropolis::new(model)),
            Self::SwendsenWang => Box::new(cluster::SwendsenWang::new(model, key)?),
            Self::Wolff { clusters } => {
                check::at_least(&format!("{key}.clusters"), *clusters, 1)?;
                Box::new(cluster::Wolff::new(model, *clusters, key)?)
            }
        })
    }
}

/// What a sweep tells besides the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Info {
    /// Sites whose state changed.
    pub changed: u64,
    /// Sites that were looked at with a view to changing them.
    pub visited: u64,
}

impl Info {
    pub fn add(&mut self, other: Info) {
        self.changed += other.changed;
        self.visited += other.visited;
    }
}

/// A transition that leaves a model's law invariant.
pub trait Kernel {
    fn sweep(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info;
}

/// Independent uniform states.
pub fn random_state(model: &PairModel, random: &mut ChaCha8Rng) -> Vec<u8> {
    (0..model.sites).map(|_| random.random_range(0..model.states) as u8).collect()
}

/// One state in proportion to `exp(logits)`.
fn draw(logits: &[f64], random: &mut ChaCha8Rng) -> usize {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| (logit - top).exp()).sum();
    let mut left = random.random::<f64>() * total;
    for (state, logit) in logits.iter().enumerate() {
        left -= (logit - top).exp();
        if left < 0.0 {
            return state;
        }
    }
    logits.len() - 1
}
