//! The one-dimensional double well `exp(-x^4 + a x^2 + b x)`: its critical points, its integral, its exact sampler.

use std::f64::consts::PI;

use tch::{Device, Kind, Tensor};

use super::support::log_integral;

/// Cells of the rejection envelope; about one proposal in a thousand is refused.
const CELLS: usize = 4096;
/// Log-density below its maximum at which the density is cut off: e^-1000 is zero in f64.
const CUT: f64 = 1000.0;

/// Coefficients of `-x^4 + a x^2 + b x`. Two wells need `a > 0` and `|b|` well below `a^1.5`.
#[derive(Debug, Clone, Copy)]
pub struct Quartic {
    pub a: f64,
    pub b: f64,
}

impl Quartic {
    pub fn log_density(&self, x: f64) -> f64 {
        ((self.a - x * x) * x + self.b) * x
    }

    /// Left well, barrier, right well: the roots of `-4 x^3 + 2 a x + b`, by Viete's cosine formula.
    pub fn critical_points(&self) -> [f64; 3] {
        let radius = 2.0 * (self.a / 6.0).sqrt();
        let angle = (0.75 * self.b / self.a * (6.0 / self.a).sqrt()).acos() / 3.0;
        // The principal root is the right well; one third of a turn back is the barrier, two thirds the left well.
        [2.0, 1.0, 0.0].map(|third: f64| radius * (angle - 2.0 * PI * third / 3.0).cos())
    }

    /// Half-width of the interval outside which the density is zero in f64.
    fn reach(&self) -> f64 {
        (0.5 * self.a + (CUT + 10.0 * self.b.abs()).sqrt()).sqrt()
    }

    /// Log of the integral over the line.
    pub fn log_z(&self) -> f64 {
        let reach = self.reach();
        log_integral(|x| self.log_density(x), -reach, reach, 40_000)
    }

    fn log_density_of(&self, x: &Tensor) -> Tensor {
        ((self.a - x.square()) * x + self.b) * x
    }

    /// `n` exact samples, f64, by rejection.
    ///
    /// The envelope is constant on cells of a grid that contains the critical points: within a cell the density is
    /// monotone, so the larger of its two ends bounds it and no approximation is left.
    pub fn sample(&self, n: i64, device: Device) -> Tensor {
        let exact = (Kind::Double, device);
        let edges = Tensor::from_slice(&self.edges()).to_device(device);
        let left = edges.slice(0, 0, -1, 1);
        let width = edges.diff(1, 0, None::<&Tensor>, None::<&Tensor>);

        let at_edges = self.log_density_of(&edges);
        let top = at_edges.slice(0, 0, -1, 1).maximum(&at_edges.slice(0, 1, None, 1)); // [cells]
        let cumulative = ((&top - top.max()).exp() * &width).cumsum(0, None);
        let total = cumulative.double_value(&[-1]);
        let last = width.size()[0] - 1;

        let mut kept = Vec::new();
        let mut missing = n;
        while missing > 0 {
            let proposals = missing + missing / 64 + 8;
            let mass = Tensor::rand([proposals], exact) * total;
            let cell = mass.bucketize(&cumulative, false, true).clamp_max(last);
            let x = left.index_select(0, &cell) + width.index_select(0, &cell) * Tensor::rand([proposals], exact);

            let log_ratio = self.log_density_of(&x) - top.index_select(0, &cell);
            let accepted = x.masked_select(&Tensor::rand([proposals], exact).log().lt_tensor(&log_ratio));
            let accepted = accepted.narrow(0, 0, accepted.size()[0].min(missing));
            missing -= accepted.size()[0];
            kept.push(accepted);
        }
        Tensor::cat(&kept, 0)
    }

    /// Cell borders: an even grid with the critical points put in.
    fn edges(&self) -> Vec<f64> {
        let reach = self.reach();
        let even = (0..=CELLS).map(|i| -reach + 2.0 * reach * i as f64 / CELLS as f64);
        let mut edges: Vec<f64> = even.chain(self.critical_points()).collect();
        edges.sort_by(f64::total_cmp);
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAB: Quartic = Quartic { a: 6.0, b: 0.5 };

    #[test]
    fn critical_points_are_roots_in_order() {
        for well in [FAB, Quartic { a: 8.0, b: 0.0 }] {
            let points = well.critical_points();
            assert!(points[0] < points[1] && points[1] < points[2], "{points:?}");
            for x in points {
                let slope = -4.0 * x * x * x + 2.0 * well.a * x + well.b;
                assert!(slope.abs() < 1e-12, "slope {slope} at {x}");
            }
        }
    }

    /// Kolmogorov-Smirnov distance of 40 000 draws to the distribution function by quadrature.
    #[test]
    fn draws_follow_the_distribution_function() {
        let n = 40_000;
        let draws = FAB.sample(n, Device::Cpu).sort(0, false).0;
        let log_z = FAB.log_z();
        let distance = (0..40).map(|i| {
            let at = -2.6 + 0.13 * i as f64;
            let below = (log_integral(|x| FAB.log_density(x), -FAB.reach(), at, 20_000) - log_z).exp();
            let share = draws.lt(at).sum(Kind::Int64).int64_value(&[]) as f64 / n as f64;
            (below - share).abs()
        });
        // 1.95 / sqrt(n) is exceeded once in a thousand.
        assert!(distance.fold(0.0, f64::max) < 1.95 / (n as f64).sqrt());
    }
}
