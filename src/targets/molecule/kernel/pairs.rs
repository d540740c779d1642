//! The passes over all pairs of atoms: interactions and Born integrals, Born energies, forces.
//!
//! Every pass writes to local arrays and copies them out at the end: the compiler then knows that nothing overlaps, and
//! turns the loop over lanes into a few vector instructions a line.

use super::block::{Block, BornLanes, Lanes};
use super::model::{BornModel, Model, NonbondedModel};
use super::real::Real;
use crate::targets::molecule::born_term::LEAST_INVERSE_RADIUS;

/// Lennard-Jones and Coulomb energies and their pull, and with `BORN` the integrals `I_i` and their slopes.
#[inline(always)]
pub fn interactions<T: Real, const L: usize, const F: bool, const BORN: bool>(
    model: &Model<T>,
    force: &NonbondedModel<T>,
    block: &mut Block<T, L>,
) {
    let (six, twelve) = (T::of(6.0), T::of(12.0));
    let mut p = 0;
    for i in 0..model.atoms {
        let [xi, yi, zi] = block.x[i];
        let mut energy = [T::ZERO; L];
        let mut integral = if BORN { block.born[i].integral } else { [T::ZERO; L] };
        for j in i + 1..model.atoms {
            let [charge, sigma2, epsilon4] = force.pairs[p];
            let [xj, yj, zj] = &block.x[j];
            let mut pull = [T::ZERO; L];
            let (mut slope_i, mut slope_j, mut integral_j) = ([T::ZERO; L], [T::ZERO; L], [T::ZERO; L]);
            for l in 0..L {
                let (dx, dy, dz) = (xj[l] - xi[l], yj[l] - yi[l], zj[l] - zi[l]);
                let square = dx.fma::<F>(dx, dy.fma::<F>(dy, dz * dz)).larger(T::LEAST_SQUARE);
                let inverse = T::ONE / square.sqrt();
                let inverse2 = inverse * inverse;
                let near = square < force.cutoff2;

                let ratio = sigma2 * inverse2;
                let sixth = ratio * ratio * ratio;
                let (depth, coulomb) = (epsilon4 * sixth, charge * inverse);
                let screen = charge * square.fma::<F>(force.quadratic, -force.shift);
                let value = depth.fma::<F>(sixth - T::ONE, coulomb + screen);
                energy[l] += value.only_if(near);
                let slope = depth.fma::<F>(twelve * sixth - six, coulomb);
                let field = charge * (force.quadratic + force.quadratic);
                pull[l] = (field - slope * inverse2).only_if(near);

                if BORN && let Some(born) = &model.born {
                    let (a, b) = (&born.atoms[i], &born.atoms[j]);
                    let near = square < born.cutoff2;
                    let r = square * inverse;
                    let toward = descreen::<T, F>(r, inverse, a.inner, a.over_inner, b.scaled, born.engulfed);
                    let back = descreen::<T, F>(r, inverse, b.inner, b.over_inner, a.scaled, born.engulfed);
                    integral[l] += toward[0].only_if(near);
                    integral_j[l] = back[0].only_if(near);
                    slope_i[l] = (toward[1] * inverse).only_if(near);
                    slope_j[l] = (back[1] * inverse).only_if(near);
                }
            }
            let pair = &mut block.pairs[p];
            pair.pull = pull;
            if BORN {
                pair.slope = [slope_i, slope_j];
                add(&mut block.born[j].integral, &integral_j);
            }
            p += 1;
        }
        if BORN {
            block.born[i].integral = integral;
        }
        block.add_energy(&energy);
    }
}

/// `I_ij` and `dI_ij/dr` of atom `i` (offset radius `inner`) under the sphere of `j` (scaled radius `scaled`).
///
/// Where the far end `U` and the near end `L` move with `r`, most of their derivatives cancel; what stays is
/// `1/2 [1/4 (1 + s^2/r^2)(1/U^2 - 1/L^2) - 1/2 ln(L/U)/r^2]`, and `1/L^2` where `i` lies inside the sphere.
#[inline(always)]
fn descreen<T: Real, const F: bool>(r: T, inverse: T, inner: T, over_inner: T, scaled: T, engulfed: T) -> [T; 2] {
    let (half, quarter) = (T::of(0.5), T::of(0.25));
    let upper = r + scaled;
    let lower = (r - scaled).abs().larger(inner);
    let both = T::ONE / (upper * lower);
    let (over_upper, over_lower) = (lower * both, upper * both);
    let log = (lower * over_upper).ln::<F>() * inverse;
    let squares = (over_upper - over_lower) * (over_upper + over_lower);
    let ratio = scaled * scaled * inverse;

    let inside = scaled - r > inner;
    let value = over_lower - over_upper + quarter * (r - ratio) * squares + half * log;
    let value = half.fma::<F>(value, (engulfed * (over_inner - over_lower)).only_if(inside));
    let slope = quarter * ratio.fma::<F>(inverse, T::ONE) * squares - half * log * inverse;
    let slope = half.fma::<F>(slope, ((T::ONE - engulfed) * over_lower * over_lower).only_if(inside));
    let reached = upper >= inner;
    [value.only_if(reached), slope.only_if(reached)]
}

#[inline(always)]
fn add<T: Real, const L: usize>(sum: &mut Lanes<T, L>, terms: &Lanes<T, L>) {
    for l in 0..L {
        sum[l] += terms[l];
    }
}

/// The neck corrections, added to integrals and slopes.
#[inline(always)]
pub fn necks<T: Real, const L: usize, const F: bool>(born: &BornModel<T>, block: &mut Block<T, L>) {
    let Some(necks) = &born.neck else { return };
    let mut p = 0;
    for i in 0..born.atoms.len() {
        for j in i + 1..born.atoms.len() {
            let d = block.arrow(i, j);
            for (side, [distance, depth, reach]) in necks[p].iter().enumerate() {
                let (mut value, mut slope) = ([T::ZERO; L], [T::ZERO; L]);
                for l in 0..L {
                    let square = d[0][l].fma::<F>(d[0][l], d[1][l].fma::<F>(d[1][l], d[2][l] * d[2][l]));
                    let square = square.larger(T::LEAST_SQUARE);
                    let r = square.sqrt();
                    let beside = r - *distance;
                    let beside2 = beside * beside;
                    let beside4 = beside2 * beside2;
                    let wall = T::ONE / (T::ONE + T::of(100.0) * beside2 + T::of(3e5) * beside4 * beside2);
                    let counted = r <= *reach && square < born.cutoff2;
                    value[l] = (*depth * wall).only_if(counted);
                    let rise = beside * (T::of(200.0) + T::of(1.8e6) * beside4);
                    slope[l] = (-*depth * rise * wall * wall / r).only_if(counted);
                }
                add(&mut block.born[if side == 0 { i } else { j }].integral, &value);
                add(&mut block.pairs[p].slope[side], &slope);
            }
            p += 1;
        }
    }
}

/// Born radii from the integrals, and the energies of single atoms.
#[inline(always)]
pub fn radii<T: Real, const L: usize, const F: bool>(born: &BornModel<T>, block: &mut Block<T, L>) {
    let (two, three, six) = (T::of(2.0), T::of(3.0), T::of(6.0));
    for (i, atom) in born.atoms.iter().enumerate() {
        let integral = block.born[i].integral;
        let zero = [T::ZERO; L];
        let mut found = BornLanes { integral, inverse: zero, radius: zero, growth: zero, slope: zero };
        let mut energy = zero;
        let [alpha, beta, gamma] = atom.curve;
        for l in 0..L {
            let psi = integral[l] * atom.inner;
            let tanh = (((gamma * psi - beta) * psi + alpha) * psi).tanh::<F>();
            let bend = alpha - two * beta * psi + three * gamma * psi * psi;
            let curved = atom.over_inner - tanh * atom.over_outer;
            let straight = (atom.over_inner - integral[l]).larger(T::of(LEAST_INVERSE_RADIUS));
            let inverse = if born.plain { straight } else { curved };
            let radius = T::ONE / inverse;
            // 1 - tanh^2 vanishes long before the cubic overflows.
            let decline = (T::ONE - tanh * tanh) * bend * atom.inner * atom.over_outer;
            let flat = T::ONE.only_if(straight > T::of(LEAST_INVERSE_RADIUS));
            let sixth = inverse * inverse * inverse;
            let surface = atom.surface * sixth * sixth;
            energy[l] = surface - atom.charge * inverse;
            found.inverse[l] = inverse;
            found.radius[l] = radius;
            found.growth[l] = radius * radius * if born.plain { flat } else { decline };
            found.slope[l] = (atom.charge * inverse - six * surface) * inverse;
        }
        block.born[i] = found;
        block.add_energy(&energy);
    }
}

/// The energies of pairs through the solvent: adds to the pull of each pair and to `dE/dB` of each atom.
#[inline(always)]
pub fn solvent<T: Real, const L: usize, const F: bool>(born: &BornModel<T>, block: &mut Block<T, L>) {
    let (half, quarter) = (T::of(0.5), T::of(0.25));
    let mut p = 0;
    for i in 0..born.atoms.len() {
        let [xi, yi, zi] = block.x[i];
        let (inverse_i, radius_i) = (block.born[i].inverse, block.born[i].radius);
        let (mut energy, mut slope_i) = ([T::ZERO; L], block.born[i].slope);
        for j in i + 1..born.atoms.len() {
            let charge = born.charges[p];
            let [xj, yj, zj] = &block.x[j];
            let other = &block.born[j];
            let (mut pull, mut slope_j) = (block.pairs[p].pull, other.slope);
            for l in 0..L {
                let (dx, dy, dz) = (xj[l] - xi[l], yj[l] - yi[l], zj[l] - zi[l]);
                let square = dx.fma::<F>(dx, dy.fma::<F>(dy, dz * dz)).larger(T::LEAST_SQUARE);
                let reduced = quarter * square * inverse_i[l] * other.inverse[l];
                let gauss = (-reduced).exp::<F>();
                let (radius_j, product) = (other.radius[l], radius_i[l] * other.radius[l]);
                let inverse = T::ONE / product.fma::<F>(gauss, square).sqrt();
                let near = square < born.cutoff2;
                energy[l] -= (charge * (inverse - born.shift)).only_if(near);

                // dE/df^2; f^2 = r^2 + B_i B_j g with g = exp(-r^2 / 4 B_i B_j).
                let slope = (half * charge * inverse * inverse * inverse).only_if(near);
                pull[l] += (slope + slope) * (T::ONE - quarter * gauss);
                let common = slope * gauss * (T::ONE + reduced);
                slope_i[l] = common.fma::<F>(radius_j, slope_i[l]);
                slope_j[l] = common.fma::<F>(radius_i[l], slope_j[l]);
            }
            block.pairs[p].pull = pull;
            block.born[j].slope = slope_j;
            p += 1;
        }
        block.born[i].slope = slope_i;
        block.add_energy(&energy);
    }
    for atom in &mut block.born {
        for l in 0..L {
            atom.slope[l] = atom.slope[l] * atom.growth[l];
        }
    }
}

/// Forces from the pulls and, with `BORN`, from how every pair moves the Born radii of both its atoms.
#[inline(always)]
pub fn forces<T: Real, const L: usize, const F: bool, const BORN: bool>(block: &mut Block<T, L>) {
    let atoms = block.x.len();
    let mut p = 0;
    for i in 0..atoms {
        let [xi, yi, zi] = block.x[i];
        let [mut fx, mut fy, mut fz] = block.forces[i];
        let rise_i = if BORN { block.born[i].slope } else { [T::ZERO; L] };
        for j in i + 1..atoms {
            let [xj, yj, zj] = &block.x[j];
            let [mut gx, mut gy, mut gz] = block.forces[j];
            let pair = &block.pairs[p];
            let rise_j = if BORN { block.born[j].slope } else { [T::ZERO; L] };
            for l in 0..L {
                let (dx, dy, dz) = (xj[l] - xi[l], yj[l] - yi[l], zj[l] - zi[l]);
                let square = dx.fma::<F>(dx, dy.fma::<F>(dy, dz * dz));
                let mut pull = pair.pull[l];
                if BORN {
                    pull = rise_i[l].fma::<F>(pair.slope[0][l], rise_j[l].fma::<F>(pair.slope[1][l], pull));
                }
                let pull = pull.only_if(square > T::LEAST_SQUARE);
                fx[l] = pull.fma::<F>(dx, fx[l]);
                fy[l] = pull.fma::<F>(dy, fy[l]);
                fz[l] = pull.fma::<F>(dz, fz[l]);
                gx[l] -= pull * dx;
                gy[l] -= pull * dy;
                gz[l] -= pull * dz;
            }
            block.forces[j] = [gx, gy, gz];
            p += 1;
        }
        block.forces[i] = [fx, fy, fz];
    }
}
