//! A periodic square lattice: sites row-major, each bound to its right and its lower neighbour.

/// Two sites and how strongly they are coupled.
pub type Bond = (u32, u32, f64);

/// The `2 size²` bonds, first all of site 0 (right, down), then those of site 1; each of strength 1.
///
/// On a 2 x 2 torus every pair of neighbours is bound twice.
pub fn bonds(size: usize) -> Vec<Bond> {
    let site = |row: usize, column: usize| ((row % size) * size + column % size) as u32;
    let of = |k: usize| {
        let (row, column) = (k / size, k % size);
        [(site(row, column), site(row, column + 1), 1.0), (site(row, column), site(row + 1, column), 1.0)]
    };
    (0..size * size).flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_has_four_neighbours() {
        let mut degree = [0; 9];
        for (i, j, strength) in bonds(3) {
            assert!(i != j && strength == 1.0);
            degree[i as usize] += 1;
            degree[j as usize] += 1;
        }
        assert_eq!(degree, [4; 9]);
        assert_eq!(bonds(3)[4..6], [(2, 0, 1.0), (2, 5, 1.0)]);
    }
}
