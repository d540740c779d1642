//! Bonds, angles and torsions.

use std::collections::BTreeMap;

use tch::Tensor;

use super::distances::{Arrows, Batch, least_square, tiny, total};
use super::system::{Angle, Bond, PeriodicTorsion};
use crate::targets::Options;
use crate::targets::support::constant;

fn row(values: impl Iterator<Item = f64>, options: Options) -> Tensor {
    let values: Vec<f64> = values.collect();
    constant(&values, &[values.len() as i64], options)
}

/// `sum k / 2 (r - length)^2`.
pub struct Bonds {
    arrows: Arrows,
    length: Tensor, // [M]
    half_k: Tensor, // [M]
}

impl Bonds {
    pub fn new(bonds: &[Bond], atoms: usize, options: Options) -> Self {
        let pairs: Vec<_> = bonds.iter().map(|bond| bond.atoms).collect();
        Self {
            arrows: Arrows::new(&pairs, atoms, options),
            length: row(bonds.iter().map(|bond| bond.length), options),
            half_k: row(bonds.iter().map(|bond| 0.5 * bond.k), options),
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let square = self.arrows.of(batch).square().sum_dim_intlist(1, false, None); // [N, M]
        let stretch = square.clamp_min(least_square(batch.kind())).sqrt() - &self.length;
        total(&(stretch.square() * &self.half_k))
    }
}

/// `sum k / 2 (theta - angle)^2`.
pub struct Angles {
    left: Arrows,
    right: Arrows,
    angle: Tensor,  // [M]
    half_k: Tensor, // [M]
}

impl Angles {
    pub fn new(angles: &[Angle], atoms: usize, options: Options) -> Self {
        let legs = |end: usize| -> Vec<_> { angles.iter().map(|angle| [angle.atoms[1], angle.atoms[end]]).collect() };
        Self {
            left: Arrows::new(&legs(0), atoms, options),
            right: Arrows::new(&legs(2), atoms, options),
            angle: row(angles.iter().map(|angle| angle.angle), options),
            half_k: row(angles.iter().map(|angle| 0.5 * angle.k), options),
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let (u, v) = (self.left.of(batch), self.right.of(batch)); // [N, 3, M]
        let across = u.linalg_cross(&v, 1).square().sum_dim_intlist(1, false, None);
        let along = (u * v).sum_dim_intlist(1, false, None);
        let theta = (across + tiny(batch.kind())).sqrt().atan2(&along);
        total(&((theta - &self.angle).square() * &self.half_k))
    }
}

/// The dihedral angles of a list of four atoms each, as cosine and sine.
///
/// A conformation in which three of the atoms are collinear has no such angle; it gets 0 for both.
pub struct Dihedrals {
    legs: [Arrows; 3],
}

impl Dihedrals {
    pub fn new(quadruples: &[[usize; 4]], atoms: usize, options: Options) -> Self {
        let leg = |k: usize| {
            let pairs: Vec<_> = quadruples.iter().map(|atoms| [atoms[k], atoms[k + 1]]).collect();
            Arrows::new(&pairs, atoms, options)
        };
        Self { legs: [leg(0), leg(1), leg(2)] }
    }

    /// Cosine and sine, each `[N, M]`; trans is an angle of pi.
    pub fn of(&self, batch: &Batch) -> (Tensor, Tensor) {
        let [b1, b2, b3] = [0, 1, 2].map(|k| self.legs[k].of(batch)); // [N, 3, M]
        let (m, n) = (b1.linalg_cross(&b2, 1), b2.linalg_cross(&b3, 1));
        let length = (b2.square().sum_dim_intlist(1, false, None) + tiny(batch.kind())).sqrt();
        let x = (&m * &n).sum_dim_intlist(1, false, None);
        let y = (b1 * n).sum_dim_intlist(1, false, None) * length;
        let inverse = (x.square() + y.square() + tiny(batch.kind())).rsqrt();
        (x * &inverse, y * inverse)
    }
}

/// The periodic torsions of one quadruple of atoms together:
/// `constant + sum_n cosine[n - 1] cos(n phi) + sine[n - 1] sin(n phi)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub atoms: [usize; 4],
    pub constant: f64,
    pub cosine: Vec<f64>,
    pub sine: Vec<f64>,
}

/// Gathers the rows of each quadruple, read from either end, all padded to the highest periodicity.
pub fn series(torsions: &[PeriodicTorsion]) -> Vec<Series> {
    let highest = torsions.iter().map(|torsion| torsion.periodicity).max().unwrap_or(0);
    let mut found: BTreeMap<[usize; 4], Series> = BTreeMap::new();
    for torsion in torsions {
        let [a, b, c, d] = torsion.atoms;
        let atoms = torsion.atoms.min([d, c, b, a]);
        let empty = || Series { atoms, constant: 0.0, cosine: vec![0.0; highest], sine: vec![0.0; highest] };
        let series = found.entry(atoms).or_insert_with(empty);
        series.constant += torsion.k;
        series.cosine[torsion.periodicity - 1] += torsion.k * torsion.phase.cos();
        series.sine[torsion.periodicity - 1] += torsion.k * torsion.phase.sin();
    }
    found.into_values().collect()
}

/// `sum k (1 + cos(n phi - phase))`.
pub struct Torsions {
    dihedrals: Dihedrals,
    cosine: Vec<Tensor>, // one [M] a periodicity
    sine: Vec<Tensor>,
    constant: f64,
}

impl Torsions {
    pub fn new(torsions: &[PeriodicTorsion], atoms: usize, options: Options) -> Self {
        let series = series(torsions);
        let quadruples: Vec<_> = series.iter().map(|one| one.atoms).collect();
        let highest = series.first().map_or(0, |one| one.cosine.len());
        Self {
            dihedrals: Dihedrals::new(&quadruples, atoms, options),
            cosine: (0..highest).map(|n| row(series.iter().map(|one| one.cosine[n]), options)).collect(),
            sine: (0..highest).map(|n| row(series.iter().map(|one| one.sine[n]), options)).collect(),
            constant: series.iter().map(|one| one.constant).sum(),
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let (cos, sin) = self.dihedrals.of(batch);
        let (mut cos_n, mut sin_n) = (cos.shallow_clone(), sin.shallow_clone());
        let mut terms = cos.zeros_like();
        for (n, (a, b)) in self.cosine.iter().zip(&self.sine).enumerate() {
            if n > 0 {
                // cos and sin of n phi from those of (n - 1) phi.
                (cos_n, sin_n) = (&cos_n * &cos - &sin_n * &sin, &sin_n * &cos + &cos_n * &sin);
            }
            terms = terms + &cos_n * a + &sin_n * b;
        }
        total(&terms) + self.constant
    }
}
