//! Wasserstein distances on a line: of densities on a grid, and of points in many dimensions seen along directions.

use tch::{Kind, Tensor};

use super::energy::wasserstein_1d;

/// Quantiles compared by [`w2_densities`].
const QUANTILES: usize = 50_000;

/// W2 of two densities `[G]` at evenly spaced, rising `points` `[G]`, by their quantile functions; each is scaled to unit
/// mass. Masses are spread evenly over the cells around the points;
/// what lies beyond the quantile 1/100000 at either end is not seen.
pub fn w2_densities(points: &[f64], a: &[f64], b: &[f64]) -> f64 {
    if points.len() < 2 || a.iter().chain(b).any(|value| !value.is_finite()) {
        return f64::NAN;
    }
    let (a, b) = (Quantiles::new(points, a), Quantiles::new(points, b));
    let square = |i: usize| {
        let u = (i as f64 + 0.5) / QUANTILES as f64;
        (a.at(u) - b.at(u)).powi(2)
    };
    ((0..QUANTILES).map(square).sum::<f64>() / QUANTILES as f64).sqrt()
}

/// A piecewise linear distribution function.
struct Quantiles {
    edges: Vec<f64>,
    /// Shares below each edge.
    below: Vec<f64>,
}

impl Quantiles {
    fn new(points: &[f64], density: &[f64]) -> Self {
        let spacing = points[1] - points[0];
        let edges = points.iter().map(|x| x - 0.5 * spacing).chain(points.last().map(|x| x + 0.5 * spacing)).collect();
        let total: f64 = density.iter().sum();
        let mut sum = 0.0;
        let mut below = vec![0.0];
        below.extend(density.iter().map(|value| {
            sum += value.max(0.0) / total;
            sum
        }));
        Self { edges, below }
    }

    fn at(&self, u: f64) -> f64 {
        let upper = self.below.partition_point(|share| *share < u).clamp(1, self.below.len() - 1);
        let (low, high) = (self.below[upper - 1], self.below[upper]);
        let within = if high > low { (u - low) / (high - low) } else { 0.5 };
        self.edges[upper - 1] + within.clamp(0.0, 1.0) * (self.edges[upper] - self.edges[upper - 1])
    }
}

/// Sliced W2: the root mean square, over unit `directions` `[P, D]`, of W2 between the projections of `x` `[N, D]` and `y`
/// `[M, D]`.
pub fn sliced_w2(x: &Tensor, y: &Tensor, directions: &Tensor) -> f64 {
    let projected = |points: &Tensor| {
        let along = directions.to_kind(Kind::Double).matmul(&points.detach().to_kind(Kind::Double).tr()); // [P, N]
        (0..along.size()[0]).map(|i| column(&along.get(i))).collect::<Vec<_>>()
    };
    let (x, y) = (projected(x), projected(y));
    let squares: f64 = x.iter().zip(&y).map(|(x, y)| wasserstein_1d(x, y, 2).powi(2)).sum();
    (squares / x.len() as f64).sqrt()
}

/// A tensor's numbers on the host.
fn column(values: &Tensor) -> Vec<f64> {
    Vec::try_from(values.to_device(tch::Device::Cpu).contiguous()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_and_widened_normals_have_their_distance() {
        let points: Vec<f64> = (0..2001).map(|i| -10.0 + 0.01 * f64::from(i)).collect();
        let normal =
            |m: f64, s: f64| -> Vec<f64> { points.iter().map(|x| (-0.5 * ((x - m) / s).powi(2)).exp() / s).collect() };
        let found = w2_densities(&points, &normal(0.3, 1.0), &normal(-0.4, 1.5));
        let exact = (0.49f64 + 0.25).sqrt();
        assert!((found - exact).abs() < 1e-4, "{found} {exact}");
    }

    #[test]
    fn slices_of_a_shift_see_its_projections() {
        let x = Tensor::from_slice(&[0.0, 1.0, 4.0, -2.0, 0.5, 3.0]).view([3, 2]);
        let y = &x + Tensor::from_slice(&[3.0, 4.0]);
        let axes = Tensor::eye(2, (Kind::Double, tch::Device::Cpu));
        let found = sliced_w2(&x, &y, &axes);
        assert!((found - (0.5f64 * 25.0).sqrt()).abs() < 1e-12, "{found}");
    }
}
