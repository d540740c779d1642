//! Networks that give the rates of a jump process on discrete states, and their configuration.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::hollow::leattn::{Leattn, LeattnConfig};
use super::hollow::lemlp::{Lemlp, LemlpConfig};
use super::leconv::{Leconv, LeconvConfig};
use super::legf::{Legf, LegfConfig};
use super::letf::{Letf, LetfConfig};
use crate::torch::params::Scope;

/// A locally equivariant network: `G(tau, i | x) = -G(x_i, i | x^{i->tau})`, so that `relu(G)` are one-way rates whose
/// reversed ones need no second call (Ou, Zhang and Li, 2025, sec. 4).
pub trait RateNet: Send {
    /// `x` `[B, D]` i64 in `0 .. S-1`, `t` `[B]` in [0, 1] -> `G` `[B, D, S]`, 0 at a site's own state.
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor;

    /// Whether every row has a graph of its own, so that calls must be with all rows of a simulation, in order.
    fn rows_differ(&self) -> bool {
        false
    }
}

/// What a network may know of the sites.
#[derive(Debug, Default)]
pub struct Geometry {
    pub sites: i64,
    /// States of a site, `S`.
    pub states: i64,
    /// Rows (and columns) of a periodic square lattice whose sites are row-major.
    pub side: Option<i64>,
    /// Shortest paths between the vertices of a graph, `[D, D]` i64; -1 between parts that are not joined.
    pub distances: Option<Tensor>,
}

/// Which network, and how large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum RateNetConfig {
    /// Locally equivariant transformer.
    Letf(LetfConfig),
    /// Sums over the other sites.
    Lemlp(LemlpConfig),
    /// Attention to the other sites, one layer.
    Leattn(LeattnConfig),
    /// Deep convolutions on a periodic square lattice (LEAPS).
    Leconv(LeconvConfig),
    /// Locally equivariant transformer that knows the distances of a graph.
    Legf(LegfConfig),
}

impl Default for RateNetConfig {
    fn default() -> Self {
        Self::Letf(LetfConfig::default())
    }
}

impl RateNetConfig {
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Letf(config) => config.validate(),
            Self::Lemlp(config) => config.validate(),
            Self::Leattn(config) => config.validate(),
            Self::Leconv(config) => config.validate(),
            Self::Legf(config) => config.validate(),
        }
    }

    /// Draws initial weights from libtorch's generator.
    ///
    /// # Errors
    /// If the network needs something of the geometry that is not there.
    pub fn build(&self, scope: Scope, geometry: &Geometry) -> Result<Box<dyn RateNet>> {
        let (sites, states) = (geometry.sites, geometry.states);
        Ok(match self {
            Self::Letf(config) => Box::new(Letf::new(scope, config, sites, states)),
            Self::Lemlp(config) => Box::new(Lemlp::new(scope, config, sites, states)),
            Self::Leattn(config) => Box::new(Leattn::new(scope, config, sites, states)?),
            Self::Leconv(config) => Box::new(Leconv::new(scope, config, geometry)?),
            Self::Legf(config) => Box::new(Legf::new(scope, config, geometry)?),
        })
    }
}

impl RateNet for Letf {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        Letf::forward(self, x, t)
    }
}
