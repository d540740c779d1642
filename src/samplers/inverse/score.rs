//! The score that a sampler is given: exact, with errors of known size, or learned.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::learned::LearnedScore;
use crate::config::check;
use crate::targets::inverse::{Problem, Values};

/// The `score:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreConfig {
    /// Forward time τ of the noise at which the score is taken, small and fixed.
    pub tau: f64,
    /// Whether the exact score is that of the noised prior; otherwise τ only scales the errors.
    pub smooth: bool,
    /// Error of the score's slope, `S - S_θ = eps_a x + eps_b`.
    pub eps_a: Values,
    pub eps_b: Values,
    /// Whether the errors are multiplied by τ.
    pub times_tau: bool,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self { tau: 0.0, smooth: true, eps_a: Values::default(), eps_b: Values::default(), times_tau: false }
    }
}

impl ScoreConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("score.tau", self.tau, 0.0, 100.0)
    }

    /// Time and errors of the exact score of `dim` coordinates.
    pub fn build(&self, dim: i64) -> Result<ScoreError> {
        self.validate()?;
        let unit = if self.times_tau { self.tau } else { 1.0 };
        let eps_a = self.eps_a.resolve("score.eps_a", dim)? * unit;
        let eps_b = self.eps_b.resolve("score.eps_b", dim)? * unit;
        Ok(ScoreError { tau: if self.smooth { self.tau } else { 0.0 }, expansion_tau: self.tau, eps_a, eps_b })
    }
}

/// How the score differs from that of the prior: assumption 1 of arXiv 2505.18276.
#[derive(Debug)]
pub struct ScoreError {
    /// Forward time of the noise.
    pub tau: f64,
    /// τ of the expansions in it, also where the score itself is not noised.
    pub expansion_tau: f64,
    /// `[D]`.
    pub eps_a: Tensor,
    /// `[D]`.
    pub eps_b: Tensor,
}

impl ScoreError {
    /// No noise and no error.
    pub fn none(dim: i64) -> Self {
        let zero = Tensor::zeros([dim], (Kind::Double, tch::Device::Cpu));
        Self { tau: 0.0, expansion_tau: 0.0, eps_a: zero.shallow_clone(), eps_b: zero }
    }

    /// Whether there is noise or error at all.
    pub fn is_none(&self) -> bool {
        let largest = |t: &Tensor| t.abs().max().double_value(&[]);
        self.tau == 0.0 && largest(&self.eps_a) == 0.0 && largest(&self.eps_b) == 0.0
    }
}

/// A score with where it comes from.
pub enum Score<'a> {
    Exact(&'a Problem, &'a ScoreError),
    Learned(&'a LearnedScore),
}

impl Score<'_> {
    /// `S_θ(x) = λ ∇log p_τ(x) - eps_a x - eps_b`: `[N, D]` -> `[N, D]`.
    pub fn value(&self, x: &Tensor, lambda: &Tensor) -> Tensor {
        match self {
            Self::Exact(problem, error) => problem.prior.score(x, error.tau, lambda) - x * &error.eps_a - &error.eps_b,
            Self::Learned(learned) => learned.gradient(x) * lambda,
        }
    }
}
