//! Lennard-Jones and Coulomb interactions, with the pairs that have parameters of their own.

use tch::Tensor;

use super::distances::{Arrows, Batch, least_square, total};
use super::system::{Exception, Nonbonded};
use crate::targets::Options;
use crate::targets::support::constant;

/// 1 / (4 pi eps0) in kJ/mol nm / e^2, as OpenMM's own forces have it (eps0 of CODATA 2018).
pub const COULOMB: f64 = 138.935_457_644_381_98;

/// The parameters of every ordered pair `i A + j`; zero on the diagonal and for exceptions.
pub struct PairTable {
    pub charges: Vec<f64>,
    pub sigma2: Vec<f64>,
    pub epsilon4: Vec<f64>,
}

impl PairTable {
    pub fn new(force: &Nonbonded) -> Self {
        let atoms = force.particles.len();
        let mut table = Self {
            charges: vec![0.0; atoms * atoms],
            sigma2: vec![0.0; atoms * atoms],
            epsilon4: vec![0.0; atoms * atoms],
        };
        for (i, a) in force.particles.iter().enumerate() {
            for (j, b) in force.particles.iter().enumerate().filter(|(j, _)| *j != i) {
                table.charges[i * atoms + j] = COULOMB * a.charge * b.charge;
                table.sigma2[i * atoms + j] = (0.5 * (a.sigma + b.sigma)).powi(2);
                table.epsilon4[i * atoms + j] = 4.0 * (a.epsilon * b.epsilon).sqrt();
            }
        }
        for [i, j] in force.exceptions.iter().map(|exception| exception.atoms) {
            for place in [i * atoms + j, j * atoms + i] {
                table.charges[place] = 0.0;
                table.sigma2[place] = 0.0;
                table.epsilon4[place] = 0.0;
            }
        }
        table
    }
}

/// The exceptions that have an energy.
pub fn active(exceptions: &[Exception]) -> Vec<Exception> {
    exceptions.iter().filter(|e| e.charge_product != 0.0 || (e.epsilon != 0.0 && e.sigma != 0.0)).copied().collect()
}

/// `V(r) = 1/r + quadratic r^2 - shift` within the cut-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Screening {
    pub quadratic: f64,
    pub shift: f64,
    /// Squared cut-off, infinite without one.
    pub cutoff2: f64,
}

impl Screening {
    pub fn new(force: &Nonbonded) -> Self {
        match force.cutoff {
            None => Self { quadratic: 0.0, shift: 0.0, cutoff2: f64::INFINITY },
            Some(field) => {
                let (distance, e) = (field.distance, field.dielectric);
                let quadratic = (e - 1.0) / (2.0 * e + 1.0) / distance.powi(3);
                let shift = 3.0 * e / (2.0 * e + 1.0) / distance;
                Self { quadratic, shift, cutoff2: distance * distance }
            }
        }
    }
}

/// The force on a batch.
pub struct NonbondedTerm {
    charges: Tensor,  // [A, A], halved: every pair stands twice
    sigma2: Tensor,   // [A, A]
    epsilon4: Tensor, // [A, A], halved
    screening: Screening,
    exceptions: Option<Exceptions>,
}

struct Exceptions {
    arrows: Arrows,
    charges: Tensor,  // [M]
    sigma2: Tensor,   // [M]
    epsilon4: Tensor, // [M]
}

impl NonbondedTerm {
    pub fn new(force: &Nonbonded, options: Options) -> Self {
        let table = PairTable::new(force);
        let atoms = force.particles.len() as i64;
        let square = |values: &[f64]| constant(values, &[atoms, atoms], options);
        let exceptions = active(&force.exceptions);
        Self {
            charges: square(&table.charges) * 0.5,
            sigma2: square(&table.sigma2),
            epsilon4: square(&table.epsilon4) * 0.5,
            screening: Screening::new(force),
            exceptions: (!exceptions.is_empty()).then(|| Exceptions::new(&exceptions, atoms as usize, options)),
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let r = batch.distances();
        let Screening { quadratic, shift, cutoff2 } = self.screening;
        let mut coulomb = r.inverse.shallow_clone();
        if cutoff2.is_finite() {
            coulomb = coulomb + &r.square * quadratic - shift;
        }
        let sixth = (r.inverse.square() * &self.sigma2).pow_tensor_scalar(3);
        let pairs = (&sixth - 1.0) * sixth * &self.epsilon4 + coulomb * &self.charges; // [N, A, A]
        let within = match cutoff2.is_finite() {
            true => total(&(pairs * r.square.lt(cutoff2).to_kind(batch.kind()))),
            false => total(&pairs),
        };
        match &self.exceptions {
            Some(exceptions) => within + exceptions.energy(batch),
            None => within,
        }
    }
}

impl Exceptions {
    fn new(exceptions: &[Exception], atoms: usize, options: Options) -> Self {
        let pairs: Vec<_> = exceptions.iter().map(|e| e.atoms).collect();
        let row = |value: fn(&Exception) -> f64| {
            let values: Vec<f64> = exceptions.iter().map(value).collect();
            constant(&values, &[values.len() as i64], options)
        };
        Self {
            arrows: Arrows::new(&pairs, atoms, options),
            charges: row(|e| COULOMB * e.charge_product),
            sigma2: row(|e| e.sigma * e.sigma),
            epsilon4: row(|e| 4.0 * e.epsilon),
        }
    }

    /// Neither cut off nor screened.
    fn energy(&self, batch: &Batch) -> Tensor {
        let square = self.arrows.of(batch).square().sum_dim_intlist(1, false, None); // [N, M]
        let inverse2 = square.clamp_min(least_square(batch.kind())).reciprocal();
        let sixth = (&inverse2 * &self.sigma2).pow_tensor_scalar(3);
        total(&((&sixth - 1.0) * sixth * &self.epsilon4 + inverse2.sqrt() * &self.charges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_that_of_codata_2018() {
        let (e, na, eps0) = (1.602_176_634e-19, 6.022_140_76e23, 8.854_187_812_8e-12);
        let value = e * e * na / (4.0 * std::f64::consts::PI * eps0) * 1e9 / 1e3;
        assert!((value / COULOMB - 1.0).abs() < 1e-14, "{value}");
    }
}
