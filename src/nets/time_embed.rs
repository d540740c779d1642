//! Time features: Fourier with learned phases (PIS), sinusoidal with geometric frequencies (transformers).

use tch::{Kind, Tensor};

use crate::torch::params::Scope;

/// `[sin(ω_j τ + p_j), cos(ω_j τ + p_j)]` with fixed `ω = linspace(0.1, 100, F)` and learned phases `p` (Zhang and
/// Chen, "Path integral sampler", 2022). `[T + 1, 2 F]` for step indices `τ = 0 ..= T`.
pub struct Fourier {
    phase: Tensor,
    frequency: Tensor,
    steps: Tensor,
}

impl Fourier {
    pub fn new(scope: Scope, frequencies: i64, num_steps: i64) -> Self {
        let f64_options = (Kind::Double, scope.device());
        let phase = scope.parameter("timestep_phase", Tensor::zeros([1, frequencies], f64_options));
        let frequency = Tensor::linspace(0.1, 100.0, frequencies, f64_options).unsqueeze(0);
        let steps = Tensor::arange(num_steps + 1, f64_options).unsqueeze(1);
        Self { phase, frequency, steps }
    }

    pub fn features(&self) -> Tensor {
        // The argument reaches 100·T: formed in f64, its f32 sine would otherwise lose four digits.
        let angle = &self.steps * &self.frequency + self.phase.to_kind(Kind::Double);
        Tensor::cat(&[angle.sin(), angle.cos()], 1).to_kind(self.phase.kind())
    }

    /// Number of features, `2 F`.
    pub fn dim(&self) -> i64 {
        2 * self.frequency.size()[1]
    }
}

/// `[τ, sin(τ ω_j), cos(τ ω_j)]`, `ω_j = exp(-j ln(T) / F)`, for remaining steps `τ = T - k`: `[T + 1, 1 + 2 F]`.
pub fn sinusoidal(frequencies: i64, num_steps: i64, kind: Kind, device: tch::Device) -> Tensor {
    let options = (Kind::Double, device);
    let remaining = (num_steps as f64 - Tensor::arange(num_steps + 1, options)).unsqueeze(1);
    let rate = -(num_steps as f64).ln() / frequencies as f64;
    let frequency = (Tensor::arange(frequencies, options) * rate).exp().unsqueeze(0);
    let angle = &remaining * frequency;
    Tensor::cat(&[remaining, angle.sin(), angle.cos()], 1).to_kind(kind)
}
