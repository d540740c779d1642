//! Inverse problems against numbers computed elsewhere (tests/fixtures/inverse/README.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sampler::io::tensors::read_tensors;
use sampler::samplers::inverse::law::{kl, kl_expansion};
use sampler::samplers::inverse::preconditioner::{first_order, optimal};
use sampler::samplers::inverse::record::replay;
use sampler::train::inverse::{InverseConfig, Setup, exact};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inverse").join(name)
}

fn arrays() -> BTreeMap<String, Tensor> {
    read_tensors(&fixture("langevin.npz")).unwrap()
}

fn numbers() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("langevin.json")).unwrap()).unwrap()
}

/// A value that a config reads from the fixture.
fn stored(key: &str) -> Value {
    json!({"file": fixture("langevin.npz"), "key": key})
}

fn setup(config: Value) -> (InverseConfig, Setup) {
    let config: InverseConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    let setup = Setup::new(&config).unwrap();
    (config, setup)
}

/// Largest relative deviation, entries of 0 apart.
#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64) {
    let (found, expected) = (found.view([-1]), expected.view([-1]));
    assert_eq!(found.size(), expected.size());
    let gap = ((&found - &expected).abs() / expected.abs().clamp_min(f64::MIN_POSITIVE)).max().double_value(&[]);
    assert!(gap < tolerance, "relative deviation {gap:e}");
}

#[track_caller]
fn assert_number(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found:e}, expected {expected:e}");
}

fn sum(t: &Tensor) -> f64 {
    t.sum(Kind::Double).double_value(&[])
}

/// The value of a figure that `inverse exact` writes.
fn figure(config: &InverseConfig, setup: &Setup, name: &str) -> f64 {
    let exact = exact::exact(config, setup);
    exact.figures.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no figure {name}")).1
}

fn toy(case: &str) -> Value {
    json!({
        "problem": {
            "basis": {"type": "sequence", "modes": 100},
            "covariance": {"type": "power", "exponent": if case == "identity" { 0.0 } else { 2.0 }},
            "operator": {"type": "decay", "rate": 0.1},
            "sigma": 0.05,
            "data": {"y": stored(&format!("fig1.{case}.y"))},
        },
        "sampler": {"preconditioner": {"type": "identity"}, "step": 1e-4},
    })
}

#[test]
fn the_toy_of_figure_1() {
    let stored = arrays();
    for case in ["identity", "trace_class"] {
        let (_, setup) = setup(toy(case));
        let law = setup.law.unwrap();
        let of = |name: &str| &stored[&format!("fig1.{case}.{name}")];
        assert_close(&setup.problem.mu, of("mu"), 1e-14);
        assert_close(setup.problem.forward.diagonal().unwrap(), &stored["fig1.A"], 1e-14);
        assert_close(&law.posterior.mean, of("post_mean"), 1e-11);
        assert_close(&law.posterior.variance, of("post_var"), 1e-12);
        assert_close(&law.rate, of("vanilla_rate"), 1e-12);
        assert_close(&(2.0 / &law.rate), of("vanilla_max_stable_step"), 1e-12);
    }
}

#[test]
fn the_brownian_sheet() {
    let (stored, expected) = (arrays(), numbers());
    for observed in [75, 200] {
        let case = &expected["brownian"]["cases"][observed.to_string()];
        let (config, setup) = setup(json!({
            "problem": {
                "basis": {"type": "brownian_sheet", "modes": 200},
                "covariance": {"type": "brownian"},
                "operator": {"type": "identity", "observed": observed},
                "sigma": 0.01,
            },
            "sampler": {"preconditioner": {"type": "optimal"}, "step": 0.5},
        }));
        let grid = |t: &Tensor| t.view([200, 200]);
        let first = grid(&setup.problem.mu).narrow(0, 0, 10).narrow(1, 0, 10).contiguous();
        assert_close(&first, &stored["brownian.mu_first10x10"], 1e-13);
        let law = setup.law.as_ref().unwrap();
        assert_number(sum(&setup.problem.mu), &case["sum_prior_var"], 1e-12);
        assert_number(sum(&law.posterior.variance), &case["sum_post_var"], 1e-11);
        let variance = grid(&law.posterior.variance);
        assert_number(variance.double_value(&[0, 0]), &case["post_var_1_1"], 1e-12);
        assert_number(variance.double_value(&[74, 74]), &case["post_var_75_75"], 1e-12);
        let lambda = grid(setup.lambda().unwrap());
        assert_number(lambda.double_value(&[0, 0]), &case["lam_1_1"], 1e-12);
        assert_number(lambda.double_value(&[74, 74]), &case["lam_75_75"], 1e-12);
        assert_number(figure(&config, &setup, "rate_min"), &case["kappa_min"], 1e-13);
        assert_number(figure(&config, &setup, "rate_max"), &case["kappa_max"], 1e-13);
        assert_number(figure(&config, &setup, "euler_factor_max"), &case["em_var_inflation_step0p5"], 1e-13);
        let error = figure(&config, &setup, "expected_relative_error");
        assert_number(error, &case["expected_rel_L2_post_mean_error"], 1e-12);
    }
}

/// The heat equation with the fixture's data and errors.
fn heat(tau: f64, preconditioner: Value, step: f64, iterations: u64, smooth: bool) -> Value {
    json!({
        "problem": {
            "basis": {"type": "dirichlet", "modes": 15},
            "covariance": {"type": "heat_kernel", "smoothing": 0.1},
            "operator": {"type": "heat", "time": 0.1},
            "sigma": 0.005,
            "data": {"truth": stored("heat.g_true"), "y": stored("heat.y")},
        },
        "score": {"tau": tau, "smooth": smooth, "eps_a": stored("heat.eps_a"), "times_tau": true},
        "sampler": {"preconditioner": preconditioner, "step": step, "iterations": iterations, "allow_unstable": true},
    })
}

#[test]
fn the_heat_equation() {
    let (stored, expected) = (arrays(), numbers());
    for (tau, name) in [(1e-3, "0.001"), (0.1, "0.1")] {
        let (config, setup) = setup(heat(tau, json!({"type": "first_order"}), 0.01, 5000, true));
        let (problem, law) = (&setup.problem, setup.law.as_ref().unwrap());
        assert_close(&problem.basis.eigenvalues(), &stored["heat.zeta"], 1e-14);
        assert_close(&problem.mu, &stored["heat.mu"], 1e-12);
        assert_close(problem.forward.diagonal().unwrap(), &stored["heat.A"], 1e-12);
        assert_close(&law.posterior.mean, &stored["heat.post_mean"], 1e-11);
        assert_close(&law.posterior.variance, &stored["heat.post_var"], 1e-11);

        let of = |key: &str| &stored[&format!("heat.tau{name}.{key}")];
        let a = problem.precision().unwrap();
        assert_close(&optimal(&problem.mu, &a, &setup.error), of("lam_exact"), 1e-11);
        assert_close(&first_order(&problem.mu, &a, &setup.error), of("lam_first_order"), 1e-11);
        assert_close(&law.rate, of("kappa"), 1e-12);
        assert_close(&law.stationary.mean, of("stat_mean"), 1e-11);
        assert_close(&law.stationary.variance, of("stat_var"), 1e-11);
        assert_close(&law.chain_variance(0.01).unwrap(), of("em_stat_var"), 1e-11);
        let zero = problem.mu.zeros_like();
        assert_close(&law.after(5000, 0.01, &zero).unwrap().mean, of("em_mean_after_5000_from0"), 1e-11);
        // The stored KL is the plain formula, which loses what is below 1e-16 of its terms.
        let gap = (law.kl().unwrap() - of("KL_modes").view([-1])).abs().max().double_value(&[]);
        assert!(gap < 1e-14, "{gap:e}");

        let case = &expected["heat"]["cases"][name];
        assert_number(figure(&config, &setup, "rate_min"), &case["kappa_min"], 1e-12);
        assert_number(figure(&config, &setup, "rate_max"), &case["kappa_max"], 1e-12);
        assert_number(figure(&config, &setup, "kl_total"), &case["KL_total"], 1e-6);
        assert_number(figure(&config, &setup, "stationary_mean_error"), &case["rel_mean_err"], 1e-8);
        assert_number(figure(&config, &setup, "acf_lag100_min"), &case["acf_lag100_min"], 1e-11);
        assert_number(figure(&config, &setup, "acf_lag100_max"), &case["acf_lag100_max"], 1e-11);
    }
}

/// At the exact root every rate is 1.
#[test]
fn the_exact_preconditioner_levels_all_rates() {
    for tau in [1e-3, 0.1] {
        let (config, setup) = setup(heat(tau, json!({"type": "optimal"}), 0.01, 10, true));
        assert!((figure(&config, &setup, "rate_min") - 1.0).abs() < 1e-14);
        assert!((figure(&config, &setup, "rate_max") - 1.0).abs() < 1e-14);
    }
}

#[test]
fn vanilla_steps_on_the_heat_equation() {
    let expected = numbers();
    assert_eq!(expected["heat"]["vanilla_stable_modes(h<2/(1/mu+a))"], 8);
    for (tau, name) in [(1e-3, "0.001"), (0.1, "0.1")] {
        let case = &expected["heat"]["cases"][name];
        let (config, setup) = setup(heat(tau, json!({"type": "identity"}), 1e-6, 15_000, false));
        assert_eq!(figure(&config, &setup, "unstable_modes"), 217.0);
        let slowest: f64 = 1.0 - 1e-6 * figure(&config, &setup, "rate_min");
        assert_number(slowest.powi(15_000), &case["vanilla_contraction_slowest_mode"], 1e-9);
        let error = figure(&config, &setup, "chain_mean_error");
        assert_number(error, &case["vanilla_rel_mean_err_stable_modes_from0"], 1e-9);
    }
}

/// Fifty steps of the stored noise, by the kernel on tensors.
#[test]
fn the_chain_of_the_heat_equation() {
    let stored = arrays();
    let (config, setup) = setup(heat(1e-3, json!({"type": "first_order"}), 0.01, 50, true));
    let kernel = setup.kernel(&config, None).unwrap();
    let z = stored["heat.chain.Z"].view([50, 1, 225]);
    let u = Tensor::zeros([50, 1], (Kind::Double, Device::Cpu));
    let found = replay(kernel.as_ref(), &setup.start(&config).unwrap(), &z, &u);
    let expected = stored["heat.chain.traj"].view([51, 1, 225]);
    assert_close(&found.narrow(0, 1, 50), &expected.narrow(0, 1, 50), 1e-9);
}

fn mixture_mode(tau: f64) -> Value {
    let case = &numbers()["mixture_mode"];
    let squared = |v: &Value| json!(v.as_f64().unwrap().powi(2));
    let variances: Vec<Value> = case["s"].as_array().unwrap().iter().map(squared).collect();
    json!({
        "problem": {
            "basis": {"type": "sequence", "modes": 1},
            "covariance": {"type": "given", "values": case["mu_ref"]},
            "operator": {"type": "diagonal", "values": case["A"]},
            "sigma": case["sigma"],
            "prior": {"type": "mixture", "weights": case["w"], "means": case["m"], "variances": variances},
            "data": {"y": case["y"]},
        },
        "score": {"tau": tau},
        "sampler": {"preconditioner": {"type": "given", "values": case["lam"]}, "step": 0.05, "chains": 64,
                    "start": {"type": "file", "file": fixture("langevin.npz"), "key": "mixmode.ula.x0"}},
    })
}

#[test]
fn the_mixture_of_one_mode() {
    let (stored, expected) = (arrays(), numbers());
    let x = stored["mixmode.x"].view([25, 1]);
    for (tau, name) in [(1e-6, "1e-06"), (0.01, "0.01"), (0.1, "0.1"), (0.5, "0.5")] {
        let (_, setup) = setup(mixture_mode(tau));
        let score = setup.problem.prior.score(&x, tau, setup.lambda().unwrap());
        assert_close(&score, &stored[&format!("mixmode.S.tau{name}")], 1e-11);
    }
    for (name, law) in expected["mixture_mode"]["laws"].as_object().unwrap() {
        let (config, setup) = setup(mixture_mode(name.parse().unwrap()));
        let found = exact::exact(&config, &setup);
        let tensor = |key: &str| &found.tensors.iter().find(|(known, _)| known == key).unwrap().1;
        let list = |key: &str| {
            let values: Vec<f64> = law[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            Tensor::from_slice(&values)
        };
        assert_close(tensor("stationary_weights"), &list("weights"), 1e-11);
        assert_close(tensor("stationary_means"), &list("means"), 1e-11);
        assert_close(tensor("stationary_variances"), &list("vars"), 1e-11);
        assert_number(tensor("stationary_mean").double_value(&[0]), &law["mean"], 1e-11);
        assert_number(tensor("stationary_variance").double_value(&[0]), &law["var"], 1e-11);
        let kl = figure(&config, &setup, "kl_total");
        let gap = (kl - law["KL_to_exact_posterior"].as_f64().unwrap()).abs();
        assert!(gap < 1e-10, "tau {name}: {gap:e}");
    }
}

#[test]
fn the_chain_of_the_mixture() {
    let stored = arrays();
    assert_eq!(stored["mixmode.ula.h"].double_value(&[]), 0.05);
    let (config, setup) = setup(mixture_mode(stored["mixmode.ula.tau"].double_value(&[])));
    let kernel = setup.kernel(&config, None).unwrap();
    let z = stored["mixmode.ula.Z"].unsqueeze(2);
    let u = Tensor::zeros([200, 64], (Kind::Double, Device::Cpu));
    let found = replay(kernel.as_ref(), &setup.start(&config).unwrap(), &z, &u);
    let gap = (found.squeeze_dim(2) - &stored["mixmode.ula.traj"]).abs().max().double_value(&[]);
    assert!(gap < 1e-9, "{gap:e}");
}

fn one_mode(params: &Value, tau: f64, eps_a: f64, eps_b: f64) -> Value {
    json!({
        "problem": {
            "basis": {"type": "sequence", "modes": 1},
            "covariance": {"type": "given", "values": params["mu"]},
            "operator": {"type": "diagonal", "values": params["A"]},
            "sigma": params["sigma"],
            "data": {"y": params["y"]},
        },
        "score": {"tau": tau, "eps_a": eps_a, "eps_b": eps_b},
        "sampler": {"preconditioner": {"type": "given", "values": params["lam"]}, "step": 0.1},
    })
}

#[test]
fn the_expansion_of_the_kl() {
    let check = &numbers()["kl_expansion_check"];
    for row in check["rows"].as_array().unwrap() {
        let number = |key: &str| row[key].as_f64().unwrap();
        let (_, setup) = setup(one_mode(&check["params"], number("tau"), number("ea"), number("eb")));
        let law = setup.law.as_ref().unwrap();
        assert_number(sum(&law.posterior.variance), &row["v"], 1e-13);
        let exact = sum(&kl(&law.stationary, &law.posterior));
        assert!((exact - number("KL_exact")).abs() < 1e-14 + 1e-9 * number("KL_exact"), "{row}");
        for (key, printed) in [("eq10_as_printed", true), ("eq10_times_v", false)] {
            let found = sum(&kl_expansion(&setup.problem, &setup.error, setup.lambda().unwrap(), printed).unwrap());
            assert!((found - number(key)).abs() <= 1e-12 * number(key).abs(), "{key}: {found}, {row}");
        }
    }
}

/// The stored rows are of an error of half τ.
#[test]
fn the_expansion_of_the_optimal_preconditioner() {
    let expected = numbers();
    for row in expected["lambda_expansion"].as_array().unwrap() {
        let tau = row["tau"].as_f64().unwrap();
        let (_, setup) = setup(one_mode(&expected["kl_expansion_check"]["params"], tau, 0.5 * tau, 0.0));
        let a = setup.problem.precision().unwrap();
        assert_number(sum(&optimal(&setup.problem.mu, &a, &setup.error)), &row["lam_exact"], 1e-12);
        assert_number(sum(&first_order(&setup.problem.mu, &a, &setup.error)), &row["first_order"], 1e-12);
    }
}
