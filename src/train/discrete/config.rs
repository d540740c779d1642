//! The config of a discrete law and of chains on it.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::check;
use crate::config::load::{Loaded, load};
use crate::samplers::mcmc::lattice::{KernelConfig, tempering};
use crate::targets::lattice::LatticeConfig;

/// A law, and how to run chains on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscreteConfig {
    pub target: LatticeConfig,
    #[serde(default)]
    pub mcmc: McmcConfig,
    #[serde(default)]
    pub seed: u64,
}

impl DiscreteConfig {
    /// Loads a config and checks how chains are to run.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Loaded<Self>> {
        let loaded = load::<Self>(path, overrides)?;
        loaded.value.mcmc.validate().map_err(|error| loaded.locate(error))?;
        Ok(loaded)
    }

    /// The same, or `None` if the target's type is none of discrete laws.
    pub fn load_if_discrete(path: &Path, overrides: &[String]) -> Result<Option<Loaded<Self>>> {
        let any = load::<serde_json::Value>(path, overrides)?.value;
        let discrete = any["target"]["type"].as_str().is_some_and(|name| LatticeConfig::TYPES.contains(&name));
        if discrete { Self::load(path, overrides).map(Some) } else { Ok(None) }
    }
}

/// Independent chains, all alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McmcConfig {
    pub kernel: KernelConfig,
    pub chains: i64,
    /// Sweeps of each chain that are not measured, and sweeps that are.
    pub burn_in: i64,
    pub sweeps: i64,
    /// Sweeps between two measurements.
    pub every: i64,
    /// States of each chain that are kept, evenly spaced.
    pub samples: i64,
    /// At least so many blocks, all chains together, for the standard errors.
    pub blocks: i64,
    /// Parallel tempering: powers of the law, falling from 1. One chain a replica.
    pub tempering: Vec<f64>,
}

impl Default for McmcConfig {
    fn default() -> Self {
        let kernel = KernelConfig::Gibbs;
        Self {
            kernel,
            chains: 4,
            burn_in: 1000,
            sweeps: 10_000,
            every: 1,
            samples: 64,
            blocks: 100,
            tempering: vec![1.0],
        }
    }
}

impl McmcConfig {
    /// Most figures and most states that a chain may leave behind.
    const MOST: i64 = 10_000_000;

    pub fn validate(&self) -> Result<()> {
        check::in_range("mcmc.chains", self.chains, 1, 1 << 16)?;
        check::at_least("mcmc.burn_in", self.burn_in, 0)?;
        check::at_least("mcmc.every", self.every, 1)?;
        check::at_least("mcmc.sweeps", self.sweeps, self.every)?;
        check::at_most("mcmc.sweeps", self.sweeps / self.every, Self::MOST)?;
        check::in_range("mcmc.samples", self.samples, 1, self.sweeps / self.every)?;
        check::in_range("mcmc.blocks", self.blocks, 2, self.chains * (self.sweeps / self.every))?;
        tempering::check_factors("mcmc.tempering", &self.tempering)
    }
}
