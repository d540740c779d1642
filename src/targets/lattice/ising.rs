//! Ising spins on a torus.

use std::path::PathBuf;

use anyhow::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::super::{Broadcast, Options};
use super::pair::{Interaction, PairModel};
use super::spin_glass::read_couplings;
use super::{PairTarget, torus};
use crate::bad_input;
use crate::config::check;

/// Spins that files write as -1 and +1.
pub(super) const SPINS: [f64; 2] = [-1.0, 1.0];
pub(super) const SPIN_VALUES: [i64; 2] = [-1, 1];

/// Largest side: 65,536 sites.
const LARGEST: i64 = 256;

/// `log_prob = beta sum over bonds of J_ij s_i s_j + sum over sites of field_i s_i` on a periodic square lattice.
///
/// The quadratic form `s' A s` with `J = sigma A` over both orders of a pair, as the papers on discrete samplers write
/// it, is beta = 2 sigma.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsingConfig {
    /// Side `L`; there are `L²` sites, row-major.
    pub size: i64,
    /// Inverse temperature, of either sign.
    pub beta: f64,
    /// Field in nats (it is not multiplied by beta): one number, or one a site.
    #[serde(default = "no_field")]
    pub field: Broadcast,
    #[serde(default)]
    pub couplings: Couplings,
}

fn no_field() -> Broadcast {
    Broadcast::Scalar(0.0)
}

/// The `J_ij` of the `2 L²` bonds, in the order (right, down) of site 0, then of site 1, …
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Couplings {
    /// All 1.
    #[default]
    Uniform,
    /// Independent standard normal numbers.
    Gaussian { seed: u64 },
    /// +1 with the given probability, else -1.
    Bimodal { seed: u64, probability: f64 },
    /// `J` of a tensor file: `[2 L²]` in this order, or a symmetric matrix `[L², L²]` with any bonds.
    File { path: PathBuf },
}

/// Checks the keys and reads the couplings.
pub fn ising(config: &IsingConfig, options: Options) -> Result<PairTarget> {
    check::in_range("target.size", config.size, 2, LARGEST)?;
    check::finite("target.beta", config.beta)?;
    let field = config.field.resolve("target.field", config.size * config.size)?;

    let bonds = coupled(&config.couplings, config.size as usize)?;
    let bias = field.iter().flat_map(|h| [-h, *h]).collect();
    let model = PairModel::new(2, Interaction::Product(SPINS), config.beta, bonds, bias)?;
    Ok(PairTarget::new(model, SPIN_VALUES.to_vec(), Some((config.size, config.size)), options))
}

fn coupled(couplings: &Couplings, size: usize) -> Result<Vec<torus::Bond>> {
    let bonds = torus::bonds(size);
    let with = |strengths: Vec<f64>| bonds.iter().zip(strengths).map(|((i, j, _), w)| (*i, *j, w)).collect();
    Ok(match couplings {
        Couplings::Uniform => bonds,
        Couplings::Gaussian { seed } => with(normal_numbers(*seed, 2 * size * size)),
        Couplings::Bimodal { seed, probability } => {
            check::probability("target.couplings.probability", *probability)?;
            let mut random = ChaCha8Rng::seed_from_u64(*seed);
            with((0..2 * size * size).map(|_| if random.random::<f64>() < *probability { 1.0 } else { -1.0 }).collect())
        }
        Couplings::File { path } => {
            let found = read_couplings(path, "J", None, None, "target.couplings.path")?;
            match found.strengths {
                Some(strengths) if strengths.len() == bonds.len() => with(strengths),
                None if found.sites == size * size => found.bonds,
                _ => {
                    let (name, sites, count) = (path.display(), size * size, bonds.len());
                    return Err(bad_input!(
                        "{name}: tensor 'J' does not fit, expected [{count}] or [{sites}, {sites}]"
                    ));
                }
            }
        }
    })
}

/// Box and Muller's transform (1958) of ChaCha's numbers, so that couplings do not depend on libtorch.
fn normal_numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || {
        let (u, v): (f64, f64) = (random.random(), random.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    (0..count).map(|_| normal()).collect()
}
