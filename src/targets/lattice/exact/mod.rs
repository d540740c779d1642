//! What can be known of a lattice without sampling it.
//!
//! | file | for | gives |
//! |---|---|---|
//! | [`enumeration`] | up to 2^26 states | everything |
//! | [`transfer`] | uniform Ising and Potts tori, narrow (2^10, 3^6 states a row) | log Z, energy, magnetisation, two-point functions |
//! | [`kaufman`] | the Ising torus without field, any size | log Z, energy and its variance |
//! | [`maximum`] | two states on sparse graphs | the most probable state |
//! | [`onsager`] | the infinite Ising lattice without field | log Z a site, spontaneous magnetisation |

pub mod enumeration;
mod jet;
pub mod kaufman;
pub mod maximum;
pub mod onsager;
pub mod transfer;

use anyhow::Result;

use super::{DiscreteTarget, Interaction, LatticeConfig, PairModel};

/// Exact figures of a law; those that a method does not give are absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exact {
    pub method: &'static str,
    pub log_z: f64,
    /// Mean of the bonds' energy `-sum of J_ij g(x_i, x_j)`, without beta and field, and its variance.
    pub energy: Option<f64>,
    pub energy_variance: Option<f64>,
    /// Mean of the spins (two states only).
    pub magnetisation: Option<f64>,
    /// Means of `|m|`, `m²` and `m⁴`; see [`order`].
    pub abs_magnetisation: Option<f64>,
    pub magnetisation2: Option<f64>,
    pub magnetisation4: Option<f64>,
    /// `<s_0 s_r>` along an axis for r = 0 .. L/2; `(q P(equal) - 1) / (q - 1)` for q states.
    pub two_point: Option<Vec<f64>>,
}

/// `|m|` and `m²` from how many sites are in each state: for q states `(q max_a f_a - 1) / (q - 1)` and
/// `(q sum of f_a² - 1) / (q - 1)` with fractions f, which for two are the spins' `|m|` and `m²`.
pub fn order(counts: &[u32]) -> (f64, f64) {
    let (q, n) = (counts.len() as f64, counts.iter().sum::<u32>() as f64);
    let most = counts.iter().copied().max().unwrap_or(0) as f64 / n;
    let squares: f64 = counts.iter().map(|c| (f64::from(*c) / n).powi(2)).sum();
    ((q * most - 1.0) / (q - 1.0), (q * squares - 1.0) / (q - 1.0))
}

/// The uniform torus that a config describes, if it is one.
fn uniform_torus(config: &LatticeConfig) -> Option<usize> {
    match config {
        LatticeConfig::Ising(ising) => {
            matches!(ising.couplings, super::ising::Couplings::Uniform).then_some(ising.size)
        }
        LatticeConfig::Potts(potts) => Some(potts.size),
        _ => None,
    }
    .map(|size| size as usize)
}

/// Whether all sites have the same biases.
fn uniform_bias(model: &PairModel) -> bool {
    model.bias.chunks_exact(model.states).all(|bias| bias == &model.bias[..model.states])
}

/// The best method for a law, or `None` where none exists: enumeration, else a narrow torus by its transfer matrix,
/// else Kaufman's formula.
pub fn solve(config: &LatticeConfig, target: &dyn DiscreteTarget) -> Result<Option<Exact>> {
    if let (Some(side), Some(model)) = (uniform_torus(config), target.pairs()) {
        if uniform_bias(model) && transfer::fits(model.states, side) {
            let mut exact = transfer::solve(model, side);
            // A transfer matrix gives no |m|, no m⁴ and no variance: those come from elsewhere where they can.
            if enumeration::fits(model.states, model.sites) {
                exact = Exact { two_point: exact.two_point, ..enumeration::pairs(model) };
            } else if kaufman_applies(model) {
                exact.energy_variance = kaufman::solve(side, model.beta).energy_variance;
            }
            return Ok(Some(exact));
        }
        if kaufman_applies(model) {
            return Ok(Some(kaufman::solve(side, model.beta)));
        }
    }
    let (states, sites) = (target.num_states() as usize, target.sites() as usize);
    match target.pairs() {
        Some(model) if model.sites == sites && enumeration::fits(states, sites) => Ok(Some(enumeration::pairs(model))),
        _ if enumeration::fits_tensors(states, sites) => Ok(Some(enumeration::log_z(target))),
        _ => Ok(None),
    }
}

fn kaufman_applies(model: &PairModel) -> bool {
    matches!(model.interaction, Interaction::Product(values) if values[0] == -values[1])
        && model.beta > 0.0
        && model.bias.iter().all(|bias| *bias == 0.0)
}
