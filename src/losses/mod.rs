//! What is minimised. Losses on detached paths differ only in how each path's log densities are weighted, so a loss is a
//! function from log-RNDs to weights; one gradient routine serves them all.
//!
//! With `R_i = log q_i - log p_i` on paths drawn from `q` and `N` paths:
//!
//! | loss | value | weight of `∇log q_i` | weight of `∇log p_i` |
//! |---|---|---|---|
//! | `rkl` | mean R | through the path | through the path |
//! | `rkl_ld` | mean R | (R_i - mean R)/N | -1/N |
//! | `lv` | mean (R - mean R)² | 2 (R_i - mean R)/N | minus that |
//! | `vargrad` | half of it | (R_i - mean R)/N | minus that |
//! | `tb` | mean (R + log Z)² | 2 (R_i + log Z)/N | minus that |
//! | `subtb` | weighted squared imbalances of all sub-paths | per step | minus that |

pub mod config;
pub mod kolmogorov;
pub mod log_variance;
pub mod reverse_kl;
pub mod sub_trajectory;
pub mod trajectory_balance;

use tch::{Device, Kind, Tensor};

pub use config::LossConfig;

/// Weights of a path's log densities in the gradient of a loss. All f64 until cast.
#[derive(Debug)]
pub struct PathWeights {
    /// The loss itself.
    pub value: f64,
    /// Weights of `log F_k`: `[T, N]`, or `[1, N]` for all steps alike.
    pub log_forward: Tensor,
    /// Weights of `log B_k`, likewise.
    pub log_backward: Tensor,
    /// Weights of `log π_0`, `[N]`.
    pub log_prior: Tensor,
    /// Derivative with respect to the learned `log Z`, where the loss has one.
    pub log_z: Option<f64>,
    /// Weights of the learned log-flow at the states, `[T + 1, N]`, where the loss has one.
    pub log_flow: Option<Tensor>,
}

impl PathWeights {
    /// The same weights in the networks' precision and place.
    pub fn cast(&self, kind: Kind, device: Device) -> Self {
        let cast = |t: &Tensor| t.to_device(device).to_kind(kind);
        Self {
            value: self.value,
            log_forward: cast(&self.log_forward),
            log_backward: cast(&self.log_backward),
            log_prior: cast(&self.log_prior),
            log_z: self.log_z,
            log_flow: self.log_flow.as_ref().map(cast),
        }
    }

    /// The part that belongs to paths `from .. from + count`.
    pub fn columns(&self, from: i64, count: i64) -> Self {
        let part = |t: &Tensor| t.narrow(-1, from, count);
        Self {
            value: self.value,
            log_forward: part(&self.log_forward),
            log_backward: part(&self.log_backward),
            log_prior: part(&self.log_prior),
            log_z: self.log_z,
            log_flow: self.log_flow.as_ref().map(part),
        }
    }

    /// Weights of a loss that treats all steps of a path alike: `w` `[N]` on `log q`, `-w` on `log p`.
    fn balanced(value: f64, w: &Tensor) -> Self {
        Self {
            value,
            log_forward: w.unsqueeze(0),
            log_backward: -w.unsqueeze(0),
            log_prior: w.shallow_clone(),
            log_z: None,
            log_flow: None,
        }
    }
}
