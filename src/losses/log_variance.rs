//! Log-variance divergence (Richter et al., 2020; Richter and Berner, 2024), on-policy.

use tch::{Kind, Tensor};

use super::PathWeights;

/// `factor · mean (R - mean R)²`, population variance, the mean not detached (which changes nothing: deviations sum to
/// zero). `factor` is 1 for `lv` and 1/2 for `vargrad`, whose batch mean stands in for trajectory balance's `-log Z`.
pub fn log_variance(log_rnd: &Tensor, factor: f64) -> PathWeights {
    let n = log_rnd.size()[0] as f64;
    let deviation = log_rnd - log_rnd.mean(Kind::Double);
    let value = deviation.square().mean(Kind::Double).double_value(&[]) * factor;
    PathWeights::balanced(value, &(deviation * (2.0 * factor / n)))
}
