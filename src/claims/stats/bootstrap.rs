//! Bootstrap intervals: values are drawn again within their stratum.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::distributions::{normal_cdf, normal_quantile};
use super::{mean, quantile};

/// A statistic with its two intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    pub value: f64,
    /// Quantiles of the resampled statistic.
    pub percentile: (f64, f64),
    /// Corrected for bias and acceleration.
    pub bca: (f64, f64),
}

/// Percentile and BCa intervals (Efron, J. American Statistical Association 82, 1987) of `statistic` at `level`, from
/// `draws` resamples of every stratum in its own size.
pub fn bootstrap(
    strata: &[Vec<f64>],
    statistic: &dyn Fn(&[Vec<f64>]) -> f64,
    level: f64,
    draws: usize,
    seed: u64,
) -> Bootstrap {
    let value = statistic(strata);
    let mut resampled = resample(strata, statistic, draws, seed);
    resampled.sort_by(f64::total_cmp);
    let tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0];
    let at = |p: [f64; 2]| (quantile(&resampled, p[0]), quantile(&resampled, p[1]));

    // Values equal to the observed one count half: resampled means of integers tie often.
    let count = |below: &dyn Fn(f64) -> bool| resampled.iter().filter(|v| below(**v)).count() as f64;
    let share = (count(&|v| v < value) + count(&|v| v <= value)) / 2.0 / draws as f64;
    let (bias, acceleration) = (normal_quantile(share), acceleration(strata, statistic));
    let corrected = tails.map(|tail| {
        let z = bias + normal_quantile(tail);
        normal_cdf(bias + z / (1.0 - acceleration * z))
    });
    let bca = if corrected.iter().all(|p| p.is_finite()) { at(corrected) } else { (value, value) };
    Bootstrap { value, percentile: at(tails), bca }
}

/// The statistic of `draws` resamples.
pub fn resample(strata: &[Vec<f64>], statistic: &dyn Fn(&[Vec<f64>]) -> f64, draws: usize, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = strata.to_vec();
    let mut one = || {
        for (from, to) in strata.iter().zip(&mut drawn) {
            to.iter_mut().for_each(|value| *value = from[random.random_range(0..from.len())]);
        }
        statistic(&drawn)
    };
    (0..draws).map(|_| one()).collect()
}

/// A sixth of the skewness of the jackknife, all strata together.
fn acceleration(strata: &[Vec<f64>], statistic: &dyn Fn(&[Vec<f64>]) -> f64) -> f64 {
    let mut left = strata.to_vec();
    let mut influences = Vec::new();
    for (stratum, values) in strata.iter().enumerate() {
        let without: Vec<f64> = (0..values.len())
            .map(|i| {
                let value = left[stratum].remove(i);
                let without = statistic(&left);
                left[stratum].insert(i, value);
                without
            })
            .collect();
        let center = mean(&without);
        influences.extend(without.iter().map(|v| (values.len() as f64 - 1.0) * (center - v)));
    }
    let power = |k: i32| influences.iter().map(|u| u.powi(k)).sum::<f64>();
    let squares = power(2);
    if squares > 0.0 { power(3) / (6.0 * squares.powf(1.5)) } else { 0.0 }
}

/// Mean of the means of the strata: each counts the same.
pub fn mean_of_means(strata: &[Vec<f64>]) -> f64 {
    strata.iter().map(|values| mean(values)).sum::<f64>() / strata.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_a_symmetric_sample_are_those_of_its_mean() {
        let values: Vec<f64> = (0..101).map(|i| f64::from(i) - 50.0).collect();
        let error = super::super::deviation(&values) / 101f64.sqrt();
        let strata = [values];
        let got = bootstrap(&strata, &mean_of_means, 0.95, 4000, 7);
        for (low, high) in [got.percentile, got.bca] {
            assert!((low + 1.96 * error).abs() < 0.35 && (high - 1.96 * error).abs() < 0.35, "{got:?}");
        }
        assert_eq!(got, bootstrap(&strata, &mean_of_means, 0.95, 4000, 7));
    }

    #[test]
    fn strata_keep_their_size_and_their_weight() {
        // Two strata without spread: nothing to draw but their mean.
        let strata = [vec![1.0; 2], vec![3.0; 50]];
        let got = bootstrap(&strata, &mean_of_means, 0.9, 50, 1);
        assert_eq!((got.value, got.percentile, got.bca), (2.0, (2.0, 2.0), (2.0, 2.0)));
    }

    #[test]
    fn bca_leans_to_the_long_tail() {
        let skewed: Vec<f64> = (0..40).map(|i| (f64::from(i) / 8.0).exp()).collect();
        let got = bootstrap(&[skewed], &mean_of_means, 0.95, 4000, 3);
        assert!(got.bca.0 > got.percentile.0 && got.bca.1 > got.percentile.1, "{got:?}");
    }
}
