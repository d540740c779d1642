//! Lennard-Jones clusters held together by a harmonic trap, in the three incompatible versions in circulation.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::pairs::Pairs;

use super::{Options, Target};
use crate::config::check;

/// Whose Lennard-Jones energy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LennardJonesVariant {
    /// Ordered pairs and `r^2 + 1e-6`, so `2 sum_{i<j} (r^-12 - 2 r^-6) + 1/2 sum |x - com|^2`: bgflow, DEM
    /// (Akhound-Sadegh et al., ICML 2024) and the adjoint samplers' code. The Monte Carlo data in circulation belong
    /// to this one.
    #[default]
    Dem,
    /// Unordered pairs and plain distances: `sum_{i<j} (r^-12 - 2 r^-6) + 1/2 sum |x - com|^2` (Midgley et al.,
    /// "SE(3) equivariant augmented coupling flows", NeurIPS 2023).
    Eacf,
    /// `2 sum_{i<j} (r^-12 - 2 r^-6) + 1/4 sum |x - com|^2`: the code of the rKL-LD paper, plain distances.
    DdsOptim,
}

impl LennardJonesVariant {
    /// Factors of the pair sum over `i < j` and of `sum |x - com|^2`, and what is added to squared distances.
    fn constants(self) -> (f64, f64, f64) {
        match self {
            Self::Dem => (2.0, 0.5, 1e-6),
            Self::Eacf => (1.0, 0.5, 0.0),
            Self::DdsOptim => (2.0, 0.25, 0.0),
        }
    }
}

/// Number of particles (13 and 55 are the benchmarks) and version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LennardJonesConfig {
    pub particles: i64,
    #[serde(default)]
    pub variant: LennardJonesVariant,
}

/// `-E(x)` of `n` particles in space, at temperature 1 with unit well depth and distance.
///
/// The energy sees only relative positions, so log Z does not exist unless the centre is fixed. Where two particles
/// nearly meet, energy and force of a pair are capped (at 1e30 in f32) to stay finite.
pub struct LennardJones {
    pairs: Pairs,
    pair_strength: f64,
    trap_strength: f64,
    epsilon: f64,
    cap: f64,
}

impl LennardJones {
    pub fn new(config: &LennardJonesConfig, options: Options) -> Result<Self> {
        check::at_least("target.particles", config.particles, 2)?;
        let (pair_strength, trap_strength, epsilon) = config.variant.constants();
        let cap = if options.0 == Kind::Double { 1e200 } else { 1e30 };
        let pairs = Pairs::new(config.particles, 3, options);
        Ok(Self { pairs, pair_strength, trap_strength, epsilon, cap })
    }

    /// `1 / (r^2 + epsilon)` and its third power, each `[N, 1, P]`.
    fn inverse_powers(&self, differences: &Tensor) -> (Tensor, Tensor) {
        let inverse = (differences.square().sum_dim_intlist(1, true, None) + self.epsilon).reciprocal();
        let sixth = inverse.square() * &inverse;
        (inverse, sixth)
    }
}

impl Target for LennardJones {
    fn dim(&self) -> i64 {
        self.pairs.particles * self.pairs.space
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let split = self.pairs.split(x); // [N, 3, n]
        let (_, sixth) = self.inverse_powers(&self.pairs.differences(&split));
        let pair_energy = ((&sixth - 2.0) * &sixth).clamp_max(self.cap).sum_dim_intlist([1, 2].as_slice(), false, None);

        let centred = &split - split.mean_dim(-1, true, None);
        let trap = centred.square().sum_dim_intlist([1, 2].as_slice(), false, None);
        pair_energy * -self.pair_strength - trap * self.trap_strength
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let split = self.pairs.split(x); // [N, 3, n]
        let differences = self.pairs.differences(&split);
        let (inverse, sixth) = self.inverse_powers(&differences);
        // d/dr^2 of r^-12 - 2 r^-6 is -6 r^-8 (r^-6 - 1), and d r^2 / dx = 2 difference.
        let push = ((&sixth - 1.0) * sixth * inverse * (12.0 * self.pair_strength)).clamp_max(self.cap);

        let centred = &split - split.mean_dim(-1, true, None);
        let force = self.pairs.gather(&(differences * push)) - centred * (2.0 * self.trap_strength);
        self.pairs.join(&force)
    }

    fn particles(&self) -> Option<(i64, i64)> {
        Some((self.pairs.particles, self.pairs.space))
    }
}
