//! What is known exactly: the posterior, the law that the dynamics leave invariant, that of their Euler chain, rates.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::preconditioner::Preconditioner;
use super::score::ScoreError;
use crate::bad_input;
use crate::targets::inverse::Problem;

/// Largest number of coordinates for which matrices are formed where the operator is not diagonal.
pub const MOST_DENSE: i64 = 2500;

/// Means and variances of coordinates, `[D]` each.
#[derive(Debug)]
pub struct Moments {
    pub mean: Tensor,
    pub variance: Tensor,
}

/// Exact figures of one problem under one preconditioner and score.
#[derive(Debug)]
pub struct Law {
    pub posterior: Moments,
    /// Of the dynamics in continuous time; the prior at τ and the score's errors make it differ from the posterior.
    pub stationary: Moments,
    /// Rates κ, `[D]`: one a coordinate; eigenvalues where the operator is not diagonal; for mixtures upper bounds.
    pub rate: Tensor,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Diagonal,
    /// Columns `C^{1/2} U` for the eigenvectors U of the whitened drift, `[D, D]`.
    Dense(Tensor),
    Mixture,
}

impl Law {
    /// Exact laws, where there are formulas: `None` for mixtures and for more than [`MOST_DENSE`] coordinates under an
    /// operator that is not diagonal.
    ///
    /// Refuses a score whose errors leave a mode without an invariant law.
    pub fn of(problem: &Problem, error: &ScoreError, preconditioner: &Preconditioner) -> Result<Option<Self>> {
        let law = match (problem.precision(), preconditioner) {
            (Some(a), Preconditioner::Diagonal(lambda)) if problem.prior.mixture().is_some() => {
                mixture(problem, error, lambda, &a)
            }
            (Some(a), Preconditioner::Diagonal(lambda)) => Some(diagonal(problem, error, lambda, &a)),
            _ if problem.prior.mixture().is_some() || problem.dim() > MOST_DENSE => None,
            (_, Preconditioner::Diagonal(lambda)) => Some(dense(problem, error, lambda)),
            (_, Preconditioner::Posterior) => Some(posterior_preconditioned(problem)),
        };
        law.map_or(Ok(None), |law| law.with_positive_rates().map(Some))
    }

    fn with_positive_rates(self) -> Result<Self> {
        let (least, at) = (self.rate.min().double_value(&[]), self.rate.argmin(None, false).int64_value(&[]));
        if least > 0.0 {
            return Ok(self);
        }
        Err(bad_input!(
            "'score.eps_a' makes the rate of mode {at} {least:e}, so that no law is invariant; rates must be larger than 0"
        ))
    }

    /// Whether rates are the dynamics' own rather than bounds.
    pub fn is_gaussian(&self) -> bool {
        !matches!(self.form, Form::Mixture)
    }

    /// Whether modes move independently.
    pub fn is_diagonal(&self) -> bool {
        matches!(self.form, Form::Diagonal)
    }

    /// Variances that the Euler chain of step h settles at, `[D]`; `v / (1 - h κ / 2)` mode by mode, NaN where it does
    /// not settle.
    pub fn chain_variance(&self, step: f64) -> Option<Tensor> {
        let stable: Tensor = 1.0 - &self.rate * (0.5 * step);
        let stable = stable.where_self(&stable.gt(0.0), &Tensor::from(f64::NAN));
        match &self.form {
            Form::Diagonal => Some(&self.stationary.variance / stable),
            Form::Dense(directions) => {
                let terms = directions.square() / (&self.rate * stable);
                Some(terms.sum_dim_intlist(1, false, Kind::Double))
            }
            Form::Mixture => None,
        }
    }

    /// Mean and variance of the Euler chain after `n` steps from the point `start` `[D]`, where modes are independent.
    pub fn after(&self, n: u64, step: f64, start: &Tensor) -> Option<Moments> {
        if !self.is_diagonal() {
            return None;
        }
        let factor: Tensor = 1.0 - &self.rate * step;
        let kept = factor.pow_tensor_scalar(n as f64);
        let mean = &self.stationary.mean + (start - &self.stationary.mean) * &kept;
        let variance = self.chain_variance(step)? * (1.0 - kept.square());
        Some(Moments { mean, variance })
    }

    /// `KL(stationary ‖ posterior)` of each coordinate's own law, `[D]`, for Gaussians.
    pub fn kl(&self) -> Option<Tensor> {
        self.is_gaussian().then(|| kl(&self.stationary, &self.posterior))
    }
}

/// `KL(p ‖ q)` of Gaussians, coordinate by coordinate.
pub fn kl(p: &Moments, q: &Moments) -> Tensor {
    // With u = v_p/v_q - 1 nearly equal variances do not cancel as far.
    let u = (&p.variance - &q.variance) / &q.variance;
    let shift = (&p.mean - &q.mean) / q.variance.sqrt();
    (&u - u.log1p() + shift.square()) * 0.5
}

/// First order of the KL per mode in τ and in the errors, `[D]`, for Gaussians under diag(λ): with p = λ/μ,
/// β = eps_b/λ and r = (p - 1) τ - eps_a/p,
///
/// ```text
/// v { β²/2 - β (b - β) r / (1 + a μ) }.
/// ```
///
/// Theorem 3.1 of arXiv 2505.18276 prints it without the factor v, as a KL of standard deviations in place of variances would
/// have it; `printed` gives that.
pub fn kl_expansion(problem: &Problem, error: &ScoreError, lambda: &Tensor, printed: bool) -> Option<Tensor> {
    let a = problem.precision()?;
    let (mu, b) = (&problem.mu, problem.pull());
    let gain = a * mu + 1.0;
    let p = lambda / mu;
    let beta = &error.eps_b / lambda;
    let r = (&p - 1.0) * error.expansion_tau - &error.eps_a / p;
    let bracket = beta.square() * 0.5 - (b - &beta) * &beta * r / &gain;
    Some(if printed { bracket } else { bracket * (mu / gain) })
}

fn diagonal(problem: &Problem, error: &ScoreError, lambda: &Tensor, a: &Tensor) -> Law {
    let b = problem.pull();
    let variance = &problem.mu / (a * &problem.mu + 1.0);
    let posterior = Moments { mean: &variance * &b, variance };
    let rate = problem.prior.curvature(error.tau, lambda) + lambda * a + &error.eps_a;
    let stationary = Moments { mean: (lambda * b - &error.eps_b) / &rate, variance: lambda / &rate };
    Law { posterior, stationary, rate, form: Form::Diagonal }
}

/// Mixtures keep their form; with errors of the score there is no formula.
fn mixture(problem: &Problem, error: &ScoreError, lambda: &Tensor, a: &Tensor) -> Option<Law> {
    let prior = problem.prior.mixture()?;
    let operator = problem.forward.diagonal()?;
    let moments = |tau: f64| {
        let (mean, variance) = prior.condition(tau, lambda, a, &problem.y, operator, problem.sigma).moments();
        Moments { mean, variance }
    };
    let rate = problem.prior.curvature(error.tau, lambda) + lambda * a;
    let exact = ScoreError { tau: 0.0, ..ScoreError::none(problem.dim()) };
    let errors =
        (&error.eps_a - &exact.eps_a).abs().max().double_value(&[]) + error.eps_b.abs().max().double_value(&[]);
    (errors == 0.0).then(|| Law { posterior: moments(0.0), stationary: moments(error.tau), rate, form: Form::Mixture })
}

/// `μ^{1/2} (AᵀA/σ²) μ^{1/2}` and the like: `[D, D]`, symmetric.
fn whitened_gram(problem: &Problem, scale: &Tensor) -> Tensor {
    let gram = problem.gram(&Tensor::eye(problem.dim(), (Kind::Double, scale.device())));
    let whitened = scale.unsqueeze(1) * gram * scale;
    (&whitened + whitened.tr()) * 0.5
}

fn dense_posterior(problem: &Problem) -> Moments {
    let root = problem.mu.sqrt();
    let precision = whitened_gram(problem, &root) + problem.mu.ones_like().diag(0);
    let inverse = precision.linalg_cholesky(false).cholesky_inverse(false);
    let variance = inverse.diagonal(0, 0, 1) * &problem.mu;
    Moments { mean: problem.solve_posterior(&problem.pull().unsqueeze(0)).squeeze_dim(0), variance }
}

/// The drift in coordinates whitened by λ is symmetric: its eigenvalues are the rates.
fn dense(problem: &Problem, error: &ScoreError, lambda: &Tensor) -> Law {
    let root = lambda.sqrt();
    let own = problem.prior.curvature(error.tau, lambda) + &error.eps_a;
    let (rate, vectors) = (whitened_gram(problem, &root) + own.diag(0)).linalg_eigh("L");
    let directions = root.unsqueeze(1) * &vectors;
    let pull = (lambda * problem.pull() - &error.eps_b) / &root;
    let mean = directions.matmul(&(vectors.tr().matmul(&pull) / &rate));
    let variance = (directions.square() / &rate).sum_dim_intlist(1, false, Kind::Double);
    Law {
        posterior: dense_posterior(problem),
        stationary: Moments { mean, variance },
        rate,
        form: Form::Dense(directions),
    }
}

/// All rates are 1, and the posterior is invariant.
fn posterior_preconditioned(problem: &Problem) -> Law {
    let (posterior, stationary) = (dense_posterior(problem), dense_posterior(problem));
    let rate = problem.mu.ones_like();
    // Only the squares' sums are read: any root of the covariance has these.
    let directions = stationary.variance.sqrt().diag(0);
    Law { posterior, stationary, rate, form: Form::Dense(directions) }
}

/// The largest rate by power iteration, with five per cent to spare, for problems too large for [`Law`].
pub fn largest_rate(problem: &Problem, error: &ScoreError, lambda: &Tensor) -> f64 {
    let root = lambda.sqrt();
    let own = problem.prior.curvature(error.tau, lambda) + &error.eps_a;
    let mut v = Tensor::ones([1, problem.dim()], (Kind::Double, root.device()));
    let mut largest = 0.0;
    for _ in 0..60 {
        v = &v / v.norm();
        v = &v * &own + problem.gram(&(&v * &root)) * &root;
        largest = v.norm().double_value(&[]);
    }
    1.05 * largest
}

/// Refuses a step that is unstable for some mode.
pub fn check_step(rate: &Tensor, step: f64) -> Result<()> {
    let unstable = rate.ge(2.0 / step).sum(Kind::Int64).int64_value(&[]);
    if unstable == 0 {
        return Ok(());
    }
    let largest = rate.max().double_value(&[]);
    Err(bad_input!(
        "'sampler.step' {step} is unstable for {unstable} of {} modes (rates up to {largest:.6e}): the largest stable step is \
         below {:.6e}; lower it, or set sampler.allow_unstable=true",
        rate.size()[0],
        2.0 / largest
    ))
}
