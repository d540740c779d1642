//! A log-Gaussian Cox process on the positions of Finnish pines.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::logistic::DataConfig;
use super::support::{LN_2PI, constant, exponent_bound};
use super::{Options, Target};
use crate::bad_input;
use crate::config::check;
use crate::io::table::{TableSource, read_table};

/// Marginal variance and inverse length (in fractions of the square) of the Gaussian field.
const VARIANCE: f64 = 1.91;
const INVERSE_LENGTH: f64 = 33.0;
/// The number of trees, which sets the mean intensity.
const TREES: usize = 126;

const SOURCE: TableSource = TableSource {
    origin: "R package spatstat, data set finpines: 126 points (x and y in the unit square, or finpines.txt in metres)",
    words: &[],
};

/// Resolution of the grid and where the points lie.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LgcpConfig {
    /// Cells a side; `dim` is its square. The benchmark has 40.
    #[serde(default = "forty")]
    pub size: i64,
    #[serde(default)]
    pub data: Option<std::path::PathBuf>,
}

fn forty() -> i64 {
    40
}

/// `log N(x | mu, K) + sum over cells of x_i c_i - exp(x_i) / D` (Moller, Syversveen and Waagepetersen, "Log Gaussian
/// Cox processes", Scand. J. Statist. 25, 1998; as a sampling benchmark in Arbel, Matthews and Doucet, ICML 2021).
///
/// `K = 1.91 exp(-33 |i - j| / size)` with distances in cells, `mu = log 126 - 1.91 / 2`, `c` the counts of 126 trees.
/// Unwhitened, with the full Gaussian normaliser and without `log c_i!`. In f32 the intensity is held from `x_i > 75`.
pub struct Lgcp {
    counts: Tensor,    // [D]
    precision: Tensor, // [D, D]
    mean: f64,
    area: f64,
    bound: f64,
    log_norm: f64,
}

impl Lgcp {
    pub fn new(config: &LgcpConfig, options: Options) -> Result<Self> {
        check::at_least("target.size", config.size, 2)?;
        let path = DataConfig { data: config.data.clone() }.path_or("pines.csv");
        let points = read_points(&path)?;
        Self::from_counts(&count(&points, config.size as usize), options)
    }

    /// From the number of trees in every cell, row by row of a square grid.
    pub fn from_counts(counts: &[f64], options: Options) -> Result<Self> {
        let dim = counts.len() as i64;
        let size = (dim as f64).sqrt().round() as i64;
        let factor = covariance(size, (Kind::Double, options.1)).linalg_cholesky(false);
        let log_det = factor.diagonal(0, 0, 1).log().sum(Kind::Double).double_value(&[]);
        Ok(Self {
            counts: constant(counts, &[dim], options),
            precision: factor.cholesky_inverse(false).to_kind(options.0),
            mean: (TREES as f64).ln() - 0.5 * VARIANCE,
            area: 1.0 / dim as f64,
            bound: exponent_bound(options.0),
            log_norm: -log_det - 0.5 * LN_2PI * dim as f64,
        })
    }
}

/// Exponential covariance between the cells of a `size` x `size` grid, `[D, D]`.
fn covariance(size: i64, options: Options) -> Tensor {
    let axis = Tensor::arange(size, options);
    let rows = axis.repeat_interleave_self_int(size, 0, None);
    let columns = axis.repeat([size]);
    let apart = |u: Tensor| (u.unsqueeze(1) - u.unsqueeze(0)).square();
    let distance = (apart(rows) + apart(columns)).sqrt();
    (distance * (-INVERSE_LENGTH / size as f64)).exp() * VARIANCE
}

/// Points in the unit square, from a table of `x, y` or `number, x, y` there, or of `x, y, diameter, height` in metres.
fn read_points(path: &Path) -> Result<Vec<[f64; 2]>> {
    let rows = read_table(path, SOURCE, &[2, 3, 4])?;
    let points: Vec<[f64; 2]> = rows
        .iter()
        .map(|row| match row.as_slice() {
            [_, x, y] => [*x, *y],
            // spatstat's window is [-5, 5] x [-8, 2] metres.
            [x, y, _, _] => [(x + 5.0) / 10.0, (y + 8.0) / 10.0],
            row => [row[0], row[1]],
        })
        .collect();

    let name = path.display();
    if points.len() != TREES {
        return Err(bad_input!("{name}: found {} points, expected the {TREES} of finpines", points.len()));
    }
    if let Some(row) = points.iter().position(|p| p.iter().any(|v| !(0.0..=1.0).contains(v))) {
        let [x, y] = points[row];
        return Err(bad_input!("{name}: data row {}: ({x}, {y}) lies outside the unit square", row + 1));
    }
    Ok(points)
}

/// How many points fall into each cell; `x` counts rows, `y` columns.
fn count(points: &[[f64; 2]], size: usize) -> Vec<f64> {
    let mut counts = vec![0.0; size * size];
    for point in points {
        let [row, column] = point.map(|v| ((v * size as f64) as usize).min(size - 1));
        counts[row * size + column] += 1.0;
    }
    counts
}

impl Target for Lgcp {
    fn dim(&self) -> i64 {
        self.counts.size()[0]
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let centred = x - self.mean;
        let gaussian = (centred.matmul(&self.precision) * centred).sum_dim_intlist(-1, false, None) * -0.5;
        let intensity = x.clamp_max(self.bound).exp() * self.area;
        gaussian + (x * &self.counts - intensity).sum_dim_intlist(-1, false, None) + self.log_norm
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let pull = (x - self.mean).matmul(&self.precision);
        &self.counts - x.clamp_max(self.bound).exp() * self.area - pull
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_points(text: String) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn both_tables_of_the_pines_give_the_same_counts() {
        let unit = |i: usize| ((i * 29 % 126) as f64 / 126.0 + 1e-3, (i * 47 % 126) as f64 / 126.0 + 1e-3);
        let plain: String = (0..TREES).map(|i| format!("\"{i}\",{},{}\n", unit(i).0, unit(i).1)).collect();
        let metres = |i: usize| format!("{} {} 3 1.5\n", unit(i).0 * 10.0 - 5.0, unit(i).1 * 10.0 - 8.0);
        let metric: String = (0..TREES).map(metres).collect();

        let [a, b] = [plain, metric].map(|text| count(&read_points(write_points(text).path()).unwrap(), 40));
        assert_eq!(a.iter().sum::<f64>(), TREES as f64);
        assert_eq!(a, b);
    }

    #[test]
    fn a_point_outside_and_a_wrong_number_are_refused() {
        let short = write_points("0.1,0.2\n0.3,0.4\n".into());
        assert!(read_points(short.path()).unwrap_err().to_string().contains("found 2 points"));
        let outside = write_points((0..TREES).map(|i| format!("{},0.5\n", i as f64 / 100.0)).collect());
        assert!(read_points(outside.path()).unwrap_err().to_string().contains("data row 102"));
    }

    #[test]
    fn the_covariance_is_exponential_in_the_distance() {
        let k = covariance(40, (Kind::Double, tch::Device::Cpu));
        let at = |i: i64, j: i64| k.double_value(&[i, j]);
        assert!((at(0, 0) - 1.91).abs() < 1e-14);
        assert!((at(0, 41) - 1.91 * (-2f64.sqrt() * 33.0 / 40.0).exp()).abs() < 1e-14);
        assert!((at(0, 41) - at(41, 0)).abs() < 1e-15);
    }
}
