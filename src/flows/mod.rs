//! Normalizing flows: invertible networks between data and noise.
//!
//! Data are the coordinates of a molecule's atoms, `[B, L, 3]` in standardised units and in the order of its file;
//! noise is standard normal on all `3 L` of them. Which molecule a flow is asked about is told by a [`Conditioning`];
//! all that depends on it alone is computed once, by [`Flow::prepare`], and then serves every sample and direction.

mod attention;
mod block;
mod conditioning;
mod config;
#[cfg(target_arch = "x86_64")]
mod decode;
mod embedder;
mod layout;
mod leaves;
mod network;
mod prose;
pub mod store;
mod tarflow;

use tch::{Kind, Tensor};

pub use block::Inversion;
pub use conditioning::{Conditioning, Prepared};
pub use config::{EmbedderConfig, FlowConfig, NetworkConfig, permutation_keys};
pub use layout::{Entry, Start, layout};
pub use network::AutoregressiveFlow;

use crate::torch::autograd::grad;
use crate::torch::params::Params;

/// An invertible network; each direction gives its value and the log-determinant of its Jacobian together.
pub trait Flow: Send {
    fn config(&self) -> &FlowConfig;

    fn params(&self) -> &Params;

    /// What of the network depends on the molecules alone. Differentiable with respect to the parameters where
    /// gradients are on: a training step prepares anew, inference once under `no_grad`.
    ///
    /// The conditioning must fit the network; see [`Conditioning::check`].
    fn prepare(&self, molecules: &Conditioning) -> Prepared;

    /// Data `x` to noise: `(z, log |det dz/dx|)`, `[B, L, 3]` and `[B]` in f64. Padded atoms come out as zeros.
    fn forward(&self, x: &Tensor, molecules: &Prepared) -> (Tensor, Tensor);

    /// Noise `z` to data: `(x, log |det dx/dz|)`, without gradients.
    fn inverse(&self, z: &Tensor, molecules: &Prepared, method: Inversion) -> (Tensor, Tensor);

    /// `log q(x) = log N(z; 0, I) + log |det dz/dx|`, `[B]` in f64.
    fn log_q(&self, x: &Tensor, molecules: &Prepared) -> Tensor {
        let (z, log_det) = self.forward(x, molecules);
        log_prior(&z, molecules) + log_det
    }

    /// `log q` and its gradient with respect to `x`, `[B]` in f64 and `[B, L, 3]`; both detached.
    fn log_q_and_score(&self, x: &Tensor, molecules: &Prepared) -> (Tensor, Tensor) {
        let _frozen = Frozen::new(self.params());
        tch::with_grad(|| {
            let x = x.detach().set_requires_grad(true);
            let log_q = self.log_q(&x, molecules);
            let score = grad(&log_q, &[&x], false).remove(0);
            (log_q.detach(), score)
        })
    }

    /// Data from the noise `z`, with `log q` of what comes out: `[B, L, 3]` and `[B]` in f64.
    fn sample(&self, z: &Tensor, molecules: &Prepared, method: Inversion) -> (Tensor, Tensor) {
        let (x, log_det) = self.inverse(z, molecules, method);
        (x, log_prior(z, molecules) - log_det)
    }
}

/// `log N(z; 0, I)` over the coordinates of real atoms, `[B]` in f64; `z` is zero at padded ones.
pub fn log_prior(z: &Tensor, molecules: &Prepared) -> Tensor {
    let squares = z.to_kind(Kind::Double).square().flatten(1, -1).sum_dim_intlist(-1, false, Kind::Double);
    let half_log_two_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
    squares * -0.5 - molecules.dims() * half_log_two_pi
}

/// Keeps the parameters out of a graph while it lives.
struct Frozen(Vec<(String, Tensor)>);

impl Frozen {
    fn new(params: &Params) -> Self {
        let trainable: Vec<_> = params.named().into_iter().filter(|(_, p)| p.requires_grad()).collect();
        trainable.iter().for_each(|(_, p)| drop(p.set_requires_grad(false)));
        Self(trainable)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, p)| drop(p.set_requires_grad(true)));
    }
}
