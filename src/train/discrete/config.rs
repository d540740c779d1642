//! The config of a discrete law and of chains on it.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::buffer::BufferConfig;
use super::horizon::HorizonConfig;
use crate::bad_input;
use crate::config::check;
use crate::config::load::{Loaded, load};
use crate::losses::kolmogorov::ResidualLoss;
use crate::nets::RateNetConfig;
use crate::samplers::discrete::{CtmcConfig, GridConfig, Weights};
use crate::samplers::mcmc::lattice::{KernelConfig, tempering};
use crate::targets::lattice::LatticeConfig;
use crate::train::TrainConfig;
use crate::train::lr_schedule::LrSchedule;

/// A law, how to run chains on it, and how to learn a process that samples it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscreteConfig {
    pub target: LatticeConfig,
    #[serde(default)]
    pub mcmc: McmcConfig,
    #[serde(default)]
    pub seed: u64,
    #[serde(default)]
    pub net: RateNetConfig,
    #[serde(default)]
    pub loss: ResidualLoss,
    /// How states to train on are simulated.
    #[serde(default = "training_rollout")]
    pub rollout: CtmcConfig,
    /// How far these go; all the way on even times where left out. Needs a loss of type `pinn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<HorizonConfig>,
    #[serde(default)]
    pub buffer: BufferConfig,
    /// How samples are drawn and weighed.
    #[serde(default)]
    pub sampler: CtmcConfig,
    /// Laws to pass through before the target, each from the update `step` on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<Rung>,
    /// What training needs to know; no other verb asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<TrainConfig>,
    #[serde(default)]
    pub eval: EvalConfig,
}

/// From the update `step` on, the target has this beta and training this rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    pub step: u64,
    pub beta: f64,
    pub learning_rate: f64,
}

/// The `eval:` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Samples of an evaluation.
    pub samples: i64,
    /// The last evaluation draws so many sets of samples: its figures are of all together, `ess` is their mean with a
    /// standard error.
    pub repeats: i64,
    /// Whether the last evaluation runs the chains of `mcmc:` and measures the discrepancy of samples from theirs.
    pub mmd: bool,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self { samples: 2048, repeats: 10, mmd: false }
    }
}

fn training_rollout() -> CtmcConfig {
    CtmcConfig::Euler(GridConfig { weights: Weights::Left, ..GridConfig::default() })
}

impl DiscreteConfig {
    /// Loads a config and checks what can be checked without building.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Loaded<Self>> {
        let loaded = load::<Self>(path, overrides)?;
        loaded.value.validate().map_err(|error| loaded.locate(error))?;
        Ok(loaded)
    }

    /// The same, or `None` if the target's type is none of discrete laws.
    pub fn load_if_discrete(path: &Path, overrides: &[String]) -> Result<Option<Loaded<Self>>> {
        let any = load::<serde_json::Value>(path, overrides)?.value;
        let discrete = any["target"]["type"].as_str().is_some_and(|name| LatticeConfig::TYPES.contains(&name));
        if discrete { Self::load(path, overrides).map(Some) } else { Ok(None) }
    }

    fn validate(&self) -> Result<()> {
        self.mcmc.validate()?;
        self.net.validate()?;
        self.rollout.validate("rollout")?;
        self.sampler.validate("sampler")?;
        self.buffer.validate()?;
        check::in_range("eval.samples", self.eval.samples, 2, 100_000_000)?;
        check::in_range("eval.repeats", self.eval.repeats, 1, 10_000)?;
        if self.rollout.grid().is_none_or(|(_, grid)| grid.weights == Weights::Midpoint) {
            return Err(bad_input!(
                "'rollout' must have a time grid and look at its times (type euler or tau_leap, weights other than \
                 midpoint): that is where c_t is taken"
            ));
        }
        if let Some(horizon) = &self.horizon {
            horizon.validate()?;
            if !matches!(self.loss, ResidualLoss::Pinn { .. }) {
                // The others take c_t from rollouts that share their times.
                return Err(bad_input!("'horizon' needs loss.type pinn, whose c_t is a network of time"));
            }
        }
        if let Some(train) = &self.train {
            train.validate()?;
            self.loss.validate(train.batch)?;
        }
        self.check_ladder()
    }

    fn check_ladder(&self) -> Result<()> {
        for (k, rung) in self.ladder.iter().enumerate() {
            check::finite(&format!("ladder.{k}.beta"), rung.beta)?;
            check::positive(&format!("ladder.{k}.learning_rate"), rung.learning_rate)?;
        }
        for (k, pair) in self.ladder.windows(2).enumerate() {
            let keys = [k, k + 1].map(|k| format!("ladder.{k}.step"));
            check::ordered(&keys[0], pair[0].step, &keys[1], pair[1].step)?;
        }
        let Some((first, last)) = self.ladder.first().zip(self.ladder.last()) else { return Ok(()) };
        check::in_range("ladder.0.step", first.step, 0, 0)?;
        match self.target.beta() {
            Some(beta) if beta == last.beta => Ok(()),
            Some(beta) => {
                let key = format!("ladder.{}.beta", self.ladder.len() - 1);
                Err(bad_input!("'{key}' must be target.beta, {beta}, found {}", last.beta))
            }
            None => Err(bad_input!("'ladder' needs a target with a beta, which this one has not")),
        }
    }

    /// The `train:` section with the ladder's rates in it.
    ///
    /// # Errors
    /// If there is none.
    pub fn training(&self) -> Result<TrainConfig> {
        let mut train = self.train.clone().ok_or_else(|| bad_input!("no 'train:' section, which training needs"))?;
        if !self.ladder.is_empty() {
            let factor = |rung: &Rung| (rung.step, rung.learning_rate / train.learning_rate);
            let warmup = if let LrSchedule::Warmup { steps, .. } = train.schedule { steps } else { 0 };
            train.schedule = LrSchedule::Pieces { warmup, factors: self.ladder.iter().map(factor).collect() };
        }
        Ok(train)
    }

    /// The rung that update `step` stands on, if there is a ladder.
    pub fn rung(&self, step: u64) -> Option<&Rung> {
        self.ladder.iter().rev().find(|rung| rung.step <= step)
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
    /// Sweeps between checkpoints, burn-in included; a tenth of all where left out. All measurements are in each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<i64>,
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
            checkpoint_every: None,
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
        self.checkpoint_every.map_or(Ok(()), |every| check::at_least("mcmc.checkpoint_every", every, 1))?;
        tempering::check_factors("mcmc.tempering", &self.tempering)
    }

    /// Sweeps of each chain in all.
    pub fn total(&self) -> i64 {
        self.burn_in + self.sweeps
    }

    pub fn checkpoint_every(&self) -> i64 {
        self.checkpoint_every.unwrap_or((self.total() / 10).max(1))
    }
}
