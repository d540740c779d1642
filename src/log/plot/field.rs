//! Functions of two variables on a grid of cells.

use tch::{Device, Kind, Tensor};

/// One value for each cell of a regular grid over a rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub x: (f64, f64),
    pub y: (f64, f64),
    pub columns: usize,
    pub rows: usize,
    /// Row by row from the bottom, each from the left; NaN where there is none.
    pub values: Vec<f64>,
}

impl Field {
    /// Centres of the cells in the order of [`Field::values`], for evaluating a density there.
    pub fn centers(x: (f64, f64), y: (f64, f64), columns: usize, rows: usize) -> Vec<(f64, f64)> {
        let at = |(low, high): (f64, f64), i: usize, n: usize| low + (high - low) * (i as f64 + 0.5) / n as f64;
        (0..rows).flat_map(|j| (0..columns).map(move |i| (at(x, i, columns), at(y, j, rows)))).collect()
    }

    /// A function of points `[N, 2]` with values `[N]`, such as a target's `log_prob`, at all centres at once.
    pub fn evaluate(
        x: (f64, f64),
        y: (f64, f64),
        columns: usize,
        rows: usize,
        options: (Kind, Device),
        f: impl FnOnce(&Tensor) -> Tensor,
    ) -> Self {
        let flat: Vec<f64> = Self::centers(x, y, columns, rows).into_iter().flat_map(|(x, y)| [x, y]).collect();
        let points = Tensor::from_slice(&flat).view([-1, 2]).to_kind(options.0).to_device(options.1); // [N, 2]
        Self::new(x, y, columns, rows, &crate::log::values(&f(&points)))
    }

    /// Values at the [`centers`](Field::centers); missing ones are NaN, excess ones ignored.
    pub fn new(x: (f64, f64), y: (f64, f64), columns: usize, rows: usize, values: &[f64]) -> Self {
        let (columns, rows) = (columns.max(1), rows.max(1));
        let cells = columns * rows;
        let values = values.iter().copied().chain(std::iter::repeat(f64::NAN)).take(cells).collect();
        Self { x, y, columns, rows, values }
    }

    /// The two-dimensional histogram of points as a probability density. All finite points count for the
    /// normalisation, also those outside the rectangle.
    pub fn histogram(points: &[(f64, f64)], x: (f64, f64), y: (f64, f64), columns: usize, rows: usize) -> Self {
        let (columns, rows) = (columns.max(1), rows.max(1));
        let cell = |v: f64, (low, high): (f64, f64), n: usize| {
            let position = (v - low) / (high - low) * n as f64;
            // The upper end belongs to the last cell.
            (0.0..=n as f64).contains(&position).then(|| (position as usize).min(n - 1))
        };

        let mut values = vec![0.0; columns * rows];
        let finite = || points.iter().filter(|(a, b)| a.is_finite() && b.is_finite());
        for (a, b) in finite() {
            if let (Some(i), Some(j)) = (cell(*a, x, columns), cell(*b, y, rows)) {
                values[j * columns + i] += 1.0;
            }
        }

        let cell_area = (x.1 - x.0) * (y.1 - y.0) / (columns * rows) as f64;
        let scale = 1.0 / (finite().count().max(1) as f64 * cell_area);
        values.iter_mut().for_each(|v| *v *= scale);
        Self { x, y, columns, rows, values }
    }

    /// A density as a free energy in units of kT: -log p, zero at its minimum, missing where the density is zero.
    pub fn free_energy(mut self) -> Self {
        let highest = self.values.iter().copied().fold(f64::NAN, f64::max);
        self.values.iter_mut().for_each(|p| *p = if *p > 0.0 { (highest / *p).ln() } else { f64::NAN });
        self
    }

    /// Least and largest finite value.
    pub fn limits(&self) -> Option<(f64, f64)> {
        let finite = || self.values.iter().copied().filter(|v| v.is_finite());
        Some((finite().reduce(f64::min)?, finite().reduce(f64::max)?))
    }

    /// The line on which the field takes a value, as loose segments in data coordinates (marching squares between cell
    /// centres; of the two readings of a saddle it takes a fixed one).
    pub fn contour(&self, level: f64) -> Vec<[(f64, f64); 2]> {
        let centers = Self::centers(self.x, self.y, self.columns, self.rows);
        let mut segments = Vec::new();
        for j in 1..self.rows {
            for i in 1..self.columns {
                // Corners anticlockwise from the lower left.
                let k = (j - 1) * self.columns + i - 1;
                let corners = [k, k + 1, k + 1 + self.columns, k + self.columns];
                let crossings = (0..4).filter_map(|side| {
                    let (a, b) = (corners[side], corners[(side + 1) % 4]);
                    let (u, v) = (self.values[a] - level, self.values[b] - level);
                    let t = u / (u - v);
                    let between = |p: f64, q: f64| p + (q - p) * t;
                    let crossed = (u < 0.0) != (v < 0.0) && t.is_finite();
                    crossed.then(|| (between(centers[a].0, centers[b].0), between(centers[a].1, centers[b].1)))
                });
                let crossings: Vec<_> = crossings.collect();
                segments.extend(crossings.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
            }
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_integrate_to_the_share_inside() {
        let points = [(0.1, 0.1), (0.9, 0.1), (1.0, 1.0), (5.0, 0.5), (f64::NAN, 0.0)];
        let field = Field::histogram(&points, (0.0, 1.0), (0.0, 1.0), 2, 2);
        assert_eq!(field.values, [1.0, 1.0, 0.0, 1.0]);
        assert_eq!(field.values.iter().sum::<f64>() * 0.25, 0.75);

        let energy = field.free_energy();
        assert_eq!(energy.values[..2], [0.0, 0.0]);
        assert!(energy.values[2].is_nan());
    }

    #[test]
    fn contours_lie_where_the_level_is() {
        let square = (-2.0, 2.0);
        let radii: Vec<f64> = Field::centers(square, square, 80, 80).iter().map(|(x, y)| x.hypot(*y)).collect();
        let segments = Field::new(square, square, 80, 80, &radii).contour(1.0);
        let length: f64 = segments.iter().map(|[a, b]| (a.0 - b.0).hypot(a.1 - b.1)).sum();
        assert!((length - std::f64::consts::TAU).abs() < 0.02, "{length}");
        assert!(segments.iter().flatten().all(|(x, y)| (x.hypot(*y) - 1.0).abs() < 2e-3));
    }
}
