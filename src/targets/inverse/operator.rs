//! What is observed of the unknown: linear operators on its coordinates.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::basis::Basis;
use super::deconvolution::{Deconvolution, DeconvolutionConfig};
use super::values::Values;
use crate::config::check;

/// A linear map from coordinates `[N, D]` to observations `[N, M]`.
pub trait Forward: Send {
    /// Number of observations, `M`, unobserved places included.
    fn observations(&self) -> i64;

    /// `A x`: `[N, D]` -> `[N, M]`.
    fn apply(&self, x: &Tensor) -> Tensor;

    /// `Aᵀ r`: `[N, M]` -> `[N, D]`.
    fn adjoint(&self, r: &Tensor) -> Tensor;

    /// The diagonal of A `[D]`, where it is diagonal; 0 at unobserved coordinates.
    fn diagonal(&self) -> Option<&Tensor> {
        None
    }

    /// 1 where there is an observation, 0 where there is none, `[M]`.
    fn mask(&self) -> Tensor;
}

/// Every operator that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorConfig {
    Identity(Observed),
    /// `exp(-rate j)` of a sequence, `exp(-rate ζ)` of any other basis.
    Decay(Decay),
    /// The heat equation run for a while: `exp(-time ζ)`.
    Heat(Heat),
    /// Numbers of one's own on the diagonal; 0 leaves a coordinate unobserved.
    Diagonal(Diagonals),
    Deconvolution(DeconvolutionConfig),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Only coordinates whose indices are among the first so many are observed; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decay {
    pub rate: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heat {
    pub time: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagonals {
    pub values: Values,
}

impl OperatorConfig {
    pub fn build(&self, basis: &Basis) -> Result<Box<dyn Forward>> {
        let decay = |key: &str, rate: f64, observed: Option<i64>| {
            check::non_negative(key, rate)?;
            diagonal((basis.eigenvalues() * -rate).exp(), basis, observed)
        };
        match self {
            Self::Identity(Observed { observed }) => diagonal(basis.eigenvalues().ones_like(), basis, *observed),
            Self::Decay(Decay { rate, observed }) => decay("problem.operator.rate", *rate, *observed),
            Self::Heat(Heat { time, observed }) => decay("problem.operator.time", *time, *observed),
            Self::Diagonal(Diagonals { values }) => {
                diagonal(values.resolve("problem.operator.values", basis.dim())?, basis, None)
            }
            Self::Deconvolution(config) => Ok(Box::new(Deconvolution::new(config, basis)?)),
        }
    }
}

fn diagonal(values: Tensor, basis: &Basis, observed: Option<i64>) -> Result<Box<dyn Forward>> {
    let Some(observed) = observed else { return Ok(Box::new(Diagonal { values })) };
    check::in_range("problem.operator.observed", observed, 0, basis.shape()[0])?;
    Ok(Box::new(Diagonal { values: values * basis.first(observed) }))
}

/// One observation a coordinate.
pub struct Diagonal {
    values: Tensor,
}

impl Forward for Diagonal {
    fn observations(&self) -> i64 {
        self.values.size()[0]
    }

    fn apply(&self, x: &Tensor) -> Tensor {
        x * &self.values
    }

    fn adjoint(&self, r: &Tensor) -> Tensor {
        r * &self.values
    }

    fn diagonal(&self) -> Option<&Tensor> {
        Some(&self.values)
    }

    fn mask(&self) -> Tensor {
        self.values.not_equal(0.0).to_kind(self.values.kind())
    }
}
