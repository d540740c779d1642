//! CMAP: an energy on the torus of two torsions, interpolated by bicubic patches.

use tch::{Kind, Tensor};

use super::bonded::Dihedrals;
use super::distances::{Batch, total};
use super::system::{Cmap, CmapGrid};
use crate::targets::Options;
use crate::targets::support::constant;

/// The patches of one map: `coefficients[i + size j][4 m + n]` multiplies `u^m v^n`, where `u` and `v` in [0, 1) lead
/// from the corner `(i, j)` to the next.
#[derive(Debug, Clone)]
pub struct Patches {
    pub size: usize,
    pub coefficients: Vec<[f64; 16]>,
}

impl Patches {
    /// The bicubic interpolation whose derivatives at the nodes are those of periodic cubic splines along the first
    /// angle, along the second, and along the first of the derivative along the second.
    pub fn new(grid: &CmapGrid) -> Self {
        let size = grid.size;
        let slope = SplineSlope::new(size);
        let first = slope.along_first(&grid.energies);
        let second = slope.along_second(&grid.energies);
        let mixed = slope.along_first(&second);
        let at = |values: &[f64], i: usize, j: usize| values[i % size + size * (j % size)];
        let patch = |i: usize, j: usize| {
            let corner = |values: &[f64]| {
                [[at(values, i, j), at(values, i, j + 1)], [at(values, i + 1, j), at(values, i + 1, j + 1)]]
            };
            hermite(corner(&grid.energies), corner(&first), corner(&second), corner(&mixed))
        };
        let coefficients = (0..size * size).map(|k| patch(k % size, k / size)).collect();
        Self { size, coefficients }
    }

    /// Energy at two angles, and its derivatives along each.
    pub fn at(&self, a: f64, b: f64) -> [f64; 3] {
        let scale = self.size as f64 / (2.0 * std::f64::consts::PI);
        let place = |angle: f64| {
            let along = angle.rem_euclid(2.0 * std::f64::consts::PI) * scale;
            let cell = (along as usize).min(self.size - 1);
            (cell, along - cell as f64)
        };
        let ((i, u), (j, v)) = (place(a), place(b));
        let patch = &self.coefficients[i + self.size * j];

        // Horner's rule along v for each power of u, then along u, each with its derivative.
        let cubic =
            |c: [f64; 4], t: f64| [((c[3] * t + c[2]) * t + c[1]) * t + c[0], (3.0 * c[3] * t + 2.0 * c[2]) * t + c[1]];
        let rows = [0, 1, 2, 3].map(|m| cubic([patch[4 * m], patch[4 * m + 1], patch[4 * m + 2], patch[4 * m + 3]], v));
        let [value, by_u] = cubic(rows.map(|row| row[0]), u);
        let [by_v, _] = cubic(rows.map(|row| row[1]), u);
        [value, by_u * scale, by_v * scale]
    }
}

/// Slopes, per cell, of the periodic cubic spline through `size` values: a linear map of them.
struct SplineSlope {
    size: usize,
    weights: Vec<f64>, // slope at node 0 for a one at node k
}

impl SplineSlope {
    /// The slopes `s` satisfy `s[i-1] + 4 s[i] + s[i+1] = 3 (y[i+1] - y[i-1])`, a circulant system: its inverse is a
    /// sum over cosines.
    fn new(size: usize) -> Self {
        let turn = 2.0 * std::f64::consts::PI / size as f64;
        let weight = |k: usize| {
            let mode = |w: usize| {
                let angle = turn * w as f64;
                // The response of mode w is 6 i sin(angle) / (4 + 2 cos(angle)); a one at node k has phase -k angle.
                6.0 * angle.sin() / (4.0 + 2.0 * angle.cos()) * (turn * (w * k % size) as f64).sin()
            };
            (0..size).map(mode).sum::<f64>() / size as f64
        };
        Self { size, weights: (0..size).map(weight).collect() }
    }

    fn along_first(&self, values: &[f64]) -> Vec<f64> {
        let slope = |i: usize, j: usize| -> f64 {
            (0..self.size).map(|k| self.weights[k] * values[(i + k) % self.size + self.size * j]).sum()
        };
        (0..values.len()).map(|p| slope(p % self.size, p / self.size)).collect()
    }

    fn along_second(&self, values: &[f64]) -> Vec<f64> {
        let slope = |i: usize, j: usize| -> f64 {
            (0..self.size).map(|k| self.weights[k] * values[i + self.size * ((j + k) % self.size)]).sum()
        };
        (0..values.len()).map(|p| slope(p % self.size, p / self.size)).collect()
    }
}

/// Coefficients of the patch with these values and slopes at its corners `[first][second]`.
fn hermite(value: [[f64; 2]; 2], first: [[f64; 2]; 2], second: [[f64; 2]; 2], mixed: [[f64; 2]; 2]) -> [f64; 16] {
    // Powers of u from (f(0), f(1), f'(0), f'(1)).
    const POWERS: [[f64; 4]; 4] =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [-3.0, 3.0, -2.0, -1.0], [2.0, -2.0, 1.0, 1.0]];
    let data = [
        [value[0][0], value[0][1], second[0][0], second[0][1]],
        [value[1][0], value[1][1], second[1][0], second[1][1]],
        [first[0][0], first[0][1], mixed[0][0], mixed[0][1]],
        [first[1][0], first[1][1], mixed[1][0], mixed[1][1]],
    ];
    let mut coefficients = [0.0; 16];
    for (place, coefficient) in coefficients.iter_mut().enumerate() {
        let (m, n) = (place / 4, place % 4);
        for (row, along) in data.iter().zip(POWERS[m]) {
            *coefficient += along * row.iter().zip(POWERS[n]).map(|(datum, power)| datum * power).sum::<f64>();
        }
    }
    coefficients
}

/// The force on a batch.
pub struct CmapTerm {
    first: Dihedrals,
    second: Dihedrals,
    sizes: Tensor,   // [M]
    offsets: Tensor, // [M]: where each torsion pair's map begins in the table
    table: Tensor,   // [cells of all maps, 16]
}

impl CmapTerm {
    pub fn new(cmap: &Cmap, atoms: usize, options: Options) -> Self {
        let maps: Vec<Patches> = cmap.maps.iter().map(Patches::new).collect();
        let mut starts = vec![0.0];
        for map in &maps {
            starts.push(starts[starts.len() - 1] + (map.size * map.size) as f64);
        }
        let table: Vec<f64> = maps.iter().flat_map(|map| map.coefficients.iter().flatten().copied()).collect();
        let count = cmap.torsions.len() as i64;
        let of = |pick: &dyn Fn(usize) -> f64| -> Vec<f64> { cmap.torsions.iter().map(|t| pick(t.map)).collect() };
        let wide = (Kind::Double, options.1);
        Self {
            first: Dihedrals::new(&cmap.torsions.iter().map(|t| t.a).collect::<Vec<_>>(), atoms, options),
            second: Dihedrals::new(&cmap.torsions.iter().map(|t| t.b).collect::<Vec<_>>(), atoms, options),
            sizes: constant(&of(&|map| maps[map].size as f64), &[count], wide),
            offsets: constant(&of(&|map| starts[map]), &[count], wide),
            table: constant(&table, &[-1, 16], options),
        }
    }

    pub fn energy(&self, batch: &Batch) -> Tensor {
        let (i, u) = self.cell(self.first.of(batch));
        let (j, v) = self.cell(self.second.of(batch));
        let place = (i + j * &self.sizes + &self.offsets).to_kind(Kind::Int64); // [N, M]
        let patch = self.table.index_select(0, &place.flatten(0, -1));
        let patch = patch.view([place.size()[0], place.size()[1], 4, 4]);
        let powers = |u: Tensor| Tensor::stack(&[u.ones_like(), u.shallow_clone(), u.square(), u.square() * &u], -1);
        let along_second = (patch * powers(v).unsqueeze(-2)).sum_dim_intlist(-1, false, None); // [N, M, 4]
        total(&(along_second * powers(u)))
    }

    /// Index of the cell an angle lies in (f64, without gradient) and the place within, 0 to 1.
    ///
    /// The place is measured from the middle of the cell by an arc sine, which is smooth there, and everywhere finite.
    fn cell(&self, (cos, sin): (Tensor, Tensor)) -> (Tensor, Tensor) {
        let turn = 2.0 * std::f64::consts::PI;
        let angle = sin.detach().to_kind(Kind::Double).atan2(&cos.detach().to_kind(Kind::Double)).remainder(turn);
        let last = &self.sizes - 1.0;
        let cell = (angle / turn * &self.sizes).floor().minimum(&last);
        let middle = (&cell + 0.5) / &self.sizes * turn;
        let (cos_middle, sin_middle) = (middle.cos().to_kind(cos.kind()), middle.sin().to_kind(cos.kind()));
        let from_middle = (sin * cos_middle - cos * sin_middle).asin();
        let place = from_middle * (&self.sizes / turn).to_kind(self.table.kind()) + 0.5;
        (cell, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth periodic function is met at the nodes and nearly between them, slopes continuous across cells.
    #[test]
    fn patches_interpolate() {
        let size = 24;
        let turn = 2.0 * std::f64::consts::PI;
        let f = |a: f64, b: f64| (a + 0.3).sin() * (b - 0.5).cos() + 0.2 * (2.0 * a).cos();
        let node = |i: usize| turn * i as f64 / size as f64;
        let energies = (0..size * size).map(|k| f(node(k % size), node(k / size))).collect();
        let patches = Patches::new(&CmapGrid { size, energies });
        let value = |i: usize, j: usize, u: f64, v: f64| {
            let c = &patches.coefficients[i + size * j];
            (0..16).map(|k| c[k] * u.powi(k as i32 / 4) * v.powi(k as i32 % 4)).sum::<f64>()
        };
        for k in 0..size * size {
            let (i, j) = (k % size, k / size);
            assert!((value(i, j, 0.0, 0.0) - f(node(i), node(j))).abs() < 1e-13);
            let between = f(node(i) + 0.4 * turn / size as f64, node(j) + 0.7 * turn / size as f64);
            assert!((value(i, j, 0.4, 0.7) - between).abs() < 2e-4, "{} {between}", value(i, j, 0.4, 0.7));
            let h = 1e-6;
            let before = (value(i, j, 1.0, 0.3) - value(i, j, 1.0 - h, 0.3)) / h;
            let after = (value((i + 1) % size, j, h, 0.3) - value((i + 1) % size, j, 0.0, 0.3)) / h;
            assert!((before - after).abs() < 1e-5, "{before} {after}");
        }
    }
}
