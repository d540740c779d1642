//! What a design could have seen: power of the one-sided paired t test, by the noncentral t.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::distributions::{noncentral_t_cdf, t_quantile};

/// The chance that the test at level `alpha` rejects when the mean of `n` differences is `effect` above the null and
/// their deviation is `deviation` (Cohen, Statistical Power Analysis, 1988).
pub fn power(effect: f64, deviation: f64, n: usize, alpha: f64) -> f64 {
    let df = n as f64 - 1.0;
    if n < 2 || deviation.is_nan() || effect.is_nan() {
        return f64::NAN;
    }
    if deviation == 0.0 {
        return if effect > 0.0 { 1.0 } else { 0.0 };
    }
    1.0 - noncentral_t_cdf(t_quantile(1.0 - alpha, df), df, effect / deviation * (n as f64).sqrt())
}

thread_local! {
    /// Solutions in deviations: all cells of a claim ask for the same.
    static SOLVED: RefCell<BTreeMap<(usize, u64, u64), f64>> = const { RefCell::new(BTreeMap::new()) };
}

/// The least effect that is seen with the chance `wanted`.
pub fn detectable(deviation: f64, n: usize, alpha: f64, wanted: f64) -> f64 {
    if n < 2 || deviation.is_nan() || !(alpha..1.0).contains(&wanted) {
        return f64::NAN;
    }
    let key = (n, alpha.to_bits(), wanted.to_bits());
    let known = SOLVED.with(|solved| solved.borrow().get(&key).copied());
    let found = known.unwrap_or_else(|| solve(n, alpha, wanted));
    SOLVED.with(|solved| solved.borrow_mut().insert(key, found));
    found * deviation
}

/// [`detectable`] for a deviation of 1, by bisection.
fn solve(n: usize, alpha: f64, wanted: f64) -> f64 {
    // Two observations at small levels need hundreds of them.
    let (mut low, mut high) = (0.0, 1.0);
    while power(high, 1.0, n, alpha) < wanted && high < 1e4 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if power(middle, 1.0, n, alpha) < wanted { low = middle } else { high = middle }
    }
    high
}

/// The fewest observations with which `effect` is seen with the chance `wanted`, if that is at most 100,000.
pub fn sample_size(effect: f64, deviation: f64, alpha: f64, wanted: f64) -> Option<usize> {
    let enough = |n: usize| power(effect, deviation, n, alpha) >= wanted;
    let mut high = 2;
    while !enough(high) {
        high *= 2;
        if high > 200_000 {
            return None;
        }
    }
    let (mut low, mut high) = ((high / 2).max(2), high);
    if enough(low) {
        return Some(low);
    }
    while high - low > 1 {
        let middle = (low + high) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    (high <= 100_000).then_some(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_effect_power_is_the_level() {
        assert!((power(0.0, 1.0, 12, 0.05) - 0.05).abs() < 1e-12);
        assert!(power(0.5, 0.0, 3, 0.05) == 1.0 && power(0.5, 1.0, 1, 0.05).is_nan());
    }

    #[test]
    fn effect_and_size_invert_power() {
        let effect = detectable(2.0, 10, 0.025, 0.8);
        assert!((power(effect, 2.0, 10, 0.025) - 0.8).abs() < 1e-9);
        // Half a deviation at 0.05 one-sided with power 0.8 needs 27 pairs: a textbook figure.
        assert_eq!(sample_size(0.5, 1.0, 0.05, 0.8), Some(27));
        assert_eq!(sample_size(0.0, 1.0, 0.05, 0.8), None);
        assert!(power(3.0, 1.0, 2, 0.05) < 0.8 && detectable(1.0, 2, 0.001, 0.9) > 100.0);
    }
}
