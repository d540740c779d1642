//! Variances of an unknown's coordinates under its reference Gaussian.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::basis::Basis;
use super::values::Values;
use crate::bad_input;
use crate::config::check;

/// Every covariance that a YAML can name, by its `type`. All are diagonal in the basis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CovarianceConfig {
    /// `scale ζ^-exponent`; of a sequence `scale j^-exponent`, of which exponent 0 is the identity.
    Power(Power),
    /// `scale exp(-smoothing ζ)`.
    HeatKernel(HeatKernel),
    /// The inverse product of squared frequencies: the Brownian sheet in its own basis.
    Brownian(Empty),
    /// `scale (1 + length² ζ)^-exponent`.
    Matern(Matern),
    /// Numbers of one's own.
    Given(Given),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    pub exponent: f64,
    #[serde(default = "one")]
    pub scale: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatKernel {
    pub smoothing: f64,
    #[serde(default = "one")]
    pub scale: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matern {
    pub length: f64,
    pub exponent: f64,
    #[serde(default = "one")]
    pub scale: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    pub values: Values,
}

fn one() -> f64 {
    1.0
}

impl CovarianceConfig {
    /// The variances μ, `[D]`, all positive.
    pub fn build(&self, basis: &Basis) -> Result<Tensor> {
        let key = |name: &str| format!("problem.covariance.{name}");
        let mu = match self {
            Self::Power(Power { exponent, scale }) => {
                check::finite(&key("exponent"), *exponent)?;
                check::positive(&key("scale"), *scale)?;
                basis.eigenvalues().pow_tensor_scalar(-exponent) * *scale
            }
            Self::HeatKernel(HeatKernel { smoothing, scale }) => {
                check::non_negative(&key("smoothing"), *smoothing)?;
                check::positive(&key("scale"), *scale)?;
                (basis.eigenvalues() * -smoothing).exp() * *scale
            }
            Self::Brownian(_) => basis.products().reciprocal(),
            Self::Matern(Matern { length, exponent, scale }) => {
                check::non_negative(&key("length"), *length)?;
                check::finite(&key("exponent"), *exponent)?;
                check::positive(&key("scale"), *scale)?;
                (basis.eigenvalues() * (length * length) + 1.0).pow_tensor_scalar(-exponent) * *scale
            }
            Self::Given(Given { values }) => values.resolve(&key("values"), basis.dim())?,
        };
        let (least, largest) = (mu.min().double_value(&[]), mu.max().double_value(&[]));
        // 1/mu must be a number too.
        if least.is_nan() || least < f64::MIN_POSITIVE || !largest.is_finite() {
            return Err(bad_input!(
                "'problem.covariance' must give variances that are positive and finite in double precision, found {least:e} \
                 to {largest:e}; use fewer modes"
            ));
        }
        Ok(mu)
    }
}
