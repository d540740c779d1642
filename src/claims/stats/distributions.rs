//! Distribution functions. The central ones come from statrs; it has no noncentral t.

use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};
use statrs::function::beta::beta_reg;
use statrs::function::gamma::ln_gamma;

/// `P(Z <= z)` of the standard normal.
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The standard normal's quantile at `p` in `(0, 1)`; infinite at the ends.
pub fn normal_quantile(p: f64) -> f64 {
    match p {
        p if p.is_nan() => f64::NAN,
        p if p <= 0.0 => f64::NEG_INFINITY,
        p if p >= 1.0 => f64::INFINITY,
        p => {
            // One step of Newton's brings it to the accuracy of the distribution function.
            let (law, z) = (Normal::standard(), Normal::standard().inverse_cdf(p));
            let step = (law.cdf(z) - p) / law.pdf(z);
            if step.is_finite() { z - step } else { z }
        }
    }
}

fn student(df: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, df).ok()
}

/// `P(T > t)` of Student's t; NaN unless `df` > 0.
pub fn t_upper(t: f64, df: f64) -> f64 {
    match student(df) {
        Some(_) if t == f64::INFINITY => 0.0,
        Some(_) if t == f64::NEG_INFINITY => 1.0,
        Some(law) if !t.is_nan() => law.sf(t),
        _ => f64::NAN,
    }
}

/// Student's quantile at `p` in `(0, 1)`, polished by Newton's method to the accuracy of [`t_upper`].
pub fn t_quantile(p: f64, df: f64) -> f64 {
    let Some(law) = student(df).filter(|_| p > 0.0 && p < 1.0) else { return f64::NAN };
    if p < 0.5 {
        return -t_quantile(1.0 - p, df);
    }
    let mut t = law.inverse_cdf(p);
    for _ in 0..3 {
        let step = (law.sf(t) - (1.0 - p)) / law.pdf(t);
        t += if step.is_finite() { step } else { 0.0 };
    }
    t
}

/// `P(T <= t)` of the noncentral t with noncentrality `delta` (Lenth, algorithm AS 243, Applied Statistics 38, 1989,
/// with the sum begun at its largest terms).
pub fn noncentral_t_cdf(t: f64, df: f64, delta: f64) -> f64 {
    if t.is_nan() || delta.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if t < 0.0 {
        return 1.0 - noncentral_t_cdf(-t, df, -delta);
    }
    let (x, half) = (t * t / (df + t * t), delta * delta / 2.0);
    if x == 0.0 || half == 0.0 {
        return if half == 0.0 { 1.0 - t_upper(t, df) } else { normal_cdf(-delta) };
    }

    // Weights are those of a Poisson law around `half`; ten of its deviations leave out less than rounding does.
    let reach = 10.0 * half.sqrt() + 40.0;
    let (from, to) = ((half - reach).max(0.0).floor() as u64, (half + reach).ceil() as u64);
    let sum: f64 = (from..=to)
        .map(|j| {
            let j = j as f64;
            let p = (-half + j * half.ln() - ln_gamma(j + 1.0)).exp();
            let q = delta / 2f64.sqrt() * (-half + j * half.ln() - ln_gamma(j + 1.5)).exp();
            p * beta_reg(j + 0.5, df / 2.0, x) + q * beta_reg(j + 1.0, df / 2.0, x)
        })
        .sum();
    (normal_cdf(-delta) + sum / 2.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_invert() {
        for df in [1.0, 2.0, 9.0, 52.0, 1e4] {
            for p in [0.001, 0.025, 0.3, 0.5, 0.95, 0.9999] {
                assert!((1.0 - t_upper(t_quantile(p, df), df) - p).abs() < 1e-13, "{df} {p}");
            }
        }
        assert!((normal_cdf(normal_quantile(0.975)) - 0.975).abs() < 1e-14);
        // One degree of freedom is Cauchy's law.
        assert!((t_quantile(0.75, 1.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn noncentral_t_has_its_known_limits() {
        assert!((noncentral_t_cdf(1.3, 7.0, 0.0) - (1.0 - t_upper(1.3, 7.0))).abs() < 1e-14);
        assert!((noncentral_t_cdf(0.0, 7.0, 1.1) - normal_cdf(-1.1)).abs() < 1e-14);
        // With many degrees of freedom: a shifted normal.
        assert!((noncentral_t_cdf(3.0, 1e7, 2.0) - normal_cdf(1.0)).abs() < 1e-6);
        assert!((noncentral_t_cdf(-1.0, 5.0, 2.0) + noncentral_t_cdf(1.0, 5.0, -2.0) - 1.0).abs() < 1e-14);
        // A noncentrality at which e^{-δ²/2} underflows.
        assert!((noncentral_t_cdf(60.0, 1e9, 60.0) - 0.5).abs() < 1e-5);
    }
}
