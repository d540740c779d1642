//! The 2-Wasserstein distance of Gaussians.

use tch::{Kind, Tensor};

/// W2 between `N(mean, covariance)` and `N(other_mean, diag(other_variance))`; shapes `[D]`, `[D, D]`, `[D]`, `[D]`. For
/// laws of these moments that are not Gaussian, a lower bound (Gelbrich 1990). NaN where a moment is not finite.
///
/// The textbook trace formula subtracts nearly equal numbers; this is the length of the optimal linear map's difference
/// from the identity, which keeps its digits when the laws nearly agree: with `S` the diagonal covariance,
/// `T = S^{-1/2} (S^{1/2} C S^{1/2})^{1/2} S^{-1/2}` and `W2² = |m - m'|² + tr((T - I) S (T - I))`.
pub fn w2_gaussians(mean: &Tensor, covariance: &Tensor, other_mean: &Tensor, other_variance: &Tensor) -> f64 {
    let [mean, covariance, other_mean, other_variance] =
        [mean, covariance, other_mean, other_variance].map(|t| t.detach().to_kind(Kind::Double));
    if covariance.isfinite().all().int64_value(&[]) == 0 {
        return f64::NAN;
    }
    let deviation = other_variance.sqrt(); // [D]
    let (rows, columns) = (deviation.unsqueeze(-1), deviation.unsqueeze(0));
    let inner = &rows * covariance * &columns;
    let symmetric = (&inner + inner.tr()) * 0.5;

    let (eigenvalues, vectors) = symmetric.linalg_eigh("L");
    let root = (&vectors * eigenvalues.clamp_min(0.0).sqrt().unsqueeze(0)).matmul(&vectors.tr());
    // (T - I) S^{1/2}
    let excess = root / &rows - deviation.diag(0);
    let shift = (mean - other_mean).square().sum(None) + excess.square().sum(None);
    shift.sqrt().double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Diagonal laws transport coordinate by coordinate; a common factor scales the identity map.
    #[test]
    fn known_distances_come_out() {
        let (m, s) = (Tensor::from_slice(&[1.0, -2.0]), Tensor::from_slice(&[4.0, 0.25]));
        let other = Tensor::from_slice(&[1.0 + 3e-9, -2.0]);
        let found = w2_gaussians(&m, &Tensor::from_slice(&[9.0, 0.25]).diag(0), &other, &s);
        assert!((found - 1.0).abs() < 1e-14, "{found}");
        let found = w2_gaussians(&m, &s.diag(0), &other, &s);
        assert!((found - 3e-9).abs() < 1e-15, "{found}");
    }

    /// The trace formula, on covariances that do not commute.
    #[test]
    fn correlated_laws_agree_with_the_trace_formula() {
        let c = Tensor::from_slice(&[2.0, 0.7, 0.7, 0.5]).view([2, 2]);
        let (zero, s) = (Tensor::from_slice(&[0.0, 0.0]), Tensor::from_slice(&[0.3, 3.0]));
        // The eigenvalues of C S have the sum of the traces and the product of the determinants.
        let (sum, product): (f64, f64) = (2.0 * 0.3 + 0.5 * 3.0, (2.0 * 0.5 - 0.49) * 0.9);
        let roots = (sum + 2.0 * product.sqrt()).sqrt();
        let expected = (2.5 + 3.3 - 2.0 * roots).sqrt();
        let found = w2_gaussians(&zero, &c, &zero, &s);
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    }
}
