//! Denoisers under EDM's preconditioning (Karras et al., NeurIPS 2022, section 5), and the scores they give.
//!
//! A denoiser `D(y; σ)` estimates `E[X_0 | X_0 + σ Z = y]`. It is `c_skip y + c_out F(c_in y; c_noise)` with a network `F`
//! (the body) whose inputs and targets have unit variance at every noise level, for data of variance `σ_d²`:
//!
//! | | table 1, column "EDM" |
//! |---|---|
//! | `c_skip` | `σ_d² / (σ² + σ_d²)` |
//! | `c_out` | `σ σ_d / sqrt(σ² + σ_d²)` |
//! | `c_in` | `1 / sqrt(σ² + σ_d²)` |
//! | `c_noise` | `ln(σ) / 4` |
//!
//! The variance-preserving process `X_t = e^{-t/2} X_0 + sqrt(1 - e^{-t}) Z` is `e^{-t/2}` times that of noise level
//! `σ = sqrt(e^t - 1)`, so one network serves both: see [`Denoiser::score`].

mod config;
mod embed;
pub mod mlp;
pub mod unet;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

pub use config::{BodyConfig, DenoiserConfig, MlpConfig, UnetConfig};
use mlp::Mlp;
use unet::Unet;

use crate::torch::params::Params;

/// Noise levels below this one are treated as this one: EDM's least.
pub const LEAST_NOISE: f64 = 0.002;

/// A network with its preconditioning. Times and noise levels are `[N, 1]`, or `[1, 1]` for one for all; labels are
/// class numbers `[N]` i64, and are not read by networks without classes.
pub struct Denoiser {
    config: DenoiserConfig,
    params: Params,
    body: Body,
}

enum Body {
    Mlp(Mlp),
    Unet(Unet),
}

impl Denoiser {
    /// A network as training starts it, from libtorch's generator: with a last layer of zeros.
    pub fn new(config: &DenoiserConfig, (kind, device): (Kind, Device)) -> Result<Self> {
        config.validate()?;
        let params = Params::new(kind, device);
        let (dim, classes) = (config.dim(), config.classes);
        let body = match &config.body {
            BodyConfig::Mlp(mlp) => Body::Mlp(Mlp::new(params.root(), mlp, dim, classes)),
            BodyConfig::Unet(unet) => Body::Unet(Unet::new(params.root(), unet, &config.shape, classes)),
        };
        Ok(Self { config: config.clone(), params, body })
    }

    pub fn config(&self) -> &DenoiserConfig {
        &self.config
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Number of coordinates, `D`.
    pub fn dim(&self) -> i64 {
        self.config.dim()
    }

    /// `E[X_0 | X_0 + σ Z = y]`, `[N, D]` -> `[N, D]` in the network's kind.
    pub fn denoise(&self, y: &Tensor, noise: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let noise = noise.clamp_min(LEAST_NOISE);
        let Scales { skip, out, .. } = self.scales(&noise);
        skip * y + out * self.body(y, &noise, labels)
    }

    /// The score `(α D(x/α; σ) - x) / (1 - e^{-t})` of the variance-preserving process at `t`, `[N, D]` -> `[N, D]`.
    ///
    /// Written as `-x e^t / (σ² + σ_d²) + e^{t/2} σ_d F / (σ sqrt(σ² + σ_d²))`, in which nothing cancels as `t` falls. Times
    /// below that of [`LEAST_NOISE`] count as that one. Differentiable in `x`, twice.
    pub fn score(&self, t: &Tensor, x: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let t = t.clamp_min((LEAST_NOISE * LEAST_NOISE).ln_1p());
        let (noise, grown) = (t.expm1().sqrt(), (&t * 0.5).exp());
        let y = x * &grown;
        let Scales { input, .. } = self.scales(&noise);
        let pull = &y * &grown * input.square();
        self.body(&y, &noise, labels) * (&grown * &input * self.config.sigma_data / noise) - pull
    }

    /// The regression of denoising score matching: what `F` says, and what it should say, for data `x` `[N, D]` seen as
    /// `x + σ z`. Their mean squared difference is EDM's loss, weight `λ(σ) = 1 / c_out²` and all (equation 8).
    pub fn regression(&self, x: &Tensor, z: &Tensor, noise: &Tensor, labels: Option<&Tensor>) -> (Tensor, Tensor) {
        let y = x + z * noise;
        let Scales { skip, out, .. } = self.scales(noise);
        ((self.body(&y, noise, labels)), (x - skip * &y) / out)
    }

    /// The body at noisy points `y`, before `c_in`.
    fn body(&self, y: &Tensor, noise: &Tensor, labels: Option<&Tensor>) -> Tensor {
        let (input, level) = (y * self.scales(noise).input, noise.log() * 0.25);
        let labels = labels.filter(|_| self.config.classes.is_some());
        match &self.body {
            Body::Mlp(mlp) => mlp.forward(&input, &level, labels),
            Body::Unet(unet) => unet.forward(&input, &level, labels),
        }
    }

    fn scales(&self, noise: &Tensor) -> Scales {
        let data = self.config.sigma_data;
        let total = noise.square() + data * data;
        Scales { skip: total.reciprocal() * (data * data), out: noise * data * total.rsqrt(), input: total.rsqrt() }
    }
}

/// `c_skip`, `c_out` and `c_in`.
struct Scales {
    skip: Tensor,
    out: Tensor,
    input: Tensor,
}
