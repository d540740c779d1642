//! Blurred images of which some points are missing: the operator that no basis here makes diagonal.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::basis::Basis;
use super::hartley::hartley;
use super::operator::Forward;
use crate::bad_input;
use crate::config::check;
use crate::torch::normal::Normals;
use crate::torch::seed::Stream;

/// A periodic Gaussian blur, then points left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeconvolutionConfig {
    /// Standard deviation of the blur, as a part of the side.
    pub width: f64,
    /// Share of the points that are observed, each by its own coin.
    #[serde(default = "one")]
    pub observed: f64,
    #[serde(default)]
    pub mask_seed: u64,
}

fn one() -> f64 {
    1.0
}

/// `A = M F⁻¹ K F F⁻¹ = M F⁻¹ K` on the coordinates of the periodic basis: transfer function K, synthesis F⁻¹, mask M.
pub struct Deconvolution {
    /// `[n]` or `[n, n]`, `exp(-width² ζ / 2)`.
    transfer: Tensor,
    /// Of the same shape, 0 or 1.
    mask: Tensor,
    axes: i64,
}

impl Deconvolution {
    pub fn new(config: &DeconvolutionConfig, basis: &Basis) -> Result<Self> {
        check::non_negative("problem.operator.width", config.width)?;
        check::probability("problem.operator.observed", config.observed)?;
        if !basis.is_periodic() {
            return Err(bad_input!(
                "'problem.operator.type' deconvolution works on a periodic grid; set problem.basis.type to fourier"
            ));
        }
        let shape = basis.shape();
        let transfer = (basis.eigenvalues() * (-0.5 * config.width.powi(2))).exp().view(shape.as_slice());
        let mut coins = Normals::new(config.mask_seed, Stream::Data, 1);
        let mask: Vec<f64> = (0..basis.dim()).map(|_| f64::from(u8::from(coins.uniform() < config.observed))).collect();
        let mask = Tensor::from_slice(&mask).view(shape.as_slice());
        Ok(Self { transfer, mask, axes: shape.len() as i64 })
    }

    fn on_grid(&self, x: &Tensor) -> Tensor {
        x.reshape([&[-1], self.mask.size().as_slice()].concat())
    }
}

impl Forward for Deconvolution {
    fn observations(&self) -> i64 {
        self.mask.numel() as i64
    }

    fn apply(&self, x: &Tensor) -> Tensor {
        (hartley(&(self.on_grid(x) * &self.transfer), self.axes) * &self.mask).view([x.size()[0], -1])
    }

    fn adjoint(&self, r: &Tensor) -> Tensor {
        (hartley(&(self.on_grid(r) * &self.mask), self.axes) * &self.transfer).view([r.size()[0], -1])
    }

    fn mask(&self) -> Tensor {
        self.mask.view([-1]).to_kind(Kind::Double)
    }
}

#[cfg(test)]
mod tests {
    use super::super::basis::{BasisConfig, Grid, Modes};
    use super::*;
    use crate::torch::seed::reseed;
    use tch::Device;

    #[test]
    fn the_adjoint_is_one_and_sequences_are_refused() {
        let config = DeconvolutionConfig { width: 0.05, observed: 0.6, mask_seed: 4 };
        let basis = Basis::new(&BasisConfig::Fourier(Grid { size: 8, axes: 2 })).unwrap();
        let forward = Deconvolution::new(&config, &basis).unwrap();
        reseed(0, Stream::Data, 0);
        let (x, r) =
            (Tensor::randn([3, 64], (Kind::Double, Device::Cpu)), Tensor::randn([3, 64], (Kind::Double, Device::Cpu)));
        let gap = (forward.apply(&x) * &r).sum(Kind::Double) - (x * forward.adjoint(&r)).sum(Kind::Double);
        assert!(gap.abs().double_value(&[]) < 1e-12);
        let share = forward.mask().mean(Kind::Double).double_value(&[]);
        assert!(share > 0.4 && share < 0.8);
        let line = Basis::new(&BasisConfig::Sequence(Modes { modes: 8 })).unwrap();
        assert!(Deconvolution::new(&config, &line).is_err());
    }

    /// A constant image passes unchanged.
    #[test]
    fn the_blur_keeps_the_mean() {
        let config = DeconvolutionConfig { width: 0.2, observed: 1.0, mask_seed: 0 };
        let basis = Basis::new(&BasisConfig::Fourier(Grid { size: 8, axes: 1 })).unwrap();
        let forward = Deconvolution::new(&config, &basis).unwrap();
        let x = Tensor::zeros([1, 8], (Kind::Double, Device::Cpu));
        let _ = x.narrow(1, 0, 1).fill_(1.0);
        assert!((forward.apply(&x) - basis.render(&x, 0)).abs().max().double_value(&[]) < 1e-15);
    }
}
