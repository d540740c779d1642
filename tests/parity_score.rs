//! Score models and integrators against numbers computed elsewhere (tests/fixtures/score/README.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sampler::io::tensors::read_tensors;
use sampler::metrics::bures::w2_gaussians;
use sampler::metrics::sliced::w2_densities;
use sampler::samplers::score::models::at;
use sampler::samplers::score::moments::{noised_law, prior_law, propagate};
use sampler::samplers::score::{
    Draws, Integrator, ModelConfig, ScoreModel, State, TimeGrid, TimeGridConfig, density, models::GaussianConfig,
    models::GaussianScore, models::MixtureConfig, models::MixtureScore, time_grid::UniformConfig,
};
use sampler::samplers::score::{IntegratorConfig, config::Plain, local_linearization::LocalLinearizationConfig};
use sampler::targets::Broadcast;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

const EXACT: (Kind, Device) = (Kind::Double, Device::Cpu);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/score").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The schemes by their names in the fixtures.
fn schemes() -> Vec<(&'static str, Box<dyn Integrator>)> {
    let configs = [
        ("EM", IntegratorConfig::Euler(Plain {})),
        ("EI", IntegratorConfig::Exponential(Plain {})),
        ("REM", IntegratorConfig::RandomizedMidpoint(Plain {})),
        ("REI", IntegratorConfig::ExponentialRandomizedMidpoint(Plain {})),
        ("SO", IntegratorConfig::LocalLinearization(LocalLinearizationConfig::default())),
    ];
    configs.into_iter().map(|(name, config)| (name, config.build())).collect()
}

fn largest(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

fn gaussian(mean: Vec<f64>, variance: Vec<f64>) -> GaussianScore {
    let config = GaussianConfig { dim: None, mean: Broadcast::Vector(mean), variance: Broadcast::Vector(variance) };
    GaussianScore::new(&config, EXACT).unwrap()
}

fn planar_mixture(tensors: &BTreeMap<String, Tensor>) -> MixtureScore {
    let rows = |t: &Tensor| -> Vec<Vec<f64>> { (0..t.size()[0]).map(|i| Vec::try_from(t.get(i)).unwrap()).collect() };
    let config = MixtureConfig {
        weights: Vec::try_from(&tensors["w"]).unwrap(),
        means: rows(&tensors["m"]),
        covariances: (0..3).map(|k| rows(&tensors["C"].get(k))).collect(),
    };
    MixtureScore::new(&config, EXACT).unwrap()
}

#[test]
fn mixture_scores_and_hessians_match() {
    tch::set_num_threads(1);
    let tensors = read_tensors(&fixture("mixture_trajectories.npz")).unwrap();
    let (model, x) = (planar_mixture(&tensors), &tensors["x"]);
    for t in ["0.0", "0.05", "0.5", "2.0"] {
        let expected = |name: &str| &tensors[&format!("t{t}.{name}")];
        let time = at(t.parse().unwrap(), x);
        let (score, hessian) = (model.score(&time, x), model.hessian(&time, x));
        assert!(largest(&model.log_prob(&time, x).unwrap(), expected("logp")) < 1e-10, "log density at {t}");
        assert!(largest(&score, expected("score")) < 1e-9, "score at {t}");
        assert!(largest(&hessian, expected("hess")) < 1e-8, "Hessian at {t}");

        // The third-derivative term as the local linearisation replaces it: M = -g/2 - H (x/2 + g).
        let m = &score * -0.5 - model.hvp(&time, x, &(x * 0.5 + &score));
        assert!(largest(&m, expected("M")) < 1e-7, "M at {t}: {}", largest(&m, expected("M")));
    }
}

#[test]
fn trajectories_under_stored_noise_match() {
    tch::set_num_threads(1);
    let tensors = read_tensors(&fixture("mixture_trajectories.npz")).unwrap();
    let model = planar_mixture(&tensors);
    let (horizon, num_steps) = (tensors["T"].double_value(&[]), tensors["N"].int64_value(&[]) as usize);
    for (name, integrator) in schemes() {
        let expected = &tensors[&format!("traj.{name}")];
        let mut state = State::new(tensors["x_init"].shallow_clone());
        for (n, step) in TimeGrid::uniform(horizon, num_steps).steps().enumerate() {
            let row = |key: &str| tensors[key].get(n as i64);
            let draws = Draws { xi: row("z1"), extra: row("z2"), u: row("U").unsqueeze(-1) };
            state = integrator.step(&model, step, state, &draws);
            let error = largest(&state.x, &expected.get(n as i64 + 1));
            assert!(error < 1e-9, "{name}, step {n}: off by {error}");
        }
    }
}

/// The largest step counts take most of the time; one case goes all the way.
#[test]
fn laws_for_gaussian_data_match() {
    tch::set_num_threads(1);
    let stored = json("gaussian_w2.json");
    for (i, case) in stored["cases"].as_array().unwrap().iter().enumerate() {
        let model = gaussian(numbers(&case["mean"]), numbers(&case["eigenvalues"]));
        let horizon = case["T"].as_f64().unwrap();
        let dim = case["d"].as_u64().unwrap();
        let most = if i == 2 {
            1280.0
        } else if dim < 5 {
            160.0
        } else {
            40.0
        };
        for (k, n) in numbers(&case["N"]).into_iter().enumerate().filter(|(_, n)| *n <= most) {
            let grid = TimeGrid::uniform(horizon, n as usize);
            for (name, integrator) in schemes() {
                let start =
                    if case["init"] == "phat" { prior_law(&model, horizon) } else { noised_law(&model, horizon) };
                let law = propagate(&model, integrator.as_ref(), &grid, start);
                let what = format!("case {i}, N = {n}, {name}");

                let w2 = w2_gaussians(&law.mean, &law.covariance, &model.mean, &model.variance);
                let expected = case["W2"][name][k].as_f64().unwrap();
                assert!((w2 - expected).abs() < 1e-8, "{what}: W2 {w2}, not {expected}");

                let key = (n as usize).to_string();
                let Some(means) = case["mean_final"][name].get(&key) else { continue };
                let variances = numbers(&case["var_final"][name][&key]);
                assert!(largest(&law.mean, &Tensor::from_slice(&numbers(means))) < 1e-8, "{what}: mean");
                let found = law.covariance.diagonal(0, 0, 1);
                assert!(largest(&found, &Tensor::from_slice(&variances)) < 1e-8, "{what}: variance");
            }
        }
    }
}

#[test]
fn stiff_gaussians_match() {
    tch::set_num_threads(1);
    for case in json("stiff_gaussian.json")["cases"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let (h, num_steps) = (number("h"), number("N") as usize);
        let whole = case["variant"] == "A";
        let horizon = if whole { 10.0 } else { h * num_steps as f64 };
        let model = gaussian(vec![0.0], vec![1.0 / number("lam")]);
        let config = TimeGridConfig::Uniform(UniformConfig { step: Some(h) });
        let grid = config.build(horizon, num_steps).unwrap();
        for (name, integrator) in schemes() {
            let law = propagate(&model, integrator.as_ref(), &grid, prior_law(&model, horizon));
            let deviation = law.covariance.double_value(&[0, 0]).sqrt();
            let error = (deviation - number("lam").powf(-0.5)).abs();
            let expected = case["W2_1d"][name].as_f64().unwrap();
            assert!((error - expected).abs() < 1e-8, "{case}, {name}: {error}");
        }
    }
}

/// On the stored figures' grid, `[-9, 9]`: long steps of a local linearisation send mass beyond it, which is lost there, and
/// put a millionth so far out that the number of quantiles shows in W2.
#[test]
fn densities_on_a_line_match() {
    tch::set_num_threads(1);
    for case in json("mixture_1d_w2.json")["cases"].as_array().unwrap() {
        let config = MixtureConfig {
            weights: numbers(&case["w"]),
            means: numbers(&case["m"]).into_iter().map(|m| vec![m]).collect(),
            covariances: numbers(&case["s"]).into_iter().map(|s| vec![vec![s * s]]).collect(),
        };
        let model = ModelConfig::Mixture(config).build(EXACT).unwrap();
        let points = Tensor::linspace(-9.0, 9.0, 501, EXACT);
        let list = |t: &Tensor| Vec::<f64>::try_from(t).unwrap();
        let data = density::data_density(model.as_ref(), &points).unwrap();
        for (name, integrator) in schemes().into_iter().filter(|(name, _)| !name.starts_with("RE")) {
            for (n, expected) in case["W2"][name].as_object().unwrap() {
                let grid = TimeGrid::uniform(case["T"].as_f64().unwrap(), n.parse().unwrap());
                let line = density::propagate(model.as_ref(), integrator.as_ref(), &grid, &points).unwrap();
                let w2 = w2_densities(&list(&points), &list(&data.density), &list(&line.density));
                let ratio = w2 / expected.as_f64().unwrap();
                assert!((ratio - 1.0).abs() < 0.02, "{} {name}, {n} steps: {w2}, not {expected}", case["name"]);
            }
        }
    }
}
