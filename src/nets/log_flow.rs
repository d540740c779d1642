//! The scalar log-flow `F(x, k)` that sub-trajectory balance learns beside the control.

use tch::Tensor;

use super::control::Control;
use super::pis_grad::PisGrad;
use crate::torch::params::Scope;

/// A network of the state head's form with one output.
pub struct LogFlow {
    net: PisGrad,
}

impl LogFlow {
    pub fn new(scope: Scope, dim: i64, num_steps: i64, width: i64, layers: i64) -> Self {
        Self { net: PisGrad::with_output(scope, dim, 1, num_steps, width, layers) }
    }

    /// Tables over the states `0 ..= T`.
    pub fn time_tables(&self) -> Vec<Tensor> {
        self.net.time_tables()
    }

    /// `F` at `x` `[J, N, D]`, `[J, N]`.
    pub fn value(&self, rows: &[Tensor], x: &Tensor) -> Tensor {
        self.net.control(rows, x, None).squeeze_dim(-1)
    }
}
