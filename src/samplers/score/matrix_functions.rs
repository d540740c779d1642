//! Functions of the matrix `L = I/2 + H` that a locally linear step needs, on eigenvalues and as power series.

use tch::Tensor;

/// Below this the quotients lose digits, and their series, to [`TERMS`] terms, do not.
const SMALL: f64 = 0.5;
const TERMS: u32 = 16;

/// `(e^z - 1) / z`, elementwise, with its limit 1 at 0.
pub fn phi1(z: &Tensor) -> Tensor {
    switched(z, 1, |z| z.expm1() / z)
}

/// `(e^z - 1 - z) / z²`, elementwise, with its limit 1/2 at 0.
pub fn phi2(z: &Tensor) -> Tensor {
    switched(z, 2, |z| (z.expm1() - z) / z.square())
}

/// `Σ_k z^k / (k + shift)!` where `|z|` is small, `quotient` elsewhere.
fn switched(z: &Tensor, shift: u32, quotient: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let small = z.abs().lt(SMALL);
    let near = z.where_scalarother(&small, 0.0);
    let far = z.where_scalarother(&small.logical_not(), 1.0);
    let factorial: f64 = (1..=shift + TERMS).map(f64::from).product();

    // Horner's scheme from the highest power.
    let mut coefficient = 1.0 / factorial;
    let mut sum = z.full_like(coefficient);
    for k in (0..TERMS).rev() {
        coefficient *= f64::from(shift + k + 1);
        sum = sum * &near + coefficient;
    }
    sum.where_self(&small, &quotient(&far))
}

/// Powers that [`ROOT`] knows beyond the identity.
pub const MAX_TERMS: usize = ROOT.len() - 1;

/// Coefficients of `sqrt((e^{2z} - 1) / (2z)) = Σ_k a_k z^k`, which converges for `|z| < π`.
const ROOT: [f64; 8] =
    [1.0, 1.0 / 2.0, 5.0 / 24.0, 1.0 / 16.0, 79.0 / 5760.0, 3.0 / 1280.0, 71.0 / 193_536.0, 113.0 / 1_935_360.0];

/// Coefficient of `z^k` in `sqrt((e^{2z} - 1) / (2z))`, for `k` up to [`MAX_TERMS`].
pub fn root_coefficient(k: usize) -> f64 {
    ROOT[k]
}

/// Coefficient of `z^k` in `(e^z - 1 - z) / z²`.
pub fn phi2_coefficient(k: usize) -> f64 {
    1.0 / (1..=k + 2).map(|i| i as f64).product::<f64>()
}

/// `Σ_k (hL)^k v_k` for `k` from 0 to `terms`, by Horner's scheme: `terms` products `apply(v) = L v`, however many series
/// are added up in the `v_k`.
pub fn series(h: f64, terms: usize, v: impl Fn(usize) -> Tensor, apply: impl Fn(&Tensor) -> Tensor) -> Tensor {
    (0..terms).rev().fold(v(terms), |sum, k| apply(&sum) * h + v(k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor).unwrap()
    }

    /// `phi1` is the mean of `e^{sz}` over `s` in `[0, 1]`, `phi2` that of `(1 - s) e^{sz}`: by Simpson's rule.
    #[test]
    fn quotients_are_the_integrals_they_stand_for() {
        let points = [-30.0, -3.0, -0.500_001, -0.499_999, -1e-3, -1e-9, 0.0, 1e-12, 1e-5, 0.3, 0.5, 2.0, 10.0];
        let z = Tensor::from_slice(&points);
        let cells = 20_000;
        let simpson = |f: &dyn Fn(f64) -> f64| {
            let weight = |i: i32| f64::from(if i == 0 || i == cells { 1 } else { 2 + 2 * (i % 2) });
            (0..=cells).map(|i| weight(i) * f(f64::from(i) / f64::from(cells))).sum::<f64>() / f64::from(3 * cells)
        };
        for ((one, two), z) in values(&phi1(&z)).into_iter().zip(values(&phi2(&z))).zip(points) {
            let (exact1, exact2) = (simpson(&|s| (s * z).exp()), simpson(&|s| (1.0 - s) * (s * z).exp()));
            assert!((one / exact1 - 1.0).abs() < 2e-12, "phi1({z}) = {one}, not {exact1}");
            assert!((two / exact2 - 1.0).abs() < 2e-12, "phi2({z}) = {two}, not {exact2}");
        }
    }

    #[test]
    fn series_converge_to_the_functions() {
        let eigenvalues = Tensor::from_slice(&[-0.9, -0.2, 0.0, 0.4]);
        let v = Tensor::ones([4], (Kind::Double, Device::Cpu));
        let apply = |v: &Tensor| v * &eigenvalues;
        let error = |terms| {
            let h = 0.5;
            let root = series(h, terms, |k| &v * root_coefficient(k), apply) - phi1(&(&eigenvalues * (2.0 * h))).sqrt();
            let drift = series(h, terms, |k| &v * phi2_coefficient(k), apply) - phi2(&(&eigenvalues * h));
            f64::try_from(root.abs().max()).unwrap().max(f64::try_from(drift.abs().max()).unwrap())
        };
        assert!(error(1) < 0.05 && error(3) < 2e-3 && error(MAX_TERMS) < 2e-7, "{} {}", error(1), error(MAX_TERMS));
    }
}
