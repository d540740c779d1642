//! What is measured of conformations: torsions, distances, the hand of every residue. Coordinates are `[N, 3 A]`.

use tch::{Kind, Tensor};

use super::geometry::positions;
use super::topology::{ChiralCentre, Torsion};

/// Dihedral angles in (-pi, pi], trans being pi: `[N, 3 A]` -> `[N, M]`.
pub fn dihedrals(x: &Tensor, quadruples: &[[usize; 4]]) -> Tensor {
    let p = [0, 1, 2, 3].map(|k| picked(x, &column(quadruples, k))); // [N, M, 3]
    let (b1, b2, b3) = (&p[1] - &p[0], &p[2] - &p[1], &p[3] - &p[2]);
    let (m, n) = (b1.linalg_cross(&b2, 2), b2.linalg_cross(&b3, 2));
    let along = (m * &n).sum_dim_intlist(2, false, None);
    let across = (b1 * n).sum_dim_intlist(2, false, None) * b2.norm_scalaropt_dim(2, [2].as_slice(), false);
    across.atan2(&along)
}

/// The angles of torsions found in a topology, `[N, M]`.
pub fn torsions(x: &Tensor, torsions: &[Torsion]) -> Tensor {
    dihedrals(x, &torsions.iter().map(|torsion| torsion.atoms).collect::<Vec<_>>())
}

/// Distances of pairs of atoms in nm, `[N, M]`; of a topology's bonds, for instance.
pub fn distances(x: &Tensor, pairs: &[(usize, usize)]) -> Tensor {
    let ends = |end: fn(&(usize, usize)) -> usize| pairs.iter().map(|pair| end(pair) as i64).collect::<Vec<_>>();
    let (a, b) = (picked(x, &ends(|pair| pair.0)), picked(x, &ends(|pair| pair.1)));
    (a - b).norm_scalaropt_dim(2, [2].as_slice(), false)
}

/// Signed volumes spanned by the bonds from CA to N, C and CB, in nm^3, `[N, M]`: positive for L residues, negative for
/// their mirror images.
pub fn handedness(x: &Tensor, centres: &[ChiralCentre]) -> Tensor {
    let quadruples: Vec<[usize; 4]> = centres.iter().map(|centre| centre.atoms).collect();
    let [ca, n, c, cb] = [0, 1, 2, 3].map(|k| picked(x, &column(&quadruples, k)));
    let (n, c, cb) = (n - &ca, c - &ca, cb - ca);
    (n * c.linalg_cross(&cb, 2)).sum_dim_intlist(2, false, None)
}

/// Fraction of L among the chiral residues of each conformation, `[N]` f64; 1 where there are none.
pub fn l_fraction(x: &Tensor, centres: &[ChiralCentre]) -> Tensor {
    if centres.is_empty() {
        return Tensor::ones([x.size()[0]], (Kind::Double, x.device()));
    }
    handedness(x, centres).gt(0.0).to_kind(Kind::Double).mean_dim([1].as_slice(), false, None)
}

fn column(quadruples: &[[usize; 4]], k: usize) -> Vec<i64> {
    quadruples.iter().map(|atoms| atoms[k] as i64).collect()
}

/// `[N, 3 A]` -> `[N, M, 3]`.
fn picked(x: &Tensor, atoms: &[i64]) -> Tensor {
    positions(x).index_select(1, &Tensor::from_slice(atoms).to_device(x.device()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bent chain whose last bond is turned by a known angle.
    #[test]
    fn dihedrals_have_the_sign_and_zero_of_the_convention() {
        for angle in [0.0, 0.4, 1.5, 3.1, -0.7, -3.0] {
            let (sin, cos) = f64::sin_cos(angle);
            // Seen along the second bond (+z), the last bond lies clockwise of the first by the angle.
            let x = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, cos, sin, 1.0];
            let found = dihedrals(&Tensor::from_slice(&x).view([1, 12]), &[[0, 1, 2, 3]]).double_value(&[0, 0]);
            assert!((found - angle).abs() < 1e-12, "{found} {angle}");
            let reversed = dihedrals(&Tensor::from_slice(&x).view([1, 12]), &[[3, 2, 1, 0]]).double_value(&[0, 0]);
            assert!((reversed - angle).abs() < 1e-12, "read from the other end: {reversed} {angle}");
        }
    }

    #[test]
    fn distances_are_distances() {
        let x = Tensor::from_slice(&[0.0, 0.0, 0.0, 3.0, 4.0, 0.0, 3.0, 4.0, 2.0]).view([1, 9]);
        let found = distances(&x, &[(0, 1), (1, 2)]);
        assert_eq!((found.double_value(&[0, 0]), found.double_value(&[0, 1])), (5.0, 2.0));
    }
}
