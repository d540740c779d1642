//! What a diffusion sampler learns besides its networks: prior, noise scale, interpolation.

use tch::{Kind, Tensor};

use super::config::{Form, Process};
use crate::processes::record::{Affine, Guide, Start};
use crate::processes::schedule;
use crate::torch::params::Scope;

/// Learned quantities, frozen ones included (they are saved all the same, but require no gradient).
pub struct Learned {
    /// `[D]`
    pub prior_mean: Tensor,
    /// `[D]`
    pub prior_log_std: Tensor,
    /// Log of the factor on the noise: `[D]`, or `[1]` in the beyond_elbos form.
    pub log_noise: Tensor,
    /// Raw increments of the interpolation, `[T]`.
    pub increments: Tensor,
}

/// The drift `coefficient · ∇log π_k(x)` of the annealed density as tables: state, constant and score coefficients.
pub struct Pull {
    pub state: Tensor,
    pub constant: Tensor,
    pub score: Tensor,
}

impl Learned {
    pub fn new(root: &Scope, process: &Process, dim: i64) -> Self {
        let options = (Kind::Double, root.device());
        let register = |scope: &str, name: &str, value: Tensor, learn: bool| {
            root.sub(scope).parameter(name, value).set_requires_grad(learn)
        };
        let log_std = Tensor::full([dim], process.prior_std.ln(), options);
        let noise_dim = if process.form == Form::BeyondElbos { 1 } else { dim };
        Self {
            prior_mean: register("prior", "mean", Tensor::zeros([dim], options), process.learn_prior),
            prior_log_std: register("prior", "log_std", log_std, process.learn_prior),
            log_noise: register("noise", "log_scale", Tensor::zeros([noise_dim], options), process.learn_noise),
            increments: register(
                "interpolation",
                "increments",
                Tensor::ones([process.num_steps], options),
                process.learn_interpolation,
            ),
        }
    }

    pub fn start(&self) -> Start {
        Start::Gaussian { mean: self.prior_mean.shallow_clone(), std: self.prior_log_std.exp() }
    }

    /// Share of the prior at the states, `[T + 1]`.
    pub fn prior_share(&self) -> Tensor {
        schedule::prior_share(&self.increments)
    }

    /// A schedule of plain numbers as a table `[T, 1, 1]` in the model's kind.
    pub fn table(&self, values: &[f64]) -> Tensor {
        let like = &self.prior_mean;
        Tensor::from_slice(values).to_kind(like.kind()).to_device(like.device()).view([-1, 1, 1])
    }

    /// Tables of `coefficient · (share ∇log π_0(x) + (1 - share) ∇log γ(x))`; `coefficient` broadcasts against
    /// `[·, 1, D]`, `share` is `[·]`.
    pub fn pull(&self, coefficient: &Tensor, share: &Tensor) -> Pull {
        let share = share.view([-1, 1, 1]);
        let precision = (&self.prior_log_std * -2.0).exp(); // [D]
        let towards_prior = coefficient * &share * precision; // [·, 1, D]
        Pull {
            constant: &towards_prior * &self.prior_mean,
            state: -towards_prior,
            score: coefficient * (1.0f64 - share),
        }
    }

    /// The annealed score itself as the network's guide, at states with the given prior shares `[T + 1]`.
    pub fn annealed_guide(&self, share: &Tensor) -> Guide {
        let pull = self.pull(&Tensor::ones_like(&share.view([-1, 1, 1])), share);
        Guide { state: Some(pull.state), constant: Some(pull.constant), score: Some(pull.score) }
    }
}

impl Pull {
    /// A kernel `N(x + pull + control·u, std²)`.
    pub fn kernel(self, control: Option<Tensor>, std: Tensor) -> Affine {
        let state = self.state + 1.0;
        Affine { state, constant: Some(self.constant), score: Some(self.score), control, std }
    }
}

/// A kernel `N(keep·x + control·u, std²)` that pulls nowhere.
pub fn free_kernel(keep: Tensor, control: Option<Tensor>, std: Tensor) -> Affine {
    Affine { state: keep, constant: None, score: None, control, std }
}
