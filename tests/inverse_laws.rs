//! What every sampler of an inverse problem must do: leave its exact law invariant, and refuse what cannot work.

use sampler::samplers::inverse::law::largest_rate;
use sampler::samplers::inverse::preconditioner::{first_order, optimal};
use sampler::samplers::inverse::record::run;
use sampler::samplers::inverse::{Plan, Record, ScoreError};
use sampler::torch::threads;
use sampler::train::inverse::{InverseConfig, Setup};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

fn setup(config: Value) -> (InverseConfig, Setup) {
    let config: InverseConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    let setup = Setup::new(&config).unwrap();
    (config, setup)
}

fn toy(preconditioner: &str, method: &str, step: f64) -> Value {
    json!({
        "problem": {
            "basis": {"type": "sequence", "modes": 6},
            "covariance": {"type": "power", "exponent": 2.0},
            "operator": {"type": "decay", "rate": 0.3, "observed": 4},
            "sigma": 0.3,
        },
        "sampler": {"method": method, "preconditioner": {"type": preconditioner}, "step": step, "iterations": 4000,
                    "burn_in": 500, "chains": 32},
    })
}

/// A blurred grid with missing points, small enough for matrices.
fn grid(preconditioner: &str, method: &str, step: f64) -> Value {
    json!({
        "problem": {
            "basis": {"type": "fourier", "size": 6, "axes": 2},
            "covariance": {"type": "matern", "length": 0.1, "exponent": 2.0},
            "operator": {"type": "deconvolution", "width": 0.05, "observed": 0.5},
            "sigma": 0.1,
        },
        "sampler": {"method": method, "preconditioner": {"type": preconditioner}, "step": step, "iterations": 1500,
                    "burn_in": 200, "chains": 32},
    })
}

fn plan(config: &InverseConfig) -> Plan {
    let sampler = &config.sampler;
    Plan {
        seed: 11,
        iterations: sampler.iterations,
        burn_in: sampler.burn_in,
        thin: sampler.thin,
        snapshots: vec![1, sampler.iterations],
        traced: vec![0, 3],
        traced_chains: 4,
    }
}

/// Means within 5 standard errors, and all together as scattered as such errors; variances too.
#[track_caller]
fn assert_law(record: &Record, mean: &Tensor, variance: &Tensor) {
    let off = (record.mean() - mean) / record.mean_error();
    assert!(off.abs().max().double_value(&[]) < 5.0, "means off by {off}");
    // The second moment is about the centre.
    let second = variance + (mean - &record.center).square();
    let found = record.second.mean_dim(&[0i64][..], false, Kind::Double);
    let off = (found - second) / record.variance_error();
    assert!(off.abs().max().double_value(&[]) < 5.0, "variances off by {off}");
}

/// Every preconditioner, mode by mode and on tensors: the law of the Euler chain, bias and all.
#[test]
fn langevin_chains_settle_at_their_exact_law() {
    for (preconditioner, step) in [("identity", 0.02), ("prior", 0.05), ("optimal", 0.5), ("first_order", 0.5)] {
        let mut config = toy(preconditioner, "langevin", step);
        config["score"] = json!({"tau": 0.02, "eps_a": 0.1, "eps_b": 0.01});
        let (config, setup) = setup(config);
        let law = setup.law.as_ref().unwrap();
        let variance = law.chain_variance(step).unwrap();

        let fast = setup.run(&config, None, &plan(&config)).unwrap();
        assert_law(&fast, &law.stationary.mean, &variance);
        let kernel = setup.kernel(&config, None).unwrap();
        let slow = run(kernel.as_ref(), &setup.start(&config).unwrap(), &setup.center(), &plan(&config));
        assert_law(&slow, &law.stationary.mean, &variance);
        assert_eq!(fast.traces.size(), slow.traces.size());
        assert_eq!(fast.snapshots.size(), slow.snapshots.size());
    }
}

#[test]
fn metropolis_chains_settle_at_the_posterior() {
    for (method, step) in [("mala", 0.1), ("pcn", 0.3)] {
        let (config, setup) = setup(toy("prior", method, step));
        let posterior = &setup.law.as_ref().unwrap().posterior;
        let record = setup.run(&config, None, &plan(&config)).unwrap();
        assert_law(&record, &posterior.mean, &posterior.variance);
        let share = record.acceptance.unwrap();
        assert!(share > 0.2 && share < 0.99, "{method}: {share}");
    }
}

/// The mixture of two Gaussians, jointly and coordinate by coordinate.
#[test]
fn metropolis_chains_settle_at_the_posterior_of_a_mixture() {
    for (joint, method, step) in [(true, "mala", 0.2), (true, "pcn", 0.4), (false, "mala", 0.2)] {
        let mut config = toy("prior", method, step);
        config["problem"]["prior"] = json!({"type": "mixture", "weights": [0.4, 0.6], "means": [-0.7, 0.7],
            "variances": [0.4, 0.6], "whitened": true, "joint": joint});
        config["problem"]["basis"]["modes"] = json!(3);
        config["problem"]["operator"] = json!({"type": "identity"});
        config["problem"]["sigma"] = json!(0.8);
        let (config, setup) = setup(config);
        let posterior = &setup.law.as_ref().unwrap().posterior;
        let plan = Plan { traced: vec![0], ..plan(&config) };
        let record = setup.run(&config, None, &plan).unwrap();
        assert_law(&record, &posterior.mean, &posterior.variance);
    }
}

#[test]
fn an_operator_that_is_not_diagonal_has_its_law() {
    for (preconditioner, method, step) in [
        ("prior", "langevin", 0.02),
        ("optimal", "langevin", 0.5),
        ("identity", "langevin", 0.003),
        ("prior", "mala", 0.02),
    ] {
        let (config, setup) = setup(grid(preconditioner, method, step));
        setup.check_step(&config).unwrap();
        let law = setup.law.as_ref().unwrap();
        let (mean, variance) = match method {
            "mala" => (&law.posterior.mean, law.posterior.variance.shallow_clone()),
            _ => (&law.stationary.mean, law.chain_variance(step).unwrap()),
        };
        let record = setup.run(&config, None, &plan(&config)).unwrap();
        assert_law(&record, mean, &variance);
    }
}

/// The dense posterior solves the normal equations, and the bound by power iteration lies just above the largest rate.
#[test]
fn dense_laws_agree_with_products() {
    let (_, setup) = setup(grid("prior", "langevin", 0.01));
    let (problem, law) = (&setup.problem, setup.law.as_ref().unwrap());
    let mean = law.posterior.mean.unsqueeze(0);
    let left = &mean / &problem.mu + problem.gram(&mean) - problem.pull();
    assert!(left.abs().max().double_value(&[]) < 1e-8 * problem.pull().abs().max().double_value(&[]));
    let gap = (&law.stationary.mean - &law.posterior.mean).abs().max().double_value(&[]);
    let off = (&law.stationary.variance / &law.posterior.variance - 1.0).abs().max().double_value(&[]);
    assert!(gap < 1e-10 && off < 1e-10, "{gap} {off}");
    let bound = largest_rate(problem, &setup.error, setup.lambda().unwrap()) / law.rate.max().double_value(&[]);
    assert!(bound > 1.0 && bound < 1.06, "{bound}");
}

/// What a run gives depends on its seed alone, and the last points are those that the snapshots end with.
#[test]
fn fast_chains_do_not_depend_on_the_number_of_threads() {
    let mut config = toy("optimal", "langevin", 0.5);
    config["problem"]["basis"]["modes"] = json!(700);
    config["sampler"]["iterations"] = json!(40);
    config["sampler"]["burn_in"] = json!(10);
    let (config, setup) = setup(config);
    let plan = Plan { traced: vec![3, 600, 255], ..plan(&config) };
    threads::configure(Some(1));
    let one = setup.run(&config, None, &plan).unwrap();
    threads::configure(Some(3));
    let three = setup.run(&config, None, &plan).unwrap();
    threads::configure(Some(1));
    assert!(one.last.equal(&three.last) && one.first.equal(&three.first) && one.traces.equal(&three.traces));
    let end = one.last.mean_dim(&[0i64][..], false, Kind::Double);
    assert!((one.snapshots.get(1) - end).abs().max().double_value(&[]) < 1e-12);
    // The last of a trace is where its chain ended.
    for (row, mode) in plan.traced.iter().enumerate() {
        assert!(one.traces.get(row as i64).select(1, 29).equal(&one.last.narrow(0, 0, 4).select(1, *mode)));
    }
    let other = setup.run(&config, None, &Plan { seed: 12, ..plan }).unwrap();
    assert!(!one.last.equal(&other.last));
}

/// The remainder of theorem 4.1 is of second order: a tenth of τ leaves a hundredth.
#[test]
fn the_first_order_preconditioner_is_of_first_order() {
    let (mu, a) = (Tensor::from_slice(&[1.0, 0.1, 1e-3]), Tensor::from_slice(&[0.5, 40.0, 0.0]));
    let gap = |tau: f64| {
        let eps_a = Tensor::from_slice(&[0.3, -0.5, 0.2]) * tau;
        let error = ScoreError { tau, expansion_tau: tau, eps_b: eps_a.zeros_like(), eps_a };
        (optimal(&mu, &a, &error) - first_order(&mu, &a, &error)) / &mu
    };
    let ratio = gap(1e-2) / gap(1e-3);
    assert!((ratio / 100.0 - 1.0).abs().narrow(0, 0, 2).max().double_value(&[]) < 0.1, "the remainder");
}

#[test]
fn unstable_steps_and_hopeless_scores_are_refused() {
    let (mut config, setup) = setup(toy("prior", "langevin", 0.5));
    let limit = 2.0 / setup.law.as_ref().unwrap().rate.max().double_value(&[]);
    let error = setup.check_step(&config).unwrap_err().to_string();
    assert!(error.contains("unstable for 1 of 6 modes") && error.contains(&format!("{limit:.6e}")), "{error}");
    config.sampler.step = 0.999 * limit;
    setup.check_step(&config).unwrap();
    config.sampler.step = 1.001 * limit;
    assert!(setup.check_step(&config).is_err());
    config.sampler.allow_unstable = true;
    setup.check_step(&config).unwrap();

    let mut hopeless = toy("prior", "langevin", 0.01);
    hopeless["score"] = json!({"eps_a": -1.5});
    let error = Setup::new(&serde_json::from_value(hopeless).unwrap()).err().unwrap().to_string();
    assert!(error.contains("'score.eps_a'") && error.contains("larger than 0"), "{error}");
    let mut hopeless = toy("optimal", "langevin", 0.01);
    hopeless["score"] = json!({"eps_a": [0, 0, 1.5, 0, 0, 2]});
    let error = Setup::new(&serde_json::from_value(hopeless).unwrap()).err().unwrap().to_string();
    assert!(error.contains("2 modes, the first of them number 2"), "{error}");
}
