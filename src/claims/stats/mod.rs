//! Statistics of comparisons: small, in double precision, each beside its source.
//!
//! | file | what |
//! |---|---|
//! | [`distributions`] | normal, Student and noncentral t |
//! | [`paired`] | paired t, its interval, effect sizes, equivalence by two one-sided tests |
//! | [`ranks`] | Wilcoxon's signed ranks, Mann and Whitney's probability of improvement |
//! | [`permutation`] | the test by flipped signs |
//! | [`correction`] | Bonferroni, Holm, Benjamini and Hochberg, intersection-union |
//! | [`bootstrap`] | percentile and BCa intervals, within strata |
//! | [`aggregate`] | interquartile mean, optimality gap, performance profiles |
//! | [`power`] | power and the least effect that a design can detect |
//! | [`rate`] | slopes of straight lines, for stated orders |
//! | [`best_of`] | the best of N configs, in closed form |
//!
//! Nothing here knows a claim; degenerate data (one observation, no spread) give NaN or a certain answer, never a panic.

pub mod aggregate;
pub mod best_of;
pub mod bootstrap;
pub mod correction;
pub mod distributions;
pub mod paired;
pub mod permutation;
pub mod power;
pub mod ranks;
pub mod rate;

/// Mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation with n - 1 in the denominator; NaN below two values.
pub fn deviation(values: &[f64]) -> f64 {
    let m = mean(values);
    let squares: f64 = values.iter().map(|v| (v - m).powi(2)).sum();
    if values.len() < 2 { f64::NAN } else { (squares / (values.len() - 1) as f64).sqrt() }
}

/// The quantile of sorted values at `p` in `[0, 1]`, linear between them (Hyndman and Fan's type 7).
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// Middle value of any values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}
