//! Independent sets and cuts of graphs as laws on {0, 1}^nodes.
//!
//! | file | what |
//! |---|---|
//! | [`file`] | edge lists and the format of the Gset |
//! | [`random`] | the models of Erdős and Rényi, Barabási and Albert, and RB |
//! | [`batch`] | many graphs side by side, as networks are trained on them |
//! | [`distance`] | shortest paths |
//! | [`independent`] | largest independent sets by branch and bound |

pub mod batch;
pub mod distance;
pub mod file;
pub mod independent;
pub mod random;

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::super::Options;
use super::PairTarget;
use super::exact::maximum::maximum;
use super::pair::{Interaction, PairModel};
use super::torus::Bond;
use crate::config::check;

/// Nodes `0 .. nodes-1` and edges with weights (1 unless a file says otherwise).
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    pub nodes: usize,
    pub edges: Vec<Bond>,
}

/// Most nodes of a graph from a config or a file.
const MOST_NODES: i64 = 1 << 20;

/// Most nodes of a random graph, whose pairs are all looked at.
const MOST_RANDOM: i64 = 20_000;

/// Where a graph comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum GraphConfig {
    /// Every pair an edge with the given probability.
    ErdosRenyi { nodes: i64, probability: f64, seed: u64 },
    /// Preferential attachment: each new node brings `attachments` edges.
    BarabasiAlbert { nodes: i64, attachments: i64, seed: u64 },
    /// Xu's model RB: cliques with `tightness` p of random edges between pairs of them.
    RbModel { cliques: i64, clique_size: i64, tightness: f64, seed: u64 },
    /// Lines `i j` or `i j weight`, nodes from 0; lines that begin with # are passed over.
    EdgeList { path: PathBuf },
    /// The format of the Gset: `nodes edges`, then lines `i j weight`, nodes from 1.
    Gset { path: PathBuf },
}

impl GraphConfig {
    pub fn build(&self) -> Result<Graph> {
        match self {
            Self::ErdosRenyi { nodes, probability, seed } => {
                check::in_range("target.graph.nodes", *nodes, 1, MOST_RANDOM)?;
                check::probability("target.graph.probability", *probability)?;
                Ok(random::erdos_renyi(*nodes as usize, *probability, *seed))
            }
            Self::BarabasiAlbert { nodes, attachments, seed } => {
                check::in_range("target.graph.nodes", *nodes, 2, MOST_NODES)?;
                check::in_range("target.graph.attachments", *attachments, 1, *nodes - 1)?;
                Ok(random::barabasi_albert(*nodes as usize, *attachments as usize, *seed))
            }
            Self::RbModel { cliques, clique_size, tightness, seed } => {
                check::in_range("target.graph.cliques", *cliques, 2, MOST_RANDOM)?;
                check::in_range("target.graph.clique_size", *clique_size, 2, MOST_RANDOM / cliques)?;
                check::probability("target.graph.tightness", *tightness)?;
                check::positive("target.graph.tightness", *tightness)?;
                Ok(random::rb_model(*cliques as usize, *clique_size as usize, *tightness, *seed))
            }
            Self::EdgeList { path } => file::edge_list(path),
            Self::Gset { path } => file::gset(path),
        }
    }
}

/// What is asked of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Problem {
    /// Large sets of vertices without an edge between two of them; see [`IndependentSetConfig`].
    IndependentSet {
        #[serde(default = "just_above_one")]
        penalty: f64,
    },
    /// Two sides with much weight between them; see [`MaxCutConfig`].
    MaxCut {},
}

impl Problem {
    /// `J` `[nodes, nodes]`, symmetric, and `b` `[nodes]` of `log_prob = x' J x / 2 + b' x` at beta 1.
    pub fn quadratic(&self, graph: &Graph) -> (Vec<f64>, Vec<f64>) {
        let n = graph.nodes;
        let (mut couplings, mut bias) = (vec![0.0; n * n], vec![0.0; n]);
        for (i, j, weight) in &graph.edges {
            let (i, j) = (*i as usize, *j as usize);
            let coupling = match self {
                Self::IndependentSet { penalty } => -penalty,
                Self::MaxCut {} => -2.0 * weight,
            };
            couplings[i * n + j] += coupling;
            couplings[j * n + i] += coupling;
            if *self == (Self::MaxCut {}) {
                bias[i] += weight;
                bias[j] += weight;
            }
        }
        if matches!(self, Self::IndependentSet { .. }) {
            bias.fill(1.0);
        }
        (couplings, bias)
    }

    /// What a state is worth: the number of chosen nodes, of which no two may be joined, or the weight of the cut.
    pub fn value(&self, graph: &Graph, x: &[u8]) -> f64 {
        match self {
            Self::IndependentSet { .. } => x[..graph.nodes].iter().map(|v| f64::from(*v)).sum(),
            Self::MaxCut {} => {
                let cut = graph.edges.iter().filter(|(i, j, _)| x[*i as usize] != x[*j as usize]);
                cut.map(|(_, _, weight)| weight).sum()
            }
        }
    }

    /// The state that an answer is read from: sets become independent, cuts stay as they are.
    pub fn finish(&self, graph: &Graph, x: &mut [u8]) {
        if matches!(self, Self::IndependentSet { .. }) {
            let mut near = vec![Vec::new(); graph.nodes];
            for (i, j, _) in &graph.edges {
                near[*i as usize].push(*j as usize);
                near[*j as usize].push(*i as usize);
            }
            repair_with(|i| near[i].iter().copied(), x, graph.nodes);
        }
    }

    /// A best state; `None` where no exact method reaches.
    pub fn optimum(&self, graph: &Graph) -> Option<Vec<u8>> {
        match self {
            Self::IndependentSet { .. } => independent::largest_independent_set(graph),
            Self::MaxCut {} => maximum(&cut_model(graph, 1.0).ok()?),
        }
    }
}

/// `log_prob(x) = beta (sum of x_i - penalty * number of edges with both ends chosen)`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndependentSetConfig {
    pub graph: GraphConfig,
    /// Inverse temperature.
    pub beta: f64,
    /// Above 1, no set with an edge inside is better than the one without an end of that edge.
    #[serde(default = "just_above_one")]
    pub penalty: f64,
}

fn just_above_one() -> f64 {
    1.0001
}

/// `log_prob(x) = beta * weight of the edges between chosen and other nodes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxCutConfig {
    pub graph: GraphConfig,
    /// Inverse temperature.
    pub beta: f64,
}

const CHOSEN: Interaction = Interaction::Product([0.0, 1.0]);

/// Weights of a graph's edges play no part.
pub fn independent_set(config: &IndependentSetConfig, options: Options) -> Result<PairTarget> {
    check::finite("target.beta", config.beta)?;
    check::non_negative("target.penalty", config.penalty)?;
    let graph = config.graph.build()?;
    let bonds = graph.edges.iter().map(|(i, j, _)| (*i, *j, -config.penalty)).collect();
    let bias = [0.0, config.beta].repeat(graph.nodes);
    let model = PairModel::new(2, CHOSEN, config.beta, bonds, bias)?;
    Ok(PairTarget::new(model, vec![0, 1], None, options))
}

/// With `cut = sum over edges of w (x_i + x_j - 2 x_i x_j)`.
pub fn max_cut(config: &MaxCutConfig, options: Options) -> Result<PairTarget> {
    check::finite("target.beta", config.beta)?;
    let model = cut_model(&config.graph.build()?, config.beta)?;
    Ok(PairTarget::new(model, vec![0, 1], None, options))
}

fn cut_model(graph: &Graph, beta: f64) -> Result<PairModel> {
    let mut bias = vec![0.0; 2 * graph.nodes];
    for (i, j, weight) in &graph.edges {
        bias[2 * *i as usize + 1] += beta * weight;
        bias[2 * *j as usize + 1] += beta * weight;
    }
    let bonds = graph.edges.iter().map(|(i, j, weight)| (*i, *j, -2.0 * weight)).collect();
    PairModel::new(2, CHOSEN, beta, bonds, bias)
}

/// Makes a set independent: for every chosen node in order, its chosen neighbours leave. What it keeps is no larger
/// than what was there, and the same for the same input (Ou et al., "Discrete neural flow samplers", 2025, app.).
pub fn repair(model: &PairModel, x: &mut [u8]) {
    repair_with(|i| model.neighbours(i).iter().map(|(j, _)| *j as usize), x, model.sites);
}

fn repair_with<I: Iterator<Item = usize>>(neighbours: impl Fn(usize) -> I, x: &mut [u8], nodes: usize) {
    for i in 0..nodes {
        if x[i] == 1 {
            neighbours(i).for_each(|j| x[j] = 0);
        }
    }
}
