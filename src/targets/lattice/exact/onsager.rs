//! The infinite Ising lattice without field (L. Onsager, Physical Review 65, 1944).

use std::f64::consts::{FRAC_PI_2, PI};

/// `ln(1 + sqrt 2) / 2`.
pub const CRITICAL_BETA: f64 = 0.440_686_793_509_771_5;

/// Log of the partition function a site, at `beta > 0`:
/// `ln(2 cosh 2b) + 1/(2 pi) integral over [0, pi] of ln[(1 + sqrt(1 - k² sin²))/2]`, `k = 2 sinh 2b / cosh² 2b`.
pub fn log_z_per_site(beta: f64) -> f64 {
    let s = (2.0 * beta).sinh();
    // 1 - k² = ((1 - sinh²) / cosh²)², without the loss of a difference of ones near the critical point.
    let rest = ((1.0 - s * s) / (1.0 + s * s)).powi(2);
    // From the middle of the interval, where the root has its near singularity.
    let f = |angle: f64| {
        let (sin, cos) = angle.sin_cos();
        (0.5 * (1.0 + (sin * sin + rest * cos * cos).sqrt())).ln()
    };
    (2.0 * (2.0 * beta).cosh()).ln() + integral(f, FRAC_PI_2) / PI
}

/// `(1 - sinh(2b)^-4)^(1/8)` below the critical temperature, 0 above (C. N. Yang, Physical Review 85, 1952).
pub fn spontaneous_magnetisation(beta: f64) -> f64 {
    if beta <= CRITICAL_BETA { 0.0 } else { (1.0 - (2.0 * beta).sinh().powi(-4)).max(0.0).powf(0.125) }
}

/// Integral over `[0, end]` by Takahasi and Mori's double exponential rule (1974), which forgives singular ends.
fn integral(f: impl Fn(f64) -> f64, end: f64) -> f64 {
    let step = 1.0 / 64.0;
    let term = |i: i32| {
        let t = step * f64::from(i);
        let u = FRAC_PI_2 * t.sinh();
        // x = end (1 + tanh u) / 2, written so that points near 0 keep all their digits.
        let x = end / (1.0 + (-2.0 * u).exp());
        let weight = 0.5 * end * FRAC_PI_2 * t.cosh() / u.cosh().powi(2);
        if weight > 0.0 && x > 0.0 { weight * f(x) } else { 0.0 }
    };
    step * (-300..=300).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_are_those_of_the_textbook() {
        assert!(((2.0 * CRITICAL_BETA).sinh() - 1.0).abs() < 1e-15);
        // ln 2 / 2 + 2 G / pi with Catalan's constant G.
        let expected = 0.5 * 2f64.ln() + 2.0 * 0.915_965_594_177_219 / PI;
        assert!((log_z_per_site(CRITICAL_BETA) - expected).abs() < 1e-13);
        assert_eq!(spontaneous_magnetisation(CRITICAL_BETA), 0.0);
        assert!((spontaneous_magnetisation(1.0) - 0.999_275_751_957_061_2).abs() < 1e-14);
    }
}
