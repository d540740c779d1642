//! Slopes on logarithmic axes, for stated orders of convergence.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::distributions::t_quantile;
use super::{mean, quantile};

/// A straight line through `(log x, log y)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    pub value: f64,
    /// log y at log x = 0.
    pub intercept: f64,
    /// Standard error of the slope.
    pub error: f64,
    /// Student's interval from the scatter about the line.
    pub interval: (f64, f64),
    /// Percentile interval from pairs drawn again.
    pub bootstrap: (f64, f64),
    pub n: usize,
}

/// Least squares: slope, intercept, and the slope's standard error. `None` where x does not vary.
fn line(x: &[f64], y: &[f64]) -> Option<(f64, f64, f64)> {
    let (mx, my) = (mean(x), mean(y));
    let sxx: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
    let sxy: f64 = x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).sum();
    if sxx.is_nan() || sxx <= 1e-24 * mx.abs().max(1.0) {
        return None;
    }
    let (slope, intercept) = (sxy / sxx, my - sxy / sxx * mx);
    let residual: f64 = x.iter().zip(y).map(|(a, b)| (b - intercept - slope * a).powi(2)).sum();
    Some((slope, intercept, (residual / (x.len() as f64 - 2.0) / sxx).sqrt()))
}

/// The slope of log `y` against log `x`, with intervals at `level`. `None` for fewer than three positive pairs or a
/// single x.
pub fn slope(x: &[f64], y: &[f64], level: f64, draws: usize, seed: u64) -> Option<Slope> {
    let usable = |(a, b): &(&f64, &f64)| **a > 0.0 && **b > 0.0 && a.is_finite() && b.is_finite();
    let (x, y): (Vec<f64>, Vec<f64>) = x.iter().zip(y).filter(usable).map(|(a, b)| (a.ln(), b.ln())).unzip();
    if x.len() < 3 {
        return None;
    }
    let (value, intercept, error) = line(&x, &y)?;
    let half = t_quantile(0.5 + level / 2.0, x.len() as f64 - 2.0) * error;

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut one = || {
        let chosen: Vec<usize> = x.iter().map(|_| random.random_range(0..x.len())).collect();
        let pick = |v: &[f64]| chosen.iter().map(|i| v[*i]).collect::<Vec<_>>();
        line(&pick(&x), &pick(&y)).map(|found| found.0)
    };
    let mut slopes: Vec<f64> = (0..draws).filter_map(|_| one()).collect();
    slopes.sort_by(f64::total_cmp);
    let at = |p: f64| quantile(&slopes, p);
    let bootstrap = (at((1.0 - level) / 2.0), at((1.0 + level) / 2.0));
    Some(Slope { value, intercept, error, interval: (value - half, value + half), bootstrap, n: x.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_gives_its_exponent() {
        let x = [0.1, 0.2, 0.4, 0.8];
        let found = slope(&x, &x.map(|h: f64| 3.0 * h.powi(2)), 0.95, 200, 0).unwrap();
        assert!((found.value - 2.0).abs() < 1e-12 && (found.intercept - 3f64.ln()).abs() < 1e-12);
        assert!(found.interval.1 - found.interval.0 < 1e-6 && (found.bootstrap.0 - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_slope_has_none() {
        assert!(slope(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0], 0.95, 0, 0).is_none());
        assert!(slope(&[1.0, 2.0, 3.0], &[1.0, -2.0, 3.0], 0.95, 0, 0).is_none());
        assert!(slope(&[1.0, 2.0], &[1.0, 2.0], 0.95, 0, 0).is_none());
    }

    #[test]
    fn the_interval_widens_with_scatter() {
        let x = [1.0, 2.0, 4.0, 8.0, 16.0];
        let noisy = [1.2, 1.7, 4.9, 7.0, 17.0];
        let found = slope(&x, &noisy, 0.95, 500, 0).unwrap();
        assert!(found.interval.0 < 1.0 && found.interval.1 > 1.0 && found.interval.0 > 0.5);
        assert!(found.bootstrap.0 <= found.value && found.value <= found.bootstrap.1);
    }
}
