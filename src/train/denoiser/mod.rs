//! Training and keeping denoisers, for every task that wants a learned score.

pub mod noise;
pub mod store;

use tch::{Kind, Tensor};

pub use noise::NoiseConfig;

use crate::nets::Denoiser;

/// The loss of denoising score matching under EDM's weights (Karras et al. 2022, equation 8), the mean over points and
/// coordinates, f64: data `x` `[N, D]`, its noise `z` of the same shape, noise levels `[N, 1]`, labels `[N]`.
///
/// It is 1 for a network that has learned nothing about Gaussian data of variance `σ_d²`, and never 0: it has the variance
/// of `X_0` given its noised self in it.
pub fn loss(denoiser: &Denoiser, x: &Tensor, z: &Tensor, noise: &Tensor, labels: Option<&Tensor>) -> Tensor {
    let (said, wanted) = denoiser.regression(x, z, noise, labels);
    (said - wanted).square().mean(Kind::Double)
}
