//! The Fréchet distance of feature vectors, as the Fréchet inception distance has it (Heusel et al., NeurIPS 2017).

use tch::{Kind, Tensor};

/// `|m - m'|² + tr(C + C' - 2 (C^{1/2} C' C^{1/2})^{1/2})` of the means and (unbiased) covariances of `x` `[N, F]` and `y`
/// `[M, F]`: the squared W2 of Gaussians with those moments. NaN where a feature is not finite, or a set has one point.
///
/// Estimates are too large by about a multiple of `F/N`: compare at one `N`, beside the floor of two exact sets.
pub fn frechet_distance(x: &Tensor, y: &Tensor) -> f64 {
    let (x, y) = (x.detach().to_kind(Kind::Double), y.detach().to_kind(Kind::Double));
    let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
    if x.size()[0] < 2 || y.size()[0] < 2 || !finite(&x) || !finite(&y) {
        return f64::NAN;
    }
    let (x_mean, x_covariance) = moments(&x);
    let (y_mean, y_covariance) = moments(&y);
    let root = root(&x_covariance);
    let inner = root.matmul(&y_covariance).matmul(&root);
    let (eigenvalues, _) = ((&inner + inner.tr()) * 0.5).linalg_eigh("L");
    let cross = eigenvalues.clamp_min(0.0).sqrt().sum(None);
    let shift = (x_mean - y_mean).square().sum(None);
    (shift + x_covariance.trace() + y_covariance.trace() - cross * 2.0).double_value(&[])
}

fn moments(x: &Tensor) -> (Tensor, Tensor) {
    let mean = x.mean_dim(0i64, false, Kind::Double);
    let centred = x - &mean;
    let covariance = centred.tr().matmul(&centred) / (x.size()[0] - 1) as f64;
    (mean, covariance)
}

/// The symmetric root of a symmetric matrix without negative eigenvalues, but for rounding.
fn root(matrix: &Tensor) -> Tensor {
    let (eigenvalues, vectors) = matrix.linalg_eigh("L");
    (&vectors * eigenvalues.clamp_min(0.0).sqrt().unsqueeze(0)).matmul(&vectors.tr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::bures::w2_gaussians;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    #[test]
    fn it_is_the_squared_w2_of_the_moments() {
        reseed(0, Stream::Data, 0);
        let options = (Kind::Double, Device::Cpu);
        let mix = Tensor::randn([4, 4], options);
        let x = Tensor::randn([50, 4], options).matmul(&mix) + 1.0;
        // A set with exactly diagonal covariance: its own principal axes.
        let y = Tensor::randn([60, 4], options).matmul(&mix.tr());
        let (mean, covariance) = moments(&y);
        let (variances, axes) = covariance.linalg_eigh("L");
        let (x, y) = (x.matmul(&axes), (y - mean).matmul(&axes) + 0.3);

        let (x_mean, x_covariance) = moments(&x);
        let expected = w2_gaussians(&x_mean, &x_covariance, &moments(&y).0, &variances).powi(2);
        let found = frechet_distance(&x, &y);
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        assert!((frechet_distance(&y, &x) / found - 1.0).abs() < 1e-9 && frechet_distance(&x, &x).abs() < 1e-9);
        assert!(frechet_distance(&x, &(y * f64::NAN)).is_nan());
    }
}
