//! A Born model's energy for a batch.

use tch::Tensor;

use super::born::{Born, Growth};
use super::distances::{Batch, Distances, total};
use crate::targets::Options;
use crate::targets::support::constant;

/// Solvent probe, nm.
pub const PROBE: f64 = 0.14;
/// HCT's inverse radius (1/nm) would turn negative in collapsed conformations.
pub const LEAST_INVERSE_RADIUS: f64 = 1e-3;

/// The force on a batch.
pub struct BornTerm {
    born: Born,
    charge_pairs: Tensor, // [A, A]: C q_i q_j / 2, zero on the diagonal
    self_charges: Tensor, // [A]: C q^2 / 2
    inner: Tensor,        // [A]
    inner_column: Tensor, // [A, 1]
    scaled: Tensor,       // [A]
    outer: Tensor,        // [A]
    surface: Tensor,      // [A]: A (R + 0.14)^2 R^6
    between: Tensor,      // [A, A] bool: not the diagonal
    curve: Option<[Tensor; 3]>,
    neck: Option<[Tensor; 3]>, // distance, depth, reach [A, A]
}

impl BornTerm {
    pub fn new(born: Born, options: Options) -> Self {
        let atoms = born.atoms() as i64;
        let row = |values: &[f64]| constant(values, &[atoms], options);
        let square = |values: &[f64]| constant(values, &[atoms, atoms], options);
        let charges = row(&born.charges);
        let diagonal = Tensor::eye(atoms, options);
        let surface: Vec<f64> =
            born.outer.iter().map(|radius| born.surface * (radius + PROBE).powi(2) * radius.powi(6)).collect();
        let curve = match &born.growth {
            Growth::Plain => None,
            Growth::Tanh(curve) => Some([0, 1, 2].map(|k| row(&curve.iter().map(|abc| abc[k]).collect::<Vec<_>>()))),
        };
        Self {
            charge_pairs: charges.outer(&charges) * (1.0 - &diagonal) * (0.5 * born.coulomb),
            self_charges: charges.square() * (0.5 * born.coulomb),
            inner: row(&born.inner),
            inner_column: row(&born.inner).unsqueeze(1),
            scaled: row(&born.scaled),
            outer: row(&born.outer),
            surface: row(&surface),
            between: diagonal.eq(0.0),
            curve,
            neck: born.neck.as_ref().map(|neck| [&neck.distance, &neck.depth, &neck.reach].map(|v| square(v))),
            born,
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let r = batch.distances();
        let inverse = self.inverse_radii(&self.integrals(r)); // [N, A]
        let own = -&self.self_charges * &inverse + &self.surface * inverse.pow_tensor_scalar(6);

        let radius = inverse.reciprocal();
        let product = radius.unsqueeze(2) * radius.unsqueeze(1); // [N, A, A]
        let gauss = (&r.square / &product * -0.25).exp();
        let kernel = (&r.square + product * gauss).rsqrt() - self.born.shift;
        let kernel = match self.born.cutoff {
            Some(cutoff) => kernel * r.square.lt(cutoff * cutoff).to_kind(batch.kind()),
            None => kernel,
        };
        total(&own) - total(&(kernel * &self.charge_pairs))
    }

    /// `I_i = sum_j I_ij`: `[N, A]`.
    fn integrals(&self, r: &Distances) -> Tensor {
        let upper = &r.plain + &self.scaled; // [N, A, A]
        let lower = (&r.plain - &self.scaled).abs().maximum(&self.inner_column);
        let (over_upper, over_lower) = (upper.reciprocal(), lower.reciprocal());
        let bare = (&over_lower - &over_upper
            + (&r.plain - self.scaled.square() * &r.inverse) * (over_upper.square() - over_lower.square()) * 0.25
            + (&lower * &over_upper).log() * &r.inverse * 0.5)
            * 0.5;
        let inside = (&self.scaled - &r.plain).gt_tensor(&self.inner_column);
        let integral = match self.born.engulfed {
            true => bare + (self.inner_column.reciprocal() - &over_lower) * inside.to_kind(r.plain.kind()),
            false => bare,
        };
        let integral = integral.where_self(&upper.ge_tensor(&self.inner_column), &integral.zeros_like());
        let integral = match &self.neck {
            Some(neck) => integral + necks(r, neck),
            None => integral,
        };
        let mut counted = self.between.shallow_clone();
        if let Some(cutoff) = self.born.cutoff {
            counted = counted.logical_and(&r.square.lt(cutoff * cutoff));
        }
        integral.where_self(&counted, &integral.zeros_like()).sum_dim_intlist(2, false, None)
    }

    /// `1/B_i` `[N, A]`.
    fn inverse_radii(&self, integrals: &Tensor) -> Tensor {
        let bare = self.inner.reciprocal();
        match &self.curve {
            None => (bare - integrals).clamp_min(LEAST_INVERSE_RADIUS),
            Some([alpha, beta, gamma]) => {
                let psi = integrals * &self.inner;
                let argument = ((gamma * &psi - beta) * &psi + alpha) * &psi;
                bare - argument.tanh() / &self.outer
            }
        }
    }
}

/// The neck corrections of all pairs, `[N, A, A]`.
fn necks(r: &Distances, [distance, depth, reach]: &[Tensor; 3]) -> Tensor {
    let beside = &r.plain - distance;
    let wall = beside.square() * 100.0 + beside.pow_tensor_scalar(6) * 3e5 + 1.0;
    depth / wall * r.plain.le_tensor(reach).to_kind(r.plain.kind())
}
