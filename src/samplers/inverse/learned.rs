//! A score learned from draws of the prior, in Karhunen-Loève coordinates, and its error in the theory's terms.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::config::check;
use crate::nets::spectral::Spectral;
use crate::targets::inverse::Problem;
use crate::torch::params::Params;

/// The network and the noise levels at which it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    pub width: i64,
    pub blocks: i64,
    /// Levels are drawn log-uniformly between these times.
    pub tau_min: f64,
    pub tau_max: f64,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self { width: 128, blocks: 3, tau_min: 1e-3, tau_max: 1.0 }
    }
}

impl NetConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("learned.net.width", self.width, 1, 100_000)?;
        check::in_range("learned.net.blocks", self.blocks, 0, 1000)?;
        check::positive("learned.net.tau_min", self.tau_min)?;
        check::ordered("learned.net.tau_min", self.tau_min, "learned.net.tau_max", self.tau_max)
    }
}

/// `∇log p_τ` for noise with the reference covariance diag(μ). In whitened coordinates `u = x / sqrt(μ)` it is that of the
/// Gaussian with the prior's variances, plus what the network adds; the network computes in f32.
pub struct LearnedScore {
    pub params: Params,
    net: Spectral,
    config: NetConfig,
    /// At which the sampler takes it.
    pub tau: f64,
    root: Tensor,     // [D], sqrt(μ)
    variance: Tensor, // [D], of u without noise
}

impl LearnedScore {
    /// An untrained one, from libtorch's generator: the score of a Gaussian.
    pub fn new(config: &NetConfig, problem: &Problem, tau: f64) -> Self {
        let params = Params::new(Kind::Float, Device::Cpu);
        let net = Spectral::new(params.root(), problem.dim(), config.width, config.blocks);
        let variance = problem.prior.variance() / &problem.mu;
        Self { params, net, config: config.clone(), tau, root: problem.mu.sqrt(), variance }
    }

    /// Score of whitened coordinates `u` `[N, D]` at times `tau` `[N, 1]`, f64.
    fn whitened(&self, u: &Tensor, tau: &Tensor) -> Tensor {
        let added = -(-tau).expm1();
        let gaussian = u / (&self.variance * (-tau).exp() + &added);
        let beyond = self.net.forward(&u.to_kind(Kind::Float), &(added.log() * 0.25).to_kind(Kind::Float));
        beyond.to_kind(Kind::Double) - gaussian
    }

    /// `∇log p_τ(x)`: `[N, D]` -> `[N, D]`.
    pub fn gradient(&self, x: &Tensor) -> Tensor {
        let tau = Tensor::full([x.size()[0], 1], self.tau, (Kind::Double, x.device()));
        self.whitened(&(x / &self.root), &tau) / &self.root
    }

    /// Denoising score matching on draws `x` `[N, D]` of the prior, levels and noise from libtorch's generator:
    /// `|sqrt(1 - e^{-τ}) s_θ(u_τ) + z|²`, a mean over draws and coordinates.
    pub fn loss(&self, x: &Tensor) -> Tensor {
        let options = (Kind::Double, x.device());
        let (low, high) = (self.config.tau_min.ln(), self.config.tau_max.ln());
        let tau = (Tensor::rand([x.size()[0], 1], options) * (high - low) + low).exp();
        let z = x.randn_like();
        let spread = (-(-&tau).expm1()).sqrt();
        let u = x / &self.root * (&tau * -0.5).exp() + &z * &spread;
        (self.whitened(&u, &tau) * spread + z).square().mean(Kind::Double)
    }

    /// Least squares of `S - S_θ` on `eps_a x + eps_b`, mode by mode, at draws of the noised prior, with λ = μ.
    pub fn error(&self, problem: &Problem, draws: i64) -> Fitted {
        let _guard = tch::no_grad_guard();
        let x0 = problem.prior.sample(draws);
        let spread = (-(-self.tau).exp_m1()).sqrt();
        let x = &x0 * (-0.5 * self.tau).exp() + x0.randn_like() * (&self.root * spread);
        let exact = problem.prior.score(&x, self.tau, &problem.mu);
        let gap = &exact - self.gradient(&x) * &problem.mu;

        let average = |t: &Tensor| t.mean_dim(&[0i64][..], false, Kind::Double);
        let (x_mean, gap_mean) = (average(&x), average(&gap));
        let (off, gap_off) = (&x - &x_mean, &gap - &gap_mean);
        let eps_a = average(&(&off * &gap_off)) / average(&off.square());
        let eps_b = &gap_mean - &eps_a * x_mean;
        let left = average(&(gap_off - off * &eps_a).square());
        let relative = (gap.square().sum(Kind::Double) / exact.square().sum(Kind::Double)).sqrt().double_value(&[]);
        Fitted { eps_a, eps_b, rest: left.sqrt(), relative }
    }
}

/// Errors of a learned score.
pub struct Fitted {
    /// `[D]`.
    pub eps_a: Tensor,
    /// `[D]`.
    pub eps_b: Tensor,
    /// Root mean square of what the line leaves, `[D]`.
    pub rest: Tensor,
    /// Root of the squared error over the squared score, all modes together.
    pub relative: f64,
}
