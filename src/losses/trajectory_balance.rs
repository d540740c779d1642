//! Trajectory balance (Malkin et al., 2022) with a learned normalising constant.

use tch::{Kind, Tensor};

use super::PathWeights;

/// `mean (R + log Z)²`: at the optimum `R = -log Z` on every path.
pub fn trajectory_balance(log_rnd: &Tensor, log_z: f64) -> PathWeights {
    let n = log_rnd.size()[0] as f64;
    let imbalance = log_rnd + log_z;
    let value = imbalance.square().mean(Kind::Double).double_value(&[]);
    let log_z_gradient = 2.0 * imbalance.mean(Kind::Double).double_value(&[]);
    PathWeights { log_z: Some(log_z_gradient), ..PathWeights::balanced(value, &(imbalance * (2.0 / n))) }
}
