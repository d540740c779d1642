//! One-dimensional comparisons: Wasserstein distances of energies, means and standard deviations of coordinates.

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::targets::Target;

/// Distances between the energies `E = -log_prob` of two sets of points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyDistance {
    /// 1-Wasserstein distance, in units of kT.
    pub w1: f64,
    /// 2-Wasserstein distance (rooted), the "E-W2" of molecular tables.
    pub w2: f64,
    pub mean: f64,
    pub reference_mean: f64,
}

/// Compares energies at samples `x` `[N, D]` with those at reference points `y` `[M, D]`.
///
/// A sample with a clash can have an energy of 10⁸ and decide W2 alone: read both distances.
pub fn energy_distance(target: &dyn Target, x: &Tensor, y: &Tensor) -> anyhow::Result<EnergyDistance> {
    let energies = |points: &Tensor| values(&-tch::no_grad(|| target.log_prob(points)));
    let (sampled, reference) = (energies(x)?, energies(y)?);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    Ok(EnergyDistance {
        w1: wasserstein_1d(&sampled, &reference, 1),
        w2: wasserstein_1d(&sampled, &reference, 2),
        mean: mean(&sampled),
        reference_mean: mean(&reference),
    })
}

/// `(∫₀¹ |F⁻¹(u) - G⁻¹(u)|^p du)^(1/p)` between two empirical distributions of any sizes; NaN if a value is NaN or a set
/// is empty. Exact: on the line, sorting is the optimal transport.
pub fn wasserstein_1d(a: &[f64], b: &[f64], p: i32) -> f64 {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|x| x.is_nan()) {
        return f64::NAN;
    }
    let sorted = |v: &[f64]| {
        let mut v = v.to_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let (a, b) = (sorted(a), sorted(b));

    // Both quantile functions are steps; walk along their common refinement.
    let (n, m) = (a.len(), b.len());
    let (mut i, mut j, mut at, mut total) = (0, 0, 0.0, 0.0);
    while i < n && j < m {
        let (end_a, end_b) = ((i + 1) * m, (j + 1) * n); // in units of 1 / (n m): exact
        let end = end_a.min(end_b) as f64 / (n as f64 * m as f64);
        if a[i] != b[j] {
            total += (end - at) * (a[i] - b[j]).abs().powi(p);
        }
        at = end;
        i += usize::from(end_a <= end_b);
        j += usize::from(end_b <= end_a);
    }
    total.powf(1.0 / p as f64)
}

/// How far the coordinates' first two moments are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moments {
    /// Root mean square over coordinates of the difference of means.
    pub mean_rmse: f64,
    /// Root mean square over coordinates of the difference of standard deviations.
    pub std_rmse: f64,
    /// Largest `|mean difference| / reference standard deviation` of any coordinate.
    pub worst_standardised_mean: f64,
}

/// Compares samples `x` `[N, D]` with reference points `y` `[M, D]`, both with at least two rows.
pub fn moments(x: &Tensor, y: &Tensor) -> Moments {
    let per_coordinate = |points: &Tensor| {
        let points = points.detach().to_device(Device::Cpu).to_kind(Kind::Double);
        let std = points.std_dim([0i64].as_slice(), true, false); // [D]
        (points.mean_dim([0i64].as_slice(), false, Kind::Double), std)
    };
    let ((mean, std), (reference_mean, reference_std)) = (per_coordinate(x), per_coordinate(y));
    let rms = |t: &Tensor| t.square().mean(Kind::Double).sqrt().double_value(&[]);
    let difference = mean - reference_mean;
    Moments {
        mean_rmse: rms(&difference),
        std_rmse: rms(&(std - &reference_std)),
        worst_standardised_mean: (difference / reference_std).abs().max().double_value(&[]),
    }
}

fn values(t: &Tensor) -> anyhow::Result<Vec<f64>> {
    Ok(Vec::try_from(t.detach().to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_its_own_distance() {
        let a = [3.0, -1.0, 0.5, 8.0];
        let b: Vec<f64> = a.iter().rev().map(|x| x + 2.5).collect();
        assert!((wasserstein_1d(&a, &b, 1) - 2.5).abs() < 1e-14);
        assert!((wasserstein_1d(&a, &b, 2) - 2.5).abs() < 1e-14);
        assert_eq!(wasserstein_1d(&a, &a, 2), 0.0);
    }

    #[test]
    fn sets_of_two_sizes_by_hand() {
        // Halves of {0, 1} against thirds of {0, 0, 3}: |1-0| over 1/6, |1-3| over 1/3.
        let (a, b) = ([0.0, 1.0], [3.0, 0.0, 0.0]);
        assert!((wasserstein_1d(&a, &b, 1) - (1.0 / 6.0 + 2.0 / 3.0)).abs() < 1e-14);
        assert!((wasserstein_1d(&a, &b, 2) - (1.0_f64 / 6.0 + 4.0 / 3.0).sqrt()).abs() < 1e-14);
        assert_eq!(wasserstein_1d(&a, &b, 1), wasserstein_1d(&b, &a, 1));
    }

    #[test]
    fn repeating_a_set_changes_nothing() {
        let (a, b) = ([0.3, 1.7, -2.0], [4.0, 0.0]);
        let twice: Vec<f64> = a.iter().chain(&a).copied().collect();
        assert!((wasserstein_1d(&a, &b, 2) - wasserstein_1d(&twice, &b, 2)).abs() < 1e-14);
    }

    #[test]
    fn undefined_and_infinite_energies_show() {
        assert!(wasserstein_1d(&[f64::NAN, 1.0], &[0.0], 1).is_nan());
        assert_eq!(wasserstein_1d(&[f64::INFINITY, 1.0], &[0.0], 1), f64::INFINITY);
        assert_eq!(wasserstein_1d(&[f64::INFINITY], &[f64::INFINITY], 2), 0.0);
    }

    #[test]
    fn moments_of_a_stretched_and_moved_set() {
        let y = Tensor::from_slice2(&[[1.0, 2.0], [3.0, 6.0], [5.0, -2.0]]);
        let x = 2.0 * &y + 1.0;
        let found = moments(&x, &y);
        // Means 3 and 2 become 7 and 5; the standard deviations 2 and 4 double.
        assert!((found.mean_rmse - 12.5_f64.sqrt()).abs() < 1e-6);
        assert!((found.std_rmse - 10.0_f64.sqrt()).abs() < 1e-6);
        assert!((found.worst_standardised_mean - 2.0).abs() < 1e-6);
    }
}
