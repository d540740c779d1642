//! Means of correlated series: integrated autocorrelation time, effective sample size, blocked standard errors.

use serde::Serialize;

/// How far a window of lags must reach beyond the time that it measures (Sokal, "Monte Carlo methods in statistical
/// mechanics", 1997, sec. 3).
const WINDOW: f64 = 5.0;

/// A mean over correlated values, and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Average {
    pub mean: f64,
    /// Standard error from blocks.
    pub error: f64,
    /// Statistical inefficiency `1 + 2 Σ ρ(t)`: so many successive values count as one. NaN for a constant series.
    pub inefficiency: f64,
    /// Effective number of independent values, `n / inefficiency`.
    pub ess: f64,
}

/// Averages `chains` of one observable, equally long, with at least `blocks` blocks for the error.
pub fn average(chains: &[Vec<f64>], blocks: usize) -> Average {
    let (mean, error) = blocked(chains, blocks);
    let inefficiency = inefficiency(chains);
    let n: usize = chains.iter().map(Vec::len).sum();
    Average { mean, error, inefficiency, ess: n as f64 / inefficiency }
}

/// The statistical inefficiency of `chains`, one to an independent simulation.
///
/// Deviations are from the mean of all chains, so that chains which have not found the same states count as
/// correlated for as long as they are.
pub fn inefficiency(chains: &[Vec<f64>]) -> f64 {
    let mean = mean(chains);
    let length = chains.iter().map(Vec::len).min().unwrap_or(0);
    let covariance = |lag: usize| {
        let products = chains.iter().map(|chain| {
            chain.iter().zip(&chain[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / chain.len() as f64
        });
        products.sum::<f64>() / chains.len() as f64
    };
    let variance = if length > 0 { covariance(0) } else { 0.0 };
    if variance.is_nan() || variance <= 0.0 {
        return f64::NAN;
    }

    let mut total = 1.0;
    for lag in 1..length {
        total += 2.0 * covariance(lag) / variance;
        if lag as f64 >= WINDOW * total {
            break;
        }
    }
    // Anticorrelated series are no excuse to claim more values than there are.
    total.max(1.0)
}

/// Mean and standard error from the scatter of block means. Blocks are equally long and do not cross from one chain to
/// the next; there are at least `blocks` of them where the chains are long enough.
pub fn blocked(chains: &[Vec<f64>], blocks: usize) -> (f64, f64) {
    let per_chain = blocks.div_ceil(chains.len().max(1)).max(1);
    let means = chains.iter().flat_map(|chain| {
        let length = (chain.len() / per_chain).max(1);
        chain.chunks_exact(length).map(move |block| block.iter().sum::<f64>() / length as f64)
    });
    let means: Vec<f64> = means.collect();
    let n = means.len() as f64;
    let center = means.iter().sum::<f64>() / n;
    let scatter = means.iter().map(|m| (m - center).powi(2)).sum::<f64>() / (n - 1.0);
    (mean(chains), (scatter / n).sqrt())
}

fn mean(chains: &[Vec<f64>]) -> f64 {
    let n: usize = chains.iter().map(Vec::len).sum();
    chains.iter().flatten().sum::<f64>() / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};
    use tch::{Device, Kind, Tensor};

    /// Autoregressive chains `x' = r x + sqrt(1 - r²) z`: variance 1, inefficiency (1 + r) / (1 - r).
    fn autoregressive(r: f64, chains: usize, length: usize) -> Vec<Vec<f64>> {
        reseed(5, Stream::Data, 0);
        let noise = Tensor::randn([(chains * (length + 1)) as i64], (Kind::Double, Device::Cpu));
        let mut noise = Vec::<f64>::try_from(noise).unwrap().into_iter();
        let mut normal = move || noise.next().unwrap();
        let chain = |_| {
            let mut x = normal();
            let step = |_| {
                x = r * x + (1.0 - r * r).sqrt() * normal();
                x
            };
            (0..length).map(step).collect()
        };
        (0..chains).map(chain).collect()
    }

    #[test]
    fn the_inefficiency_of_autoregressive_chains_is_known() {
        for r in [0.0, 0.5, 0.9, 0.98] {
            let expected = (1.0 + r) / (1.0 - r);
            let found = average(&autoregressive(r, 10, 20_000), 40);
            assert!((found.inefficiency / expected - 1.0).abs() < 0.15, "{r}: {found:?}, expected {expected}");
            // The blocked error agrees with the one that the inefficiency implies.
            let implied = (1.0 / found.ess).sqrt();
            assert!((found.error / implied - 1.0).abs() < 0.35, "{r}: {found:?}, implied {implied}");
            assert!(found.mean.abs() < 4.0 * found.error, "{r}: {found:?}");
        }
    }

    #[test]
    fn chains_that_disagree_are_not_independent_values() {
        let mut chains = autoregressive(0.0, 4, 1000);
        chains[0].iter_mut().for_each(|x| *x += 20.0);
        let found = average(&chains, 4);
        assert!(found.ess < 20.0 && found.error > 4.0, "{found:?}");
    }

    #[test]
    fn degenerate_series_are_no_error() {
        assert!(average(&[vec![2.0; 10]], 4).inefficiency.is_nan());
        assert!(average(&[], 4).mean.is_nan());
        assert!(average(&[vec![f64::NAN; 3]], 2).ess.is_nan());
        assert_eq!(blocked(&[vec![1.0, 2.0, 3.0, 4.0, 9.0]], 2).0, 3.8);
        assert_eq!(blocked(&[vec![1.0, 3.0], vec![5.0, 7.0]], 2), (4.0, 2.0));
    }
}
