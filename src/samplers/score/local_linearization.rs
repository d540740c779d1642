//! Local linearisation (Shoji and Ozaki 1998), the Hessian-based "SO" of Yu and Yu 2025.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::matrix_functions::{MAX_TERMS, phi1, phi2, phi2_coefficient, root_coefficient, series};
use super::models::{ScoreModel, at};
use super::{Draws, Integrator, Randomness, State, Step, StepCost};
use crate::config::check;

/// The published step, with `g = s(t, x)`, `L = I/2 + H`, `H` the Hessian of `log p_t` and `b = x/2 + g`, is
///
/// `x + L^{-1} (e^{Lh} - I) b + L^{-2} (e^{Lh} - Lh - I) M + N(0, L^{-1} (e^{2Lh} - I) / 2)`.
///
/// `M`, the drift of the drift along the path, holds third derivatives of `log p_t`, which the Fokker-Planck equation
/// trades for `M = -g/2 - H b = x/4 - L b`. With that the two products of `b` cancel too, but for one term:
///
/// `x + h b + L^{-2} (e^{Lh} - Lh - I) x/4 + noise`,
///
/// the same numbers without an inverse: the Hessian shapes the noise, and touches the mean only at order h³.
pub struct LocalLinearization {
    pub route: Route,
}

/// Where the functions of `L` come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Eigenvalues of whole Hessians; for few coordinates, and for stiff targets.
    Hessian,
    /// Power series by `terms` Hessian-vector products, which serve noise and drift at once. From one term on the step
    /// has order 2; the series converge where `|h L| < π`.
    Series { terms: usize },
}

/// The keys of `local_linearization`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalLinearizationConfig {
    pub route: RouteName,
    /// Products with the Hessian in a step of `route: series`, 1 to 7.
    pub terms: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteName {
    Hessian,
    Series,
}

impl Default for LocalLinearizationConfig {
    fn default() -> Self {
        Self { route: RouteName::Hessian, terms: 2 }
    }
}

impl LocalLinearizationConfig {
    pub fn validate(&self, key: &str) -> Result<()> {
        check::in_range(&format!("{key}.terms"), self.terms, 1, MAX_TERMS)
    }

    pub fn route(&self) -> Route {
        match self.route {
            RouteName::Hessian => Route::Hessian,
            RouteName::Series => Route::Series { terms: self.terms },
        }
    }
}

impl Integrator for LocalLinearization {
    fn order(&self) -> u32 {
        2
    }

    fn cost(&self) -> StepCost {
        match self.route {
            Route::Hessian => StepCost { score_calls: 1, hessian_calls: 1, hvp_calls: 0 },
            Route::Series { terms } => StepCost { score_calls: 1, hvp_calls: terms as u64, hessian_calls: 0 },
        }
    }

    fn randomness(&self) -> Randomness {
        Randomness::NORMAL
    }

    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, draws: &Draws) -> State {
        let (x, h) = (state.x, step.h());
        let t = at(step.from, &x);
        let (score, rest) = match self.route {
            Route::Hessian => by_eigenvalues(model, &t, &x, h, &draws.xi),
            Route::Series { terms } => by_series(model, &t, &x, h, &draws.xi, terms),
        };
        State::new(&x * (1.0 + 0.5 * h) + score * h + rest)
    }
}

/// The score, and what functions of `L` give: `L^{-2} (e^{hL} - I - hL) x/4 + sqrt(L^{-1} (e^{2hL} - I) / 2) ξ`.
fn by_eigenvalues(model: &dyn ScoreModel, t: &Tensor, x: &Tensor, h: f64, xi: &Tensor) -> (Tensor, Tensor) {
    let score = model.score(t, x);
    // A particle that has left for infinity has no Hessian; it stays lost by its own coordinates.
    let hessian = model.hessian(t, x).nan_to_num(0.0, 0.0, 0.0); // [N, D, D]
    let (eigenvalues, vectors) = hessian.linalg_eigh("L"); // [N, D], [N, D, D]
    let hl = (eigenvalues + 0.5) * h;

    let applied = |values: Tensor, v: &Tensor| {
        let seen = vectors.transpose(1, 2).matmul(&v.unsqueeze(-1)); // [N, D, 1]
        vectors.matmul(&(seen * values.unsqueeze(-1))).squeeze_dim(-1) // [N, D]
    };
    let curved = applied(phi2(&hl), x);
    // The symmetric root, as of the series.
    let noise = applied(phi1(&(hl * 2.0)).sqrt(), xi);
    (score, curved * (0.25 * h * h) + noise * h.sqrt())
}

/// The same by power series, both in one pass of Horner's scheme.
fn by_series(model: &dyn ScoreModel, t: &Tensor, x: &Tensor, h: f64, xi: &Tensor, terms: usize) -> (Tensor, Tensor) {
    let linear = model.linearize(t, x);
    let apply = |v: &Tensor| v * 0.5 + (linear.product)(v);
    let both = |k: usize| x * (0.25 * h * h * phi2_coefficient(k)) + xi * (h.sqrt() * root_coefficient(k));
    let rest = series(h, terms, both, apply);
    (linear.score, rest)
}
