//! The centre of mass of proposals: a flow places it, an energy does not see it.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// What is added to the source energy `-log q(x)` for the centre, whose law under the flow is close to that under the
/// prior: normal with the standard deviation `1/√N` of the mean of N standard normal atoms.
///
/// Adding the centre's log-density to `-log q` leaves minus that of the internal coordinates, which is what an energy
/// without a centre is to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CenterAdjustment {
    /// The log-density of the centre, a normal vector in space.
    #[default]
    Gaussian,
    /// The log-density of its *length*, as PROSE's code has it; larger by `2 ln r` and a constant, a Jacobian that
    /// only adds noise to the weights.
    Chi3,
    None,
}

impl CenterAdjustment {
    /// The term for `x` `[B, N, 3]` or `[B, 3 N]` in units of the prior: `[B]`, differentiable.
    pub fn energy(self, x: &Tensor) -> Tensor {
        let x = x.view([x.size()[0], -1, 3]);
        let atoms = x.size()[1] as f64;
        let center = x.mean_dim([1i64].as_slice(), false, None); // [B, 3]
        let square = center.square().sum_dim_intlist(-1, false, None); // [B]
        let quadratic = &square * (-0.5 * atoms);
        let ln_scale = -0.5 * atoms.ln();
        let ln_2pi = std::f64::consts::TAU.ln();
        match self {
            Self::Gaussian => quadratic - 1.5 * (ln_2pi + 2.0 * ln_scale),
            // √2 Γ(3/2) = √(π/2)
            Self::Chi3 => quadratic + square.log() - (3.0 * ln_scale + 0.5 * std::f64::consts::FRAC_PI_2.ln()),
            Self::None => square.zeros_like(),
        }
    }
}
