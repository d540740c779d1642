//! Bonds, angles, torsions, CMAP and exceptions of a block.

use super::block::{Block, Lanes};
use super::model::Model;
use super::real::Real;

#[inline(always)]
pub fn bonds<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    let half = T::of(0.5);
    for ([i, j], length, k) in &model.bonds {
        let d = block.arrow(*i, *j);
        let (mut energy, mut pull) = ([T::ZERO; L], [T::ZERO; L]);
        for l in 0..L {
            let square = d[0][l].fma::<F>(d[0][l], d[1][l].fma::<F>(d[1][l], d[2][l] * d[2][l]));
            let r = square.larger(T::LEAST_SQUARE).sqrt();
            let stretch = r - *length;
            energy[l] = half * *k * stretch * stretch;
            pull[l] = (*k * stretch / r).only_if(square > T::LEAST_SQUARE);
        }
        block.add_energy(&energy);
        along::<T, L, F>(block, *i, *j, &d, &pull);
    }
}

/// Pulls `i` towards `j` and `j` towards `i` by `pull * d`.
#[inline(always)]
fn along<T: Real, const L: usize, const F: bool>(
    block: &mut Block<T, L>,
    i: usize,
    j: usize,
    d: &[Lanes<T, L>; 3],
    pull: &Lanes<T, L>,
) {
    block.push::<F>(i, d, pull);
    let mut back = [T::ZERO; L];
    for l in 0..L {
        back[l] = -pull[l];
    }
    block.push::<F>(j, d, &back);
}

/// Pairs with Lennard-Jones and Coulomb parameters of their own, neither cut off nor screened.
#[inline(always)]
pub fn exceptions<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    let (six, twelve) = (T::of(6.0), T::of(12.0));
    for ([i, j], [charge, sigma2, epsilon4]) in &model.exceptions {
        let d = block.arrow(*i, *j);
        let (mut energy, mut pull) = ([T::ZERO; L], [T::ZERO; L]);
        for l in 0..L {
            let square = d[0][l].fma::<F>(d[0][l], d[1][l].fma::<F>(d[1][l], d[2][l] * d[2][l]));
            let inverse2 = T::ONE / square.larger(T::LEAST_SQUARE);
            let ratio = *sigma2 * inverse2;
            let sixth = ratio * ratio * ratio;
            let (depth, coulomb) = (*epsilon4 * sixth, *charge * inverse2.sqrt());
            energy[l] = depth.fma::<F>(sixth - T::ONE, coulomb);
            let slope = -depth.fma::<F>(twelve * sixth - six, coulomb) * inverse2;
            pull[l] = slope.only_if(square > T::LEAST_SQUARE);
        }
        block.add_energy(&energy);
        along::<T, L, F>(block, *i, *j, &d, &pull);
    }
}

#[inline(always)]
pub fn angles<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    let half = T::of(0.5);
    for ([i, vertex, j], angle, k) in &model.angles {
        let (u, v) = (block.arrow(*vertex, *i), block.arrow(*vertex, *j));
        let mut energy = [T::ZERO; L];
        let (mut on_i, mut on_j) = ([[T::ZERO; L]; 3], [[T::ZERO; L]; 3]);
        for l in 0..L {
            let (u, v) = ([u[0][l], u[1][l], u[2][l]], [v[0][l], v[1][l], v[2][l]]);
            let w = cross(u, v);
            let (x, y) = (dot::<T, F>(u, v), (dot::<T, F>(w, w) + T::TINY).sqrt());
            let bent = T::angle::<F>(x, y) - *angle;
            energy[l] = half * *k * bent * bent;
            // d theta = (x dy - y dx) / (x^2 + y^2), where y dy/du = v x w and y dy/dv = w x u.
            let strength = *k * bent / x.fma::<F>(x, y * y);
            let (by_u, by_v, slant) = (cross(v, w), cross(w, u), x / y);
            for n in 0..3 {
                on_i[n][l] = strength * (y * v[n] - slant * by_u[n]);
                on_j[n][l] = strength * (y * u[n] - slant * by_v[n]);
            }
        }
        block.add_energy(&energy);
        let (one, mut minus) = ([T::ONE; L], [T::ZERO; L]);
        for l in 0..L {
            minus[l] = -T::ONE;
        }
        block.push::<F>(*i, &on_i, &one);
        block.push::<F>(*j, &on_j, &one);
        block.push::<F>(*vertex, &on_i, &minus);
        block.push::<F>(*vertex, &on_j, &minus);
    }
}

#[inline(always)]
fn dot<T: Real, const F: bool>(a: [T; 3], b: [T; 3]) -> T {
    a[0].fma::<F>(b[0], a[1].fma::<F>(b[1], a[2] * b[2]))
}

#[inline(always)]
fn cross<T: Real>(a: [T; 3], b: [T; 3]) -> [T; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// A dihedral angle and its derivatives (Blondel and Karplus, J. Comput. Chem. 17, 1996).
struct Dihedral<T, const L: usize> {
    cos: Lanes<T, L>,
    sin: Lanes<T, L>,
    /// `d phi / d x` of the first and last atom.
    first: [Lanes<T, L>; 3],
    last: [Lanes<T, L>; 3],
    /// `b1 . b2 / |b2|^2` and `b3 . b2 / |b2|^2`, which give those of the middle atoms.
    before: Lanes<T, L>,
    after: Lanes<T, L>,
}

#[inline(always)]
fn dihedral<T: Real, const L: usize, const F: bool>(block: &Block<T, L>, atoms: &[usize; 4]) -> Dihedral<T, L> {
    let zero = [T::ZERO; L];
    let mut found = Dihedral { cos: zero, sin: zero, first: [zero; 3], last: [zero; 3], before: zero, after: zero };
    let arrows = [0, 1, 2].map(|k| block.arrow(atoms[k], atoms[k + 1]));
    for l in 0..L {
        let at = |k: usize| [arrows[k][0][l], arrows[k][1][l], arrows[k][2][l]];
        let (b1, b2, b3) = (at(0), at(1), at(2));
        let (m, n) = (cross(b1, b2), cross(b2, b3));
        let length2 = dot::<T, F>(b2, b2) + T::TINY;
        let length = length2.sqrt();
        let x = dot::<T, F>(m, n);
        let y = dot::<T, F>(b1, n) * length;
        let inverse = T::ONE / x.fma::<F>(x, y.fma::<F>(y, T::TINY)).sqrt();
        found.cos[l] = x * inverse;
        found.sin[l] = y * inverse;
        let (over_m, over_n) = (length / (dot::<T, F>(m, m) + T::TINY), length / (dot::<T, F>(n, n) + T::TINY));
        for k in 0..3 {
            found.first[k][l] = -over_m * m[k];
            found.last[k][l] = over_n * n[k];
        }
        found.before[l] = dot::<T, F>(b1, b2) / length2;
        found.after[l] = dot::<T, F>(b3, b2) / length2;
    }
    found
}

/// Applies `-slope * d phi / d x`.
#[inline(always)]
fn twist<T: Real, const L: usize, const F: bool>(
    block: &mut Block<T, L>,
    atoms: &[usize; 4],
    dihedral: &Dihedral<T, L>,
    slope: &Lanes<T, L>,
) {
    let mut shares = [[[T::ZERO; L]; 2]; 4];
    for l in 0..L {
        let (s, before, after) = (slope[l], dihedral.before[l], dihedral.after[l]);
        shares[0][0][l] = -s;
        shares[1][0][l] = s * (T::ONE + before);
        shares[1][1][l] = -s * after;
        shares[2][0][l] = -s * before;
        shares[2][1][l] = s * (T::ONE + after);
        shares[3][1][l] = -s;
    }
    block.push::<F>(atoms[0], &dihedral.first, &shares[0][0]);
    for k in [1, 2] {
        block.push::<F>(atoms[k], &dihedral.first, &shares[k][0]);
        block.push::<F>(atoms[k], &dihedral.last, &shares[k][1]);
    }
    block.push::<F>(atoms[3], &dihedral.last, &shares[3][1]);
}

#[inline(always)]
pub fn torsions<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    for (atoms, series) in &model.torsions {
        let found = dihedral::<T, L, F>(block, atoms);
        let (mut energy, mut slope) = ([T::ZERO; L], [T::ZERO; L]);
        // cos and sin of n phi from those of (n - 1) phi, beginning at 0.
        let (mut cos, mut sin) = ([T::ONE; L], [T::ZERO; L]);
        let mut n = T::ZERO;
        for [a, b] in series {
            n += T::ONE;
            for l in 0..L {
                let next = cos[l] * found.cos[l] - sin[l] * found.sin[l];
                sin[l] = sin[l].fma::<F>(found.cos[l], cos[l] * found.sin[l]);
                cos[l] = next;
                energy[l] = a.fma::<F>(cos[l], b.fma::<F>(sin[l], energy[l]));
                slope[l] = n.fma::<F>(*b * cos[l] - *a * sin[l], slope[l]);
            }
        }
        block.add_energy(&energy);
        twist::<T, L, F>(block, atoms, &found, &slope);
    }
}

/// A handful of terms in one force field: angle and patch are found lane by lane, in f64.
#[inline(always)]
pub fn cmap<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    let Some((maps, torsions)) = &model.cmap else { return };
    for torsion in torsions {
        let patches = &maps[torsion.map];
        let (first, second) = (dihedral::<T, L, F>(block, &torsion.a), dihedral::<T, L, F>(block, &torsion.b));
        let (mut energy, mut slope_a, mut slope_b) = ([T::ZERO; L], [T::ZERO; L], [T::ZERO; L]);
        for l in 0..L {
            let a = first.sin[l].wide().atan2(first.cos[l].wide());
            let b = second.sin[l].wide().atan2(second.cos[l].wide());
            let [value, by_a, by_b] = patches.at(a, b);
            energy[l] = T::of(value);
            slope_a[l] = T::of(by_a);
            slope_b[l] = T::of(by_b);
        }
        block.add_energy(&energy);
        twist::<T, L, F>(block, &torsion.a, &first, &slope_a);
        twist::<T, L, F>(block, &torsion.b, &second, &slope_b);
    }
}
