//! What is known without sampling: figures for `summary.json` and arrays for `exact.safetensors`.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::InverseConfig;
use super::setup::Setup;
use crate::samplers::inverse::law::{kl_expansion, largest_rate};
use crate::samplers::inverse::preconditioner::{first_order, optimal};
use crate::samplers::inverse::{Law, Method};

/// Figures and arrays of one config.
#[derive(Default)]
pub struct Exact {
    pub figures: Vec<(String, f64)>,
    pub tensors: Vec<(String, Tensor)>,
}

impl Exact {
    fn figure(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_string(), value));
    }

    fn tensor(&mut self, name: &str, value: &Tensor) {
        self.tensors.push((name.to_string(), value.shallow_clone()));
    }
}

/// Everything exact about the config's problem, sampler and score.
pub fn exact(config: &InverseConfig, setup: &Setup) -> Exact {
    let mut out = Exact::default();
    problem_figures(&mut out, setup);
    let step = config.sampler.step;
    if let Some(law) = &setup.law {
        law_figures(&mut out, setup, law);
        if config.sampler.method == Method::Langevin {
            chain_figures(&mut out, config, setup, law);
        }
        mixture_figures(&mut out, setup);
    } else if let Some(lambda) = setup.lambda() {
        out.figure("rate_max", largest_rate(&setup.problem, &setup.error, lambda));
    }
    out.figure("step", step);
    out
}

fn sum(t: &Tensor) -> f64 {
    t.sum(Kind::Double).double_value(&[])
}

fn least(t: &Tensor) -> f64 {
    t.min().double_value(&[])
}

fn largest(t: &Tensor) -> f64 {
    t.max().double_value(&[])
}

/// `|a - b| / |b|` in L2.
pub fn relative_error(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).norm() / b.norm()).double_value(&[])
}

fn problem_figures(out: &mut Exact, setup: &Setup) {
    let problem = &setup.problem;
    out.figure("modes", problem.dim() as f64);
    out.figure("observations", sum(&problem.forward.mask()));
    out.figure("sum_prior_variance", sum(&problem.prior.variance()));
    out.tensor("mu", &problem.mu);
    out.tensor("y", &problem.y);
    out.tensor("b", &problem.pull());
    out.tensor("eps_a", &setup.error.eps_a);
    out.tensor("eps_b", &setup.error.eps_b);
    if let Some(truth) = &problem.truth {
        out.tensor("truth", truth);
    }
    if let Some(lambda) = setup.lambda() {
        out.tensor("lambda", lambda);
    }
    if let Some(a) = problem.precision() {
        out.figure("informed_modes", sum(&(&a * &problem.mu).gt(1.0).to_kind(Kind::Double)));
        out.tensor("lambda_optimal", &optimal(&problem.mu, &a, &setup.error));
        out.tensor("lambda_first_order", &first_order(&problem.mu, &a, &setup.error));
        out.tensor("a", &a);
    }
}

fn law_figures(out: &mut Exact, setup: &Setup, law: &Law) {
    let (posterior, stationary) = (&law.posterior, &law.stationary);
    for (name, moments) in [("posterior", posterior), ("stationary", stationary)] {
        out.figure(&format!("sum_{name}_variance"), sum(&moments.variance));
        out.tensor(&format!("{name}_mean"), &moments.mean);
        out.tensor(&format!("{name}_variance"), &moments.variance);
    }
    out.figure("stationary_mean_error", relative_error(&stationary.mean, &posterior.mean));
    // Averaged over truth and noise, that of the posterior mean.
    out.figure("expected_relative_error", (sum(&posterior.variance) / sum(&setup.problem.prior.variance())).sqrt());
    if let Some(truth) = &setup.problem.truth {
        out.figure("posterior_mean_truth_error", relative_error(&posterior.mean, truth));
    }
    if let Some(kl) = law.kl() {
        out.figure("kl_total", sum(&kl));
        out.tensor("kl", &kl);
    }
    let expansions = [("kl_expansion", false), ("kl_printed", true)];
    for (name, printed) in expansions.into_iter().filter(|_| law.is_gaussian()) {
        let Some(lambda) = setup.lambda() else { continue };
        if let Some(expansion) = kl_expansion(&setup.problem, &setup.error, lambda, printed) {
            out.figure(&format!("{name}_total"), sum(&expansion));
            out.tensor(name, &expansion);
        }
    }
}

fn chain_figures(out: &mut Exact, config: &InverseConfig, setup: &Setup, law: &Law) {
    let (step, rate) = (config.sampler.step, &law.rate);
    out.figure("rate_min", least(rate));
    out.figure("rate_max", largest(rate));
    out.figure("step_limit", 2.0 / largest(rate));
    out.figure("unstable_modes", sum(&rate.ge(2.0 / step).to_kind(Kind::Double)));
    out.tensor("rate", rate);
    out.tensor("step_limit", &(2.0 / rate));
    let Some(variance) = law.chain_variance(step) else { return };
    let stable = variance.isfinite();
    let factor = &variance / &law.stationary.variance;
    let settled = factor.masked_select(&stable);
    if settled.numel() > 0 {
        out.figure("euler_factor_min", least(&settled));
        out.figure("euler_factor_max", largest(&settled));
    }
    let kept: Tensor = 1.0 - rate * step;
    let lagged = kept.pow_tensor_scalar(100.0).masked_select(&rate.lt(2.0 / step));
    if lagged.numel() > 0 {
        out.figure("acf_lag100_min", least(&lagged));
        out.figure("acf_lag100_max", largest(&lagged));
    }
    out.tensor("chain_variance", &variance);
    out.tensor("euler_factor", &factor);
    if let Some(end) = law.after(config.sampler.iterations, step, &setup.problem.mu.zeros_like()) {
        out.tensor("chain_mean_after_iterations", &end.mean);
        out.tensor("chain_variance_after_iterations", &end.variance);
        // Over the modes that are stable at all.
        let pick = |t: &Tensor| t.masked_select(&stable);
        if settled.numel() > 0 {
            out.figure("chain_mean_error", relative_error(&pick(&end.mean), &pick(&law.posterior.mean)));
        }
    }
}

/// Components of a mixture's posterior and of the law that the exact score at τ leaves invariant, and the KL between them.
fn mixture_figures(out: &mut Exact, setup: &Setup) {
    let problem = &setup.problem;
    let (Some(prior), Some(a), Some(operator), Some(lambda)) =
        (problem.prior.mixture(), problem.precision(), problem.forward.diagonal(), setup.lambda())
    else {
        return;
    };
    let condition = |tau: f64| prior.condition(tau, lambda, &a, &problem.y, operator, problem.sigma);
    let (posterior, stationary) = (condition(0.0), condition(setup.error.tau));
    for (name, law) in [("posterior", &posterior), ("stationary", &stationary)] {
        out.tensor(&format!("{name}_weights"), &law.weights);
        out.tensor(&format!("{name}_means"), &law.means);
        out.tensor(&format!("{name}_variances"), &law.variances);
    }
    // The quadrature keeps every point of every mode.
    if problem.dim() <= 400 {
        let kl = stationary.marginal_kl(&posterior);
        out.figure("kl_total", sum(&kl));
        out.tensor("kl", &kl);
    }
}

/// Refuses what [`exact`] has nothing to say about.
pub fn check(setup: &Setup) -> Result<()> {
    if setup.law.is_some() {
        return Ok(());
    }
    Err(crate::bad_input!(
        "'problem' has no exact law: under an operator that is not diagonal a Gaussian prior of at most {} modes has one, under \
         a diagonal one a mixture without score.eps_a and score.eps_b; `inverse sample` takes any",
        crate::samplers::inverse::law::MOST_DENSE
    ))
}
