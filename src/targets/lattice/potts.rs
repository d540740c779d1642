//! The Potts model on a torus.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::super::Options;
use super::pair::{Interaction, PairModel};
use super::{PairTarget, torus};
use crate::config::check;

/// `log_prob = beta * number of bonds between equal states + sum over sites of field[x_i]` on a periodic square
/// lattice. In the infinite lattice order sets in at `beta = ln(1 + sqrt(states))`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PottsConfig {
    /// Side `L`; there are `L²` sites, row-major.
    pub size: i64,
    /// Number of states of a site, 2 to 64.
    pub states: i64,
    /// Coupling of equal neighbours in nats.
    pub beta: f64,
    /// In nats, one for each state; none if empty.
    #[serde(default)]
    pub field: Vec<f64>,
}

/// Checks the keys.
pub fn potts(config: &PottsConfig, options: Options) -> Result<PairTarget> {
    check::in_range("target.size", config.size, 2, 256)?;
    check::in_range("target.states", config.states, 2, 64)?;
    check::finite("target.beta", config.beta)?;
    if !config.field.is_empty() {
        check::length("target.field", config.field.len(), config.states as usize)?;
        check::all_finite("target.field", &config.field)?;
    }

    let field = if config.field.is_empty() { vec![0.0; config.states as usize] } else { config.field.clone() };
    let bias = field.repeat((config.size * config.size) as usize);
    let bonds = torus::bonds(config.size as usize);
    let model = PairModel::new(config.states as usize, Interaction::Equal, config.beta, bonds, bias)?;
    Ok(PairTarget::new(model, (0..config.states).collect(), Some((config.size, config.size)), options))
}
