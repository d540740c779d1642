//! The config of a family of graphs and of what is learned on it.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::nets::legf::LegfConfig;
use crate::samplers::discrete::{CtmcConfig, GridConfig, Weights};
use crate::targets::lattice::graphs::Problem;
use crate::train::TrainConfig;

/// A problem, graphs to learn it on and graphs to be judged by.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphsConfig {
    pub problem: Problem,
    pub graphs: Family,
    /// Numbers of random graphs.
    #[serde(default = "thousand")]
    pub train_graphs: i64,
    #[serde(default = "hundred")]
    pub test_graphs: i64,
    #[serde(default)]
    pub anneal: Anneal,
    #[serde(default)]
    pub net: LegfConfig,
    /// How states to train on are simulated.
    #[serde(default = "training_rollout")]
    pub rollout: CtmcConfig,
    #[serde(default)]
    pub buffer: BufferConfig,
    /// How answers are drawn.
    #[serde(default)]
    pub sampler: CtmcConfig,
    /// Answers drawn for each graph.
    #[serde(default = "ten")]
    pub samples: i64,
    #[serde(default)]
    pub seed: u64,
    pub train: TrainConfig,
}

/// Where graphs come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Family {
    /// Every pair an edge with the given probability; from the first to the second number of nodes.
    ErdosRenyi { nodes: [i64; 2], probability: f64 },
    /// Preferential attachment.
    BarabasiAlbert { nodes: [i64; 2], attachments: i64 },
    /// Xu's model RB: from the first to the second number of nodes, `clique_size` of them to a clique.
    RbModel { nodes: [i64; 2], clique_size: i64, tightness: f64 },
    /// Files in the format of the Gset, to train and to be judged on alike.
    Gset { paths: Vec<PathBuf> },
}

/// The inverse temperature, from `first` at the first update along a geometric line to `last` at the fraction `until` of
/// all updates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anneal {
    pub first: f64,
    pub last: f64,
    pub until: f64,
}

impl Default for Anneal {
    fn default() -> Self {
        Self { first: 0.1, last: 5.0, until: 0.7 }
    }
}

impl Anneal {
    pub fn beta(&self, step: u64, steps: u64) -> f64 {
        let place = (step as f64 / (self.until * steps as f64).max(1.0)).min(1.0);
        self.first * (self.last / self.first).powf(place)
    }
}

/// Simulated states that batches are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BufferConfig {
    /// Graphs of a rollout, and walkers on each of them, which stay together in batches: a divisor of `train.batch`.
    pub graphs: i64,
    pub walkers: i64,
    /// Updates between rollouts.
    pub every: u64,
    /// Rollouts that are kept.
    pub rollouts: i64,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { graphs: 16, walkers: 16, every: 50, rollouts: 4 }
    }
}

fn thousand() -> i64 {
    1000
}

fn hundred() -> i64 {
    100
}

fn ten() -> i64 {
    10
}

fn training_rollout() -> CtmcConfig {
    CtmcConfig::Euler(GridConfig { weights: Weights::Left, ..GridConfig::default() })
}

impl GraphsConfig {
    pub fn validate(&self) -> Result<()> {
        self.graphs.validate()?;
        check::in_range("train_graphs", self.train_graphs, 1, 1 << 20)?;
        check::in_range("test_graphs", self.test_graphs, 1, 1 << 20)?;
        check::in_range("samples", self.samples, 1, 1 << 20)?;
        check::positive("anneal.first", self.anneal.first)?;
        check::positive("anneal.last", self.anneal.last)?;
        check::in_range("anneal.until", self.anneal.until, 0.0, 1.0)?;
        if let Problem::IndependentSet { penalty } = self.problem {
            check::non_negative("problem.penalty", penalty)?;
        }
        self.net.validate()?;
        self.rollout.validate("rollout")?;
        self.sampler.validate("sampler")?;
        for (key, sampler) in [("rollout", &self.rollout), ("sampler", &self.sampler)] {
            if sampler.grid().is_none() {
                return Err(bad_input!("'{key}.type' must be euler or tau_leap for graphs, whose sizes differ"));
            }
        }
        check::in_range("buffer.graphs", self.buffer.graphs, 1, 1 << 16)?;
        check::in_range("buffer.walkers", self.buffer.walkers, 2, 1 << 16)?;
        check::at_least("buffer.every", self.buffer.every, 1)?;
        check::in_range("buffer.rollouts", self.buffer.rollouts, 1, 10_000)?;
        self.train.validate()?;
        check::multiple_of("train.batch", self.train.batch as u64, self.buffer.walkers as u64)
    }
}

/// Most nodes of a graph that a network attends over.
const MOST_NODES: i64 = 20_000;

impl Family {
    fn validate(&self) -> Result<()> {
        let (Self::ErdosRenyi { nodes, .. } | Self::BarabasiAlbert { nodes, .. } | Self::RbModel { nodes, .. }) = self
        else {
            return Ok(());
        };
        check::in_range("graphs.nodes.0", nodes[0], 2, MOST_NODES)?;
        check::in_range("graphs.nodes.1", nodes[1], nodes[0], MOST_NODES)?;
        match self {
            Self::ErdosRenyi { probability, .. } => check::probability("graphs.probability", *probability),
            Self::BarabasiAlbert { attachments, .. } => {
                check::in_range("graphs.attachments", *attachments, 1, nodes[0] - 1)
            }
            Self::RbModel { clique_size, tightness, .. } => {
                check::in_range("graphs.clique_size", *clique_size, 2, nodes[0] / 2)?;
                check::positive("graphs.tightness", *tightness)?;
                check::probability("graphs.tightness", *tightness)
            }
            Self::Gset { .. } => Ok(()),
        }
    }
}
