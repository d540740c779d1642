//! Slow coordinates of trajectories: time-lagged independent component analysis.
//!
//! The conventions are deeptime's (Hoffmann et al., 2022), on which published TICA planes of peptides stand: symmetrised
//! covariances, a cut of small eigenvalues at 1e-6, components scaled by their eigenvalues ("kinetic map"), signs such that
//! the largest entry of each is positive; weights as in `KoopmanWeightingEstimator`.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::transport::{Geometry, wasserstein2};
use crate::bad_input;

/// Directions in feature space in which a covariance is smaller than this are left out.
const EPSILON: f64 = 1e-6;

/// A linear map of features to components, the slowest first.
#[derive(Debug)]
pub struct Tica {
    /// `[F]`.
    pub mean: Tensor,
    /// `[F, K]`.
    pub projection: Tensor,
    /// Autocorrelation of each component at the lag; empty for a map that was given.
    pub eigenvalues: Vec<f64>,
}

impl Tica {
    /// A map that somebody else fitted: `mean` `[F]` and `projection` `[F, K]`.
    pub fn given(mean: &Tensor, projection: &Tensor) -> Result<Self> {
        let (mean, projection) = (double(mean), double(projection));
        let (mean_size, size) = (mean.size(), projection.size());
        if size.len() != 2 || mean_size != size[..1] || size[1] < 1 {
            return Err(bad_input!("TICA map: mean {mean_size:?} and projection {size:?}; expected [F] and [F, K]"));
        }
        Ok(Self { mean, projection, eigenvalues: Vec::new() })
    }

    /// Fits trajectories of features `[T, F]`, `lag` frames apart; trajectories too short for a pair are passed over.
    ///
    /// With `koopman`, frames are weighted towards the stationary law of the dynamics (Wu et al., J. Chem. Phys. 146
    /// (2017) 154104), so that trajectories need not be in equilibrium.
    pub fn fit(trajectories: &[Tensor], lag: i64, koopman: bool) -> Result<Self> {
        ensure!(lag >= 1, "a TICA lag of {lag} frames");
        let long = trajectories.iter().map(double).filter(|t| t.dim() == 2 && t.size()[0] > lag);
        let pairs: Vec<(Tensor, Tensor)> = long
            .map(|t| {
                let pairs = t.size()[0] - lag;
                (t.narrow(0, 0, pairs), t.narrow(0, lag, pairs))
            })
            .collect();
        if pairs.is_empty() {
            return Err(bad_input!("TICA: no trajectory [T, F] is longer than the lag of {lag} frames"));
        }
        let (x, y) = (joined(&pairs, |p| &p.0), joined(&pairs, |p| &p.1)); // [P, F]
        ensure!(x.isfinite().all().int64_value(&[]) == 1 && y.isfinite().all().int64_value(&[]) == 1, "TICA of NaN");
        let weights = if koopman { koopman_weights(&x, &y)? } else { x.select(1, 0).ones_like() };
        decompose(&x, &y, &weights)
    }

    /// The first `dim` components of features `[N, F]`: `[N, dim]` f64.
    pub fn transform(&self, features: &Tensor, dim: i64) -> Result<Tensor> {
        let (expected, found) = (self.mean.size()[0], features.size());
        let components = self.projection.size()[1];
        ensure!(
            found.len() == 2 && found[1] == expected && dim <= components,
            "{dim} of {components} TICA components of features {found:?}; expected [N, {expected}]"
        );
        Ok((double(features) - &self.mean).matmul(&self.projection.narrow(1, 0, dim)))
    }

    /// The "TICA-W2": 2-Wasserstein distance in the plane of the first two components.
    pub fn plane_w2(&self, features: &Tensor, reference: &Tensor) -> Result<f64> {
        wasserstein2(&self.transform(features, 2)?, &self.transform(reference, 2)?, Geometry::Flat)
    }
}

/// The symmetrised generalised eigenvalue problem under weights `[P]` of the pairs.
fn decompose(x: &Tensor, y: &Tensor, weights: &Tensor) -> Result<Tica> {
    let w = weights.unsqueeze(1) / (weights.sum(Kind::Double) * 2.0); // [P, 1]
    let mean = ((x + y) * &w).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
    let (x, y) = (x - &mean, y - &mean);
    let instant = x.tr().matmul(&(&x * &w)) + y.tr().matmul(&(&y * &w));
    let lagged = x.tr().matmul(&(&y * &w));
    let lagged = &lagged + lagged.tr();

    let whiten = inverse_root(&instant)?; // [F, K]
    let (values, vectors) = eigen(&whiten.tr().matmul(&lagged).matmul(&whiten));
    let order = values.abs().argsort(0, true);
    let (values, vectors) = (values.index_select(0, &order), vectors.index_select(1, &order));
    let components = canonical(&whiten.matmul(&vectors));
    Ok(Tica { mean, projection: components * &values, eigenvalues: Vec::try_from(values)? })
}

/// How much more (or less) often than in the data each frame `x` occurs in equilibrium, up to a factor.
///
/// The ratio is a linear function of the whitened features; that it is stationary fixes its coefficients.
fn koopman_weights(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let mean = |t: &Tensor| t.mean_dim([0i64].as_slice(), false, Kind::Double); // [F]
    let (start, end) = (mean(x), mean(y));
    let (from, to) = (x - &start, y - &end);
    let count = x.size()[0] as f64;
    let whiten = inverse_root(&(from.tr().matmul(&from) / count))?; // [F, K]
    let propagator = whiten.tr().matmul(&(from.tr().matmul(&to) / count)).matmul(&whiten); // [K, K]
    let drift = whiten.tr().matmul(&(end - start).unsqueeze(1)); // [K, 1]
    let identity = Tensor::eye(propagator.size()[0], (Kind::Double, Device::Cpu));
    let solution = Tensor::f_linalg_solve(&(identity - propagator.tr()), &drift, true);
    let coefficients = solution.map_err(|_| bad_input!("TICA: the features do not decay; expected a longer lag"))?;
    Ok(from.matmul(&whiten.matmul(&coefficients)).squeeze_dim(1) + 1.0)
}

/// `L` `[F, K]` with `Lᵀ C L = 1`, from the eigenvalues of the symmetric `C` that are not too small.
fn inverse_root(matrix: &Tensor) -> Result<Tensor> {
    let (values, vectors) = eigen(matrix);
    let cut = EPSILON.max(1e-16 - values.min().double_value(&[]));
    let keep = values.abs().ge(cut).nonzero().squeeze_dim(1).flip([0]);
    if keep.size()[0] == 0 {
        return Err(bad_input!("TICA: every feature is constant"));
    }
    let (values, vectors) = (values.index_select(0, &keep), canonical(&vectors.index_select(1, &keep)));
    Ok(vectors / values.sqrt())
}

/// Eigenvalues in rising order and eigenvectors as columns.
fn eigen(matrix: &Tensor) -> (Tensor, Tensor) {
    ((matrix + matrix.tr()) * 0.5).linalg_eigh("L")
}

/// Each column with such a sign that its largest entry is positive.
fn canonical(columns: &Tensor) -> Tensor {
    let largest = columns.abs().argmax(0, true); // [1, K]
    columns * columns.gather(0, &largest, false).sign()
}

fn joined(pairs: &[(Tensor, Tensor)], part: fn(&(Tensor, Tensor)) -> &Tensor) -> Tensor {
    Tensor::cat(&pairs.iter().map(part).collect::<Vec<_>>(), 0)
}

fn double(t: &Tensor) -> Tensor {
    t.detach().to_device(Device::Cpu).to_kind(Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};

    /// Independent autoregressive chains `z' = r z + …` of unit variance, started at `z = begin`: `[T, 3]`.
    fn chains(r: [f64; 3], begin: f64, frames: usize) -> Tensor {
        let noise = Tensor::randn([frames as i64, 3], (Kind::Double, Device::Cpu));
        let noise = Vec::<f64>::try_from(noise.flatten(0, -1)).unwrap();
        let mut z = [begin; 3];
        let mut values = Vec::with_capacity(noise.len());
        for step in noise.chunks(3) {
            for k in 0..3 {
                z[k] = r[k] * z[k] + (1.0 - r[k] * r[k]).sqrt() * step[k];
            }
            values.extend(z);
        }
        Tensor::from_slice(&values).view([-1, 3])
    }

    fn mixing() -> Tensor {
        Tensor::from_slice2(&[[2.0, 0.3, -0.4, 1.0], [0.1, -1.0, 0.5, 0.0], [0.4, 0.2, 3.0, 1.0]])
    }

    #[test]
    fn mixed_chains_are_unmixed_with_their_autocorrelations() {
        reseed(3, Stream::Data, 0);
        let z = chains([0.98, 0.9, 0.3], 0.0, 100_000);
        // Four features of three chains: one direction holds nothing.
        let features = z.matmul(&mixing()) + 5.0;
        let lag = 2;
        let tica = Tica::fit(&[features.shallow_clone()], lag, false).unwrap();
        assert_eq!(tica.eigenvalues.len(), 3);
        for (found, r) in tica.eigenvalues.iter().zip([0.98_f64, 0.9, 0.3]) {
            assert!((found - r.powi(2)).abs() < 0.02, "{:?}", tica.eigenvalues);
        }
        // Components are the chains up to sign, scaled by their eigenvalues.
        let components = tica.transform(&features, 3).unwrap();
        for k in 0..3 {
            let (c, z) = (components.select(1, k), z.select(1, k));
            let overlap = (&c * &z).mean(Kind::Double).double_value(&[]).abs();
            assert!((overlap / tica.eigenvalues[k as usize] - 1.0).abs() < 0.05, "{k}: {overlap}");
        }
        assert!(tica.plane_w2(&features.narrow(0, 0, 50), &features.narrow(0, 0, 50)).unwrap() < 1e-9);
    }

    /// Short chains all started far out: the plain mean is far from the stationary one (0), the weighted one near it.
    #[test]
    fn koopman_weights_find_the_stationary_law() {
        reseed(4, Stream::Data, 0);
        let trajectories: Vec<Tensor> =
            (0..2000).map(|_| chains([0.95, 0.8, 0.5], 2.0, 40).matmul(&mixing())).collect();
        let norm = |t: &Tensor| t.norm().double_value(&[]);
        let plain = Tica::fit(&trajectories, 5, false).unwrap();
        let weighted = Tica::fit(&trajectories, 5, true).unwrap();
        let (before, after) = (norm(&plain.mean), norm(&weighted.mean));
        assert!(before > 1.5 && after < 0.15 * before, "{before} {after}");
    }

    #[test]
    fn what_cannot_be_fitted_is_said_in_one_line() {
        let constant = Tensor::ones([50, 2], (Kind::Double, Device::Cpu));
        for (trajectory, lag) in [(&constant, 5), (&constant, 50)] {
            let error = Tica::fit(&[trajectory.shallow_clone()], lag, true).unwrap_err().to_string();
            assert!(error.starts_with("TICA: ") && error.lines().count() == 1, "{error}");
        }
        assert!(Tica::given(&constant.get(0), &constant).is_err());
        let map = Tica::given(&constant.select(1, 0), &constant).unwrap();
        assert!(map.transform(&constant, 2).is_err());
    }
}
