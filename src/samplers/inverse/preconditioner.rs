//! Preconditioners C of Langevin dynamics.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::score::ScoreError;
use crate::bad_input;
use crate::targets::inverse::covariance::Empty;
use crate::targets::inverse::{Problem, Values};

/// Every preconditioner that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum PreconditionerConfig {
    /// None: vanilla Langevin dynamics.
    Identity(Empty),
    /// The reference covariance diag(μ).
    Prior(Empty),
    /// The one that makes all rates 1: the exact root where the operator is diagonal, else `(diag(1/μ) + AᵀA/σ²)⁻¹` by
    /// conjugate gradients.
    Optimal(Empty),
    /// Its first-order expansion in τ and in the score's error (theorem 4.1).
    FirstOrder(Empty),
    Given(Given),
}

/// Numbers of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    pub values: Values,
}

/// A covariance C by which drift and noise are multiplied.
#[derive(Debug)]
pub enum Preconditioner {
    /// diag(λ), `[D]`.
    Diagonal(Tensor),
    /// `(diag(1/μ) + AᵀA/σ²)⁻¹` of a problem whose operator is not diagonal.
    Posterior,
}

impl PreconditionerConfig {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Prior(_) => "prior",
            Self::Optimal(_) => "optimal",
            Self::FirstOrder(_) => "first_order",
            Self::Given(_) => "given",
        }
    }

    pub fn build(&self, problem: &Problem, error: &ScoreError) -> Result<Preconditioner> {
        let diagonal = |lambda: Tensor| Ok(Preconditioner::Diagonal(lambda));
        match (self, problem.precision()) {
            (Self::Identity(_), _) => diagonal(problem.mu.ones_like()),
            (Self::Prior(_), _) => diagonal(problem.mu.shallow_clone()),
            (Self::Optimal(_), Some(a)) => positive(optimal(&problem.mu, &a, error)).and_then(diagonal),
            (Self::FirstOrder(_), Some(a)) => positive(first_order(&problem.mu, &a, error)).and_then(diagonal),
            (Self::Optimal(_), None) if error.is_none() => Ok(Preconditioner::Posterior),
            (Self::Optimal(_), None) => Err(bad_input!(
                "'sampler.preconditioner.type' optimal is known only without noise and errors where the operator is not \
                 diagonal; set score.tau, score.eps_a and score.eps_b to 0, or take prior"
            )),
            (Self::FirstOrder(_), None) => Err(bad_input!(
                "'sampler.preconditioner.type' first_order needs a diagonal operator; take optimal or prior"
            )),
            (Self::Given(Given { values }), _) => {
                let values = values.resolve("sampler.preconditioner.values", problem.dim())?;
                let least = values.min().double_value(&[]);
                crate::config::check::positive("sampler.preconditioner.values", least)?;
                diagonal(values)
            }
        }
    }
}

/// The root λ of `κ = 1`, mode by mode: with r = λ/μ, E = e^{-τ}, c = 1 - eps_a,
///
/// ```text
/// a μ (1-E) r² + (1 + a μ E - c (1-E)) r - c E = 0,
/// ```
///
/// taken in the form that does not cancel. `mu`, `a`: `[D]`. Not positive where eps_a is 1 or more: no λ gives rate 1.
pub fn optimal(mu: &Tensor, a: &Tensor, error: &ScoreError) -> Tensor {
    let (kept, added) = ((-error.tau).exp(), -(-error.tau).exp_m1());
    let c = error.eps_a.ones_like() - &error.eps_a;
    let informed = a * mu;
    let linear = &informed * kept - &c * added + 1.0;
    let root = (linear.square() + &informed * &c * (4.0 * added * kept)).sqrt();
    c * (2.0 * kept) / (linear + root) * mu
}

/// Theorem 4.1: with p = 1/(1 + a μ), `λ = μ p (1 + τ p (p - 1) - eps_a)`. This form has no power of μ, where the printed
/// one, `λ₀ + τ (λ₀³/μ² - λ₀²/μ) - eps_a λ₀`, divides by squares that underflow. `mu`, `a`: `[D]`.
pub fn first_order(mu: &Tensor, a: &Tensor, error: &ScoreError) -> Tensor {
    let p = (a * mu + 1.0).reciprocal();
    mu * &p * ((&p - 1.0) * &p * error.expansion_tau - &error.eps_a + 1.0)
}

fn positive(lambda: Tensor) -> Result<Tensor> {
    let bad = lambda.gt(0.0).logical_not();
    let count = bad.sum(Kind::Int64).int64_value(&[]);
    if count == 0 {
        return Ok(lambda);
    }
    let first = bad.to_kind(Kind::Double).argmax(None, false).int64_value(&[]);
    Err(bad_input!(
        "'score.eps_a' leaves {count} modes, the first of them number {first}, without a positive optimal preconditioner; errors \
         of 1 or more cannot be made up for"
    ))
}
