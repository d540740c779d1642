//! What several densities share: constants as tensors, parameters for every coordinate, quadrature on a line.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Options;
use crate::config::check;

/// log(2 pi).
pub const LN_2PI: f64 = 1.837_877_066_409_345_5;

/// A number, or one number a coordinate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number or a list of numbers")]
pub enum Broadcast {
    Scalar(f64),
    Vector(Vec<f64>),
}

impl Broadcast {
    /// All `dim` numbers; `key` names the offender.
    pub fn resolve(&self, key: &str, dim: i64) -> Result<Vec<f64>> {
        let values = match self {
            Self::Scalar(value) => vec![*value; dim as usize],
            Self::Vector(values) => values.clone(),
        };
        check::length(key, values.len(), dim as usize)?;
        check::all_finite(key, &values)?;
        Ok(values)
    }
}

/// `values` as a tensor of the target's kind on its device.
pub fn constant(values: &[f64], shape: &[i64], options: Options) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(options.1).to_kind(options.0)
}

/// A bound for exponents: `exp(bound)`, squared sums and all, stays well inside the kind's range.
pub fn exponent_bound(kind: Kind) -> f64 {
    if kind == Kind::Double { 600.0 } else { 75.0 }
}

/// `log of the integral of exp(f)` over `[low, high]` by the trapezoidal rule, which converges faster than any power
/// of the step where `exp(f)` is smooth and negligible at both ends.
pub fn log_integral(f: impl Fn(f64) -> f64, low: f64, high: f64, cells: usize) -> f64 {
    let step = (high - low) / cells as f64;
    let values: Vec<f64> = (0..=cells).map(|i| f(low + step * i as f64)).collect();
    let top = values.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
    top + values.iter().map(|v| (v - top).exp()).sum::<f64>().ln() + step.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_normalises_a_gaussian() {
        let log_z = log_integral(|x| -0.5 * (x - 0.3) * (x - 0.3) / 0.04, -4.0, 4.0, 400);
        assert!((log_z - (0.5 * LN_2PI + 0.2f64.ln())).abs() < 1e-13);
    }

    #[test]
    fn broadcast_names_the_key_and_the_count() {
        assert_eq!(Broadcast::Scalar(2.0).resolve("target.std", 3).unwrap(), vec![2.0; 3]);
        let error = Broadcast::Vector(vec![1.0, 2.0]).resolve("target.std", 3).unwrap_err().to_string();
        assert!(error.contains("target.std") && error.contains('2') && error.contains('3'), "{error}");
        assert!(Broadcast::Scalar(f64::NAN).resolve("target.std", 1).is_err());
    }
}
