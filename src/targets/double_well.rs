//! DW-4: four particles in the plane with a double well in every distance.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pairs::Pairs;

use super::{Options, Target};
use crate::config::check;

/// Well offset and coefficients of the pair energy `QUARTIC (r - OFFSET)^4 + QUADRATIC (r - OFFSET)^2`.
const OFFSET: f64 = 4.0;
const QUARTIC: f64 = 0.9;
const QUADRATIC: f64 = -4.0;

/// How the distance is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistanceVariant {
    /// `sqrt(|.|^2 + 1e-8)`, as in the adjoint samplers' code: smooth where particles meet.
    #[default]
    Smoothed,
    /// Plain distance, as in bgflow and DEM; the score is undefined where particles meet.
    Plain,
}

/// Distance and, for systems other than the published one, sizes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoubleWellConfig {
    #[serde(default)]
    pub variant: DistanceVariant,
    #[serde(default = "four")]
    pub particles: i64,
    #[serde(default = "two")]
    pub space: i64,
}

fn four() -> i64 {
    4
}

fn two() -> i64 {
    2
}

/// `-sum over pairs of 0.9 (r - 4)^4 - 4 (r - 4)^2` (Koehler, Klein and Noe, "Equivariant flows", ICML 2020), at
/// temperature 1.
///
/// The adjoint Schroedinger bridge paper prints an offset of 1 and an exponential; its code and the Monte Carlo data
/// in circulation have the offset 4 and none. The energy does not see translations: log Z is infinite unless the
/// centre is fixed, so none is given.
pub struct DoubleWell {
    pairs: Pairs,
    epsilon: f64,
}

impl DoubleWell {
    pub fn new(config: &DoubleWellConfig, options: Options) -> Result<Self> {
        check::at_least("target.particles", config.particles, 2)?;
        check::at_least("target.space", config.space, 1)?;
        let epsilon = match config.variant {
            DistanceVariant::Smoothed => 1e-8,
            DistanceVariant::Plain => 0.0,
        };
        Ok(Self { pairs: Pairs::new(config.particles, config.space, options), epsilon })
    }

    /// Distances `[N, 1, P]` from differences `[N, dim, P]`.
    fn distances(&self, differences: &Tensor) -> Tensor {
        (differences.square().sum_dim_intlist(1, true, None) + self.epsilon).sqrt()
    }
}

impl Target for DoubleWell {
    fn dim(&self) -> i64 {
        self.pairs.particles * self.pairs.space
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let differences = self.pairs.differences(&self.pairs.split(x));
        let square = (self.distances(&differences) - OFFSET).square();
        let energy = (&square * QUARTIC + QUADRATIC) * square;
        energy.sum_dim_intlist([1, 2].as_slice(), false, None).neg()
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let differences = self.pairs.differences(&self.pairs.split(x));
        let distance = self.distances(&differences);
        let excess = &distance - OFFSET;
        let slope = (excess.square() * (4.0 * QUARTIC) + 2.0 * QUADRATIC) * excess; // d energy / d r

        let force = differences * (slope / distance).neg();
        self.pairs.join(&self.pairs.gather(&force))
    }

    fn particles(&self) -> Option<(i64, i64)> {
        Some((self.pairs.particles, self.pairs.space))
    }
}
