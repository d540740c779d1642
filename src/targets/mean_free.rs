//! Particle densities with the centre fixed: on the subspace of mean zero, in an orthonormal basis and units of choice.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Options, Target, TargetConfig};
use crate::bad_input;
use crate::config::check;
use crate::torch::error::BadInput;

/// A density of particles, and the length that becomes 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanFreeConfig {
    /// Units of the inner density in one unit of the coordinates here: nm for a molecule.
    #[serde(default = "one")]
    pub scale: f64,
    /// The density whose particles' mean position is fixed at the origin.
    pub target: Box<TargetConfig>,
}

fn one() -> f64 {
    1.0
}

/// `log gamma(s Q y) + D log s` for coordinates `y` in R^D, D = (P - 1) S, where `Q` is an orthonormal basis of the
/// positions of P particles in S dimensions whose mean is zero, and `s` the scale.
///
/// The second term is the change of volume, so that `log Z` is that of the inner density over the mean-free subspace
/// (with Lebesgue's measure in the inner density's units) whatever the scale. Densities that do not see translations
/// lose nothing but the free centre, without which they have no normaliser.
pub struct MeanFree {
    inner: Box<dyn Target>,
    /// `s Q`, `[P, P - 1]`.
    map: Tensor,
    scale: f64,
    space: i64,
}

impl MeanFree {
    pub fn new(config: &MeanFreeConfig, options: Options) -> Result<Self> {
        check::positive("target.scale", config.scale)?;
        let inner = config.target.build(options).map_err(one_level_down)?;
        Self::around(inner, config.scale, options)
    }

    /// Fixes the centre of a density that is built already.
    pub fn around(inner: Box<dyn Target>, scale: f64, options: Options) -> Result<Self> {
        let Some((particles, space)) = inner.particles() else {
            return Err(bad_input!("'target.target': mean_free is for densities of particles; this one has none"));
        };
        check::at_least("target.target.particles", particles, 2)?;
        let map = (helmert(particles) * scale).to_kind(options.0).to_device(options.1);
        Ok(Self { inner, map, scale, space })
    }

    /// Coordinates of positions `[N, P S]` after their mean is taken away, `[N, D]`: the inverse of
    /// [`positions`](Target::positions).
    pub fn coordinates(&self, positions: &Tensor) -> Tensor {
        self.pulled_back(positions) / (self.scale * self.scale)
    }

    /// `s Q^T` applied to positions or to slopes with respect to them.
    fn pulled_back(&self, slopes: &Tensor) -> Tensor {
        let rows = slopes.reshape([slopes.size()[0], -1, self.space]); // [N, P, S]
        self.map.tr().matmul(&rows).flatten(1, 2)
    }
}

impl Target for MeanFree {
    fn dim(&self) -> i64 {
        self.map.size()[1] * self.space
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        self.inner.log_prob(&self.positions(x)) + self.dim() as f64 * self.scale.ln()
    }

    fn score(&self, x: &Tensor) -> Tensor {
        self.pulled_back(&self.inner.score(&self.positions(x)))
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        self.inner.sample(n).map(|positions| self.coordinates(&positions))
    }

    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        self.inner.mode_log_probs(&self.positions(x))
    }

    fn positions(&self, x: &Tensor) -> Tensor {
        let coordinates = x.reshape([x.size()[0], self.map.size()[1], self.space]); // [N, P - 1, S]
        let positions = self.map.matmul(&coordinates).flatten(1, 2);
        self.inner.positions(&positions)
    }
}

/// Orthonormal columns `[P, P - 1]` f64, each adding up to zero: the k-th compares particle k with the mean of those
/// before it (Helmert's matrix without its constant row).
fn helmert(particles: i64) -> Tensor {
    let n = particles as usize;
    let mut entries = vec![0.0; n * (n - 1)];
    for k in 1..n {
        let norm = ((k * (k + 1)) as f64).sqrt();
        (0..k).for_each(|i| entries[i * (n - 1) + k - 1] = 1.0 / norm);
        entries[k * (n - 1) + k - 1] = -(k as f64) / norm;
    }
    Tensor::from_slice(&entries).view([particles, particles - 1])
}

/// The same complaint with its keys below `target.target`, where a person wrote them.
fn one_level_down(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<BadInput>() {
        Some(BadInput(text)) => BadInput(text.replace("'target.", "'target.target.")).into(),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::support::LN_2PI;
    use tch::{Device, Kind};

    const F64: Options = (Kind::Double, Device::Cpu);

    /// Independent springs from every particle to the mean position, with a normaliser known on the subspace.
    struct Springs;

    impl Target for Springs {
        fn dim(&self) -> i64 {
            15
        }

        fn log_prob(&self, x: &Tensor) -> Tensor {
            let x = x.view([-1, 5, 3]);
            let apart = &x - x.mean_dim([1].as_slice(), true, None);
            apart.square().sum_dim_intlist([1, 2].as_slice(), false, None) * -0.5 / 0.09
        }

        fn particles(&self) -> Option<(i64, i64)> {
            Some((5, 3))
        }
    }

    #[test]
    fn the_basis_is_orthonormal_and_mean_free() {
        for particles in [2, 3, 22] {
            let basis = helmert(particles);
            let unit = Tensor::eye(particles - 1, F64);
            assert!((basis.tr().matmul(&basis) - unit).abs().max().double_value(&[]) < 1e-14);
            assert!(basis.sum_dim_intlist(0, false, None).abs().max().double_value(&[]) < 1e-14);
        }
    }

    /// The springs' normaliser is (2 pi 0.09)^(D/2) in the inner units, whatever the scale.
    #[test]
    fn the_normaliser_does_not_depend_on_the_scale() {
        let log_z = 6.0 * (LN_2PI + 0.09f64.ln());
        for scale in [1.0, 0.3, 2.0] {
            let target = MeanFree::around(Box::new(Springs), scale, F64).unwrap();
            assert_eq!(target.dim(), 12);
            let y = (Tensor::arange(36, F64) * 7.13).sin().view([3, 12]);
            // On the subspace the density is N(0, 0.09 / s^2) times Z.
            let variance = 0.09 / (scale * scale);
            let normal = y.square().sum_dim_intlist(1, false, None) * -0.5 / variance - 6.0 * (LN_2PI + variance.ln());
            let error = (target.log_prob(&y) - normal - log_z).abs().max().double_value(&[]);
            assert!(error < 1e-12, "{scale}: {error:e}");
        }
    }

    #[test]
    fn coordinates_and_positions_are_inverse_but_for_the_centre() {
        let target = MeanFree::around(Box::new(Springs), 0.3, F64).unwrap();
        let y = (Tensor::arange(24, F64) * 3.7).sin().view([2, 12]);
        let x = target.positions(&y);
        assert_eq!(x.size(), [2, 15]);
        let mean = x.view([2, 5, 3]).mean_dim([1].as_slice(), false, None);
        assert!(mean.abs().max().double_value(&[]) < 1e-15);
        assert!((target.coordinates(&(&x + 0.7)) - y).abs().max().double_value(&[]) < 1e-14);
    }

    #[test]
    fn densities_without_particles_are_refused_and_keys_are_whole() {
        let config = |inner: &str| serde_json::from_str::<MeanFreeConfig>(inner).unwrap();
        let refused = |text| MeanFree::new(&config(text), F64).err().unwrap().to_string();
        let error = refused(r#"{"target": {"type": "funnel", "dim": 3}}"#);
        assert!(error.contains("'target.target'") && error.contains("particles"), "{error}");
        let error = refused(r#"{"target": {"type": "lennard_jones", "particles": 1}}"#);
        assert!(error.contains("'target.target.particles'"), "{error}");
        let error = refused(r#"{"scale": 0.0, "target": {"type": "dw4"}}"#);
        assert!(error.contains("'target.scale'"), "{error}");
    }
}
