//! Statistics of importance log-weights `log w = log p - log q`, with `p` the unnormalised target (path) law.
//!
//! *Reverse* weights belong to paths drawn from the sampler `q`, *forward* weights to paths started at target samples
//! and run backward, so drawn from `p`. Reverse statistics cannot see modes the sampler never visits; forward ones can.
//! Conventions of Blessing et al. (2024), "Beyond ELBOs". Everything is f64 and in log space.
//!
//! A NaN weight is a failed path: it is left out of every statistic and counted in `undefined`, so that a table can show
//! it. Infinities are data: `-∞` is a weight of zero, which makes the ELBO `-∞` and leaves log Z and ESS finite.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

/// Figures from paths drawn from the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reverse {
    /// Weights used.
    pub count: usize,
    /// NaN weights left out.
    pub undefined: usize,
    /// Mean of `log w`: a lower bound of log Z.
    pub elbo: f64,
    pub elbo_se: f64,
    /// `log mean w`; biased low at finite N.
    pub log_z: f64,
    /// Delta-method standard error of `log_z`; far too small while a few weights carry the sum.
    pub log_z_se: f64,
    /// `|log_z - known|`, where the true value is known.
    pub log_z_error: Option<f64>,
    /// `(Σ w)² / (N Σ w²)`, between 1/N and 1.
    pub ess: f64,
}

/// Figures from paths started at target samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Forward {
    /// Weights used.
    pub count: usize,
    /// NaN weights left out.
    pub undefined: usize,
    /// Mean of `log w`: an upper bound of log Z.
    pub eubo: f64,
    pub eubo_se: f64,
    /// `-log mean 1/w`; biased high at finite N.
    pub log_z: f64,
    pub log_z_se: f64,
    /// `|log_z - known|`, where the true value is known.
    pub log_z_error: Option<f64>,
    /// `1 / (mean w · mean 1/w)`, between 0 and 1.
    pub ess: f64,
}

impl Reverse {
    pub fn new(log_weights: &[f64], known_log_z: Option<f64>) -> Self {
        let (defined, undefined) = split_undefined(log_weights);
        let (elbo, elbo_se) = mean_and_error(&defined);
        let log_z = log_mean_exp(&defined);
        let ess = effective_sample_size(&defined);
        Self {
            count: defined.len(),
            undefined,
            elbo,
            elbo_se,
            log_z,
            log_z_se: log_mean_error(ess, defined.len()),
            log_z_error: known_log_z.map(|known| (log_z - known).abs()),
            ess,
        }
    }

    /// From a tensor `[N]` of any float kind and device.
    pub fn from_tensor(log_weights: &Tensor, known_log_z: Option<f64>) -> anyhow::Result<Self> {
        Ok(Self::new(&values(log_weights)?, known_log_z))
    }
}

impl Forward {
    pub fn new(log_weights: &[f64], known_log_z: Option<f64>) -> Self {
        let (defined, undefined) = split_undefined(log_weights);
        let (eubo, eubo_se) = mean_and_error(&defined);
        let inverse: Vec<f64> = defined.iter().map(|l| -l).collect();
        let log_z = -log_mean_exp(&inverse);
        Self {
            count: defined.len(),
            undefined,
            eubo,
            eubo_se,
            log_z,
            log_z_se: log_mean_error(effective_sample_size(&inverse), inverse.len()),
            log_z_error: known_log_z.map(|known| (log_z - known).abs()),
            ess: (log_z - log_mean_exp(&defined)).exp(),
        }
    }

    /// From a tensor `[N]` of any float kind and device.
    pub fn from_tensor(log_weights: &Tensor, known_log_z: Option<f64>) -> anyhow::Result<Self> {
        Ok(Self::new(&values(log_weights)?, known_log_z))
    }
}

/// `log((1/N) Σ exp(v))`; NaN of an empty slice, `±∞` where the largest term is.
pub fn log_mean_exp(v: &[f64]) -> f64 {
    let max = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if v.is_empty() || v.iter().any(|x| x.is_nan()) {
        return f64::NAN;
    }
    if max.is_infinite() {
        return max;
    }
    let sum: f64 = v.iter().map(|x| (x - max).exp()).sum();
    max + (sum / v.len() as f64).ln()
}

/// `(Σ w)² / (N Σ w²)` of `w = exp(log_weights)`; NaN where no weight is positive or one is infinite.
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let doubled: Vec<f64> = log_weights.iter().map(|l| 2.0 * l).collect();
    (2.0 * log_mean_exp(log_weights) - log_mean_exp(&doubled)).exp()
}

/// Relative standard error of a mean of weights whose normalised effective sample size is `ess`: var(w)/mean(w)² is
/// `1/ess - 1`.
fn log_mean_error(ess: f64, count: usize) -> f64 {
    ((1.0 / ess - 1.0).max(0.0) / (count as f64 - 1.0)).sqrt()
}

/// Mean and its standard error (unbiased variance).
fn mean_and_error(v: &[f64]) -> (f64, f64) {
    let n = v.len() as f64;
    let mean = v.iter().sum::<f64>() / n;
    let variance = v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn split_undefined(v: &[f64]) -> (Vec<f64>, usize) {
    let defined: Vec<f64> = v.iter().copied().filter(|x| !x.is_nan()).collect();
    let undefined = v.len() - defined.len();
    (defined, undefined)
}

fn values(t: &Tensor) -> anyhow::Result<Vec<f64>> {
    Ok(Vec::try_from(t.detach().to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_exact() {
        let reverse = Reverse::new(&[3.5; 10], Some(3.0));
        assert_eq!((reverse.elbo, reverse.log_z, reverse.ess), (3.5, 3.5, 1.0));
        assert_eq!((reverse.elbo_se, reverse.log_z_se, reverse.log_z_error), (0.0, 0.0, Some(0.5)));
        let forward = Forward::new(&[3.5; 10], None);
        assert_eq!((forward.eubo, forward.log_z, forward.ess, forward.log_z_error), (3.5, 3.5, 1.0, None));
    }

    #[test]
    fn two_weights_by_hand() {
        // w = 1 and 3: mean 2, (Σw)²/(NΣw²) = 16/20, mean of 1/w = 2/3.
        let log_w = [0.0, 3.0_f64.ln()];
        let reverse = Reverse::new(&log_w, None);
        assert!((reverse.log_z - 2.0_f64.ln()).abs() < 1e-15);
        assert!((reverse.ess - 0.8).abs() < 1e-15);
        assert!((reverse.log_z_se - 0.5).abs() < 1e-15); // sample sd √2 / √2 / mean 2
        let forward = Forward::new(&log_w, None);
        assert!((forward.log_z - 1.5_f64.ln()).abs() < 1e-15);
        assert!((forward.ess - 0.75).abs() < 1e-15);
    }

    #[test]
    fn far_outside_the_range_of_exp() {
        let shifted: Vec<f64> = [0.0, 1.0, 2.0].iter().map(|l| l - 5000.0).collect();
        let (near, far) = (Reverse::new(&[0.0, 1.0, 2.0], None), Reverse::new(&shifted, None));
        assert!((near.log_z - 5000.0 - far.log_z).abs() < 1e-9);
        assert!((near.ess - far.ess).abs() < 1e-12);
    }

    #[test]
    fn zero_weights_count_and_nan_weights_do_not() {
        let reverse = Reverse::new(&[0.0, f64::NEG_INFINITY, f64::NAN, 0.0], None);
        assert_eq!((reverse.count, reverse.undefined), (3, 1));
        assert_eq!(reverse.elbo, f64::NEG_INFINITY);
        assert!((reverse.log_z - (2.0_f64 / 3.0).ln()).abs() < 1e-15);
        assert!((reverse.ess - 2.0 / 3.0).abs() < 1e-15);
        let none = Reverse::new(&[f64::NAN], None);
        assert!(none.log_z.is_nan() && none.ess.is_nan() && none.undefined == 1);
    }

    #[test]
    fn a_gaussian_shift_has_its_closed_form() {
        // p = N(½, 1), q = N(0, 1): log w = x/2 - 1/8; ELBO -1/8, log Z 0, EUBO 1/8, both ESS exp(-1/4). The points are
        // the quantiles' midpoints, so only the tail beyond four standard deviations is missing.
        let n = 20_000;
        let z: Vec<f64> = (0..n).map(|i| (i as f64 + 0.5) / n as f64).map(normal_quantile).collect();
        let reverse = Reverse::new(&z.iter().map(|x| x / 2.0 - 0.125).collect::<Vec<_>>(), Some(0.0));
        let forward = Forward::new(&z.iter().map(|x| x / 2.0 + 0.125).collect::<Vec<_>>(), Some(0.0));
        assert!((reverse.elbo + 0.125).abs() < 1e-9 && (forward.eubo - 0.125).abs() < 1e-9);
        assert!(reverse.log_z.abs() < 2e-4 && forward.log_z.abs() < 2e-4);
        let ess = (-0.25_f64).exp();
        assert!((reverse.ess - ess).abs() < 2e-3 && (forward.ess - ess).abs() < 2e-3);
        assert!((reverse.elbo_se - 0.5 / (n as f64).sqrt()).abs() < 1e-5);
    }

    /// By bisection on the error function's series; only this test needs it.
    fn normal_quantile(p: f64) -> f64 {
        let cdf = |x: f64| {
            let (mut term, mut sum) = (x, x);
            for k in 1..200 {
                term *= x * x / (2 * k + 1) as f64;
                sum += term;
            }
            0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
        };
        let (mut low, mut high) = (-8.0, 8.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if cdf(middle) < p { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}
