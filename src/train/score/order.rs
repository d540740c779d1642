//! The order of convergence: a straight line through logarithms, with its confidence interval.

use serde::Serialize;

/// Slope of `log error` against `log h`, with the 95 % confidence interval of least squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slope {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// Points fitted.
    pub n: usize,
}

/// 97.5 % quantiles of Student's t with 1, 2, … degrees of freedom.
const T_975: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
const NORMAL_975: f64 = 1.960;

/// Fits the `last` points of smallest `h`; `None` below three points or where one is not positive and finite.
pub fn fit(h: &[f64], error: &[f64], last: usize) -> Option<Slope> {
    let mut points: Vec<(f64, f64)> = h.iter().zip(error).map(|(h, e)| (h.ln(), e.ln())).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points.truncate(last);
    if points.len() < 3 || points.iter().any(|(x, y)| !(x.is_finite() && y.is_finite())) {
        return None;
    }

    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x_mean, y_mean) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let value = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>() / spread;

    let residual = |(x, y): &(f64, f64)| (y - y_mean - value * (x - x_mean)).powi(2);
    let variance = points.iter().map(residual).sum::<f64>() / (n - 2.0) / spread;
    let half = T_975.get(points.len() - 3).copied().unwrap_or(NORMAL_975) * variance.sqrt();
    Some(Slope { value, low: value - half, high: value + half, n: points.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_has_its_exponent_and_no_width() {
        let h = [0.4, 0.1, 0.2, 0.05, 0.025];
        let error: Vec<f64> = h.iter().map(|h: &f64| 3.0 * h.powf(1.5)).collect();
        let slope = fit(&h, &error, 4).unwrap();
        assert!((slope.value - 1.5).abs() < 1e-12 && slope.high - slope.low < 1e-6 && slope.n == 4);
    }

    /// The textbook formulas on three points, by hand: slope 1, residuals d/3, -2d/3, d/3.
    #[test]
    fn the_interval_is_that_of_least_squares() {
        let d: f64 = 0.3;
        let (h, error) = ([1.0, std::f64::consts::E, (2.0f64).exp()], [d.exp(), 1.0f64.exp(), (2.0 + d).exp()]);
        let slope = fit(&h, &error, 4).unwrap();
        let half = 12.706 * (d * d * 6.0 / 9.0 / 2.0).sqrt();
        assert!((slope.value - 1.0).abs() < 1e-12 && (slope.high - 1.0 - half).abs() < 1e-9, "{slope:?}");
        assert_eq!(fit(&[1.0, 2.0, 3.0], &[1.0, 0.0, 2.0], 4), None);
    }
}
