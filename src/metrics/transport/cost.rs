//! Squared distances between two point sets, ready for a solver that reads whole rows.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// What is meant by the distance of two points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Geometry {
    /// Euclidean.
    Flat,
    /// Every coordinate is an angle in radians: differences go the short way round.
    Torus,
}

impl Geometry {
    /// The part of one coordinate in a squared distance.
    #[inline]
    fn term(self, a: f64, b: f64) -> f64 {
        let apart = (a - b).abs();
        match self {
            Self::Flat => apart * apart,
            Self::Torus => {
                let short = apart.min(std::f64::consts::TAU - apart);
                short * short
            }
        }
    }
}

/// Rows are padded to whole vectors with infinite costs, which no solution uses.
pub(super) const LANES: usize = 8;

/// All squared distances of N rows to M columns, in f32: four bytes a pair.
///
/// Each entry is rounded by at most 2⁻²⁴ of itself, so what is optimal for this matrix costs at most 1.2e-7 of the
/// optimum more than the optimum; [`exact`](Self::exact) gives single costs unrounded.
pub struct CostMatrix {
    pub rows: usize,
    pub columns: usize,
    stride: usize,
    rounded: Vec<f32>,
    geometry: Geometry,
    dim: usize,
    x: Vec<f64>,
    y: Vec<f64>,
}

impl CostMatrix {
    /// Points `x` `[N, D]` and `y` `[M, D]`, of any float kind and device.
    pub fn new(x: &Tensor, y: &Tensor, geometry: Geometry) -> Result<Self> {
        let ((n, d), (m, other)) = (x.size2()?, y.size2()?);
        ensure!(
            d == other && n > 0 && m > 0 && n < i32::MAX as i64 && m < i32::MAX as i64,
            "transport between point sets of shapes [{n}, {d}] and [{m}, {other}]"
        );
        let (rows, columns, dim) = (n as usize, m as usize, d as usize);
        let stride = columns.next_multiple_of(LANES);
        let (x, y) = (coordinates(x, geometry)?, coordinates(y, geometry)?);
        let mut matrix = Self { rows, columns, stride, rounded: Vec::new(), geometry, dim, x, y };
        matrix.fill();
        Ok(matrix)
    }

    /// Coordinate by coordinate, so that the inner loop runs over columns.
    fn fill(&mut self) {
        let (columns, dim) = (self.columns, self.dim);
        let by_coordinate: Vec<Vec<f64>> =
            (0..dim).map(|d| self.y.iter().skip(d).step_by(dim).copied().collect()).collect();
        let mut sums = vec![0.0; columns];
        self.rounded = Vec::with_capacity(self.rows * self.stride);
        for point in self.x.chunks_exact(dim) {
            sums.fill(0.0);
            for (a, column) in point.iter().zip(&by_coordinate) {
                sums.iter_mut().zip(column).for_each(|(sum, b)| *sum += self.geometry.term(*a, *b));
            }
            self.rounded.extend(sums.iter().map(|sum| *sum as f32));
            self.rounded.extend(std::iter::repeat_n(f32::INFINITY, self.stride - columns));
        }
    }

    /// The costs between some of the rows and some of the columns.
    pub(super) fn select(&self, rows: &[usize], columns: &[usize]) -> Self {
        let pick = |points: &[f64], chosen: &[usize]| {
            chosen.iter().flat_map(|i| &points[i * self.dim..(i + 1) * self.dim]).copied().collect()
        };
        let (x, y) = (pick(&self.x, rows), pick(&self.y, columns));
        let stride = columns.len().next_multiple_of(LANES);
        let mut part = Self { rows: rows.len(), columns: columns.len(), stride, rounded: Vec::new(), x, y, ..*self };
        part.fill();
        part
    }

    /// Whether every cost is a finite number.
    pub fn is_finite(&self) -> bool {
        self.x.iter().chain(&self.y).all(|value| value.is_finite())
            && (0..self.rows).all(|i| self.row(i)[..self.columns].iter().all(|cost| cost.is_finite()))
    }

    /// Columns with padding.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// Rounded costs of a row, padding included.
    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.rounded[i * self.stride..(i + 1) * self.stride]
    }

    /// The unrounded cost of a pair.
    pub fn exact(&self, i: usize, j: usize) -> f64 {
        let (a, b) = (&self.x[i * self.dim..(i + 1) * self.dim], &self.y[j * self.dim..(j + 1) * self.dim]);
        a.iter().zip(b).map(|(a, b)| self.geometry.term(*a, *b)).sum()
    }
}

/// Row-major values; angles are brought into `[0, 2 pi)`, where a difference is at most one turn.
fn coordinates(points: &Tensor, geometry: Geometry) -> Result<Vec<f64>> {
    let points = points.detach().to_device(Device::Cpu).to_kind(Kind::Double);
    let points = match geometry {
        Geometry::Flat => points,
        Geometry::Torus => points.remainder(std::f64::consts::TAU),
    };
    Ok(Vec::try_from(points.flatten(0, -1))?)
}
