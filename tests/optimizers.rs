//! Optimisers against PyTorch's trajectories, and their state across a save.

use sampler::torch::optim::{Group, Optimizer, Rule};
use sampler::torch::params::Params;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

struct Problem {
    params: Params,
    x: Tensor,
    y: Tensor,
}

impl Problem {
    fn new() -> Self {
        let params = Params::new(Kind::Double, Device::Cpu);
        let x = params.root().parameter("x", Tensor::from_slice(&[1.0, -2.0, 0.5]));
        let y = params.root().parameter("y", Tensor::from_slice(&[0.3, 4.0]).view([2, 1]));
        Self { params, x, y }
    }

    fn optimizer(&self, rule: Rule, learning_rate: f64) -> Optimizer {
        Optimizer::new(rule, vec![Group { name: "all".into(), learning_rate, params: self.params.named() }])
    }

    fn backward(&self) {
        let curvature = Tensor::from_slice(&[1.0, 10.0, 0.1]);
        let loss = (self.x.square() * curvature).sum(Kind::Double)
            + self.y.sin().sum(Kind::Double) * 3.0
            + (self.x.select(0, 0) * &self.y).sum(Kind::Double);
        loss.backward();
    }

    fn step(&self, optimizer: &mut Optimizer) -> Vec<f64> {
        optimizer.zero_grad();
        self.backward();
        optimizer.step(1.0, None);
        self.values()
    }

    fn values(&self) -> Vec<f64> {
        Vec::try_from(Tensor::cat(&[self.x.detach(), self.y.detach().view([-1])], 0)).unwrap()
    }
}

fn rule(value: Value) -> Rule {
    serde_json::from_value(value).unwrap()
}

#[test]
fn trajectories_are_pytorchs() {
    let text = std::fs::read_to_string("tests/fixtures/optim/trajectories.json").unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let cases = [
        ("adam", json!({"type": "adam"}), 0.05),
        ("adam_decay", json!({"type": "adam", "weight_decay": 0.1}), 0.05),
        ("adamw", json!({"type": "adamw", "weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95}), 0.05),
        ("radam", json!({"type": "radam"}), 0.05),
        ("sgd", json!({"type": "sgd", "momentum": 0.9, "weight_decay": 0.01}), 0.01),
    ];
    for (name, config, rate) in cases {
        let problem = Problem::new();
        let mut optimizer = problem.optimizer(rule(config), rate);
        for (step, expected) in reference[name].as_array().unwrap().iter().enumerate() {
            let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
            for (found, expected) in problem.step(&mut optimizer).iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-9, "{name}, step {step}: {found} against {expected}");
            }
        }
    }
}

#[test]
fn a_restored_optimizer_continues_bit_for_bit() {
    for config in [json!({"type": "radam"}), json!({"type": "sgd", "momentum": 0.9})] {
        let (whole, half) = (Problem::new(), Problem::new());
        let mut uninterrupted = whole.optimizer(rule(config.clone()), 0.01);
        let mut first = half.optimizer(rule(config.clone()), 0.01);
        for _ in 0..7 {
            whole.step(&mut uninterrupted);
            half.step(&mut first);
        }
        let mut second = half.optimizer(rule(config), 0.01);
        second.load_state(&first.state()).unwrap();
        for _ in 0..7 {
            assert_eq!(whole.step(&mut uninterrupted), half.step(&mut second));
        }
    }
}

#[test]
fn non_finite_gradients_change_nothing_and_are_reported() {
    let problem = Problem::new();
    let mut optimizer = problem.optimizer(rule(json!({"type": "adam"})), 0.1);
    problem.step(&mut optimizer);
    let (values, state) = (problem.values(), optimizer.state());
    optimizer.zero_grad();
    (problem.x.sum(Kind::Double) * f64::NAN).backward();
    let report = optimizer.step(1.0, Some(1.0));
    assert!(report.skipped && !report.grad_norm.is_finite());
    assert_eq!(problem.values(), values);
    assert_eq!(optimizer.steps(), 1);
    for ((_, before), (_, after)) in state.iter().zip(optimizer.state()) {
        assert!(before.equal(&after));
    }
}

#[test]
fn groups_are_clipped_apart_and_rates_are_theirs() {
    let problem = Problem::new();
    let named = problem.params.named();
    let group = |i: usize, learning_rate| Group {
        name: named[i].0.clone(),
        learning_rate,
        params: vec![(named[i].0.clone(), named[i].1.shallow_clone())],
    };
    let mut optimizer = Optimizer::new(rule(json!({"type": "sgd"})), vec![group(0, 1.0), group(1, 0.5)]);
    let before = problem.values();
    problem.backward();
    optimizer.step(1.0, Some(1e-3));
    let moved: Vec<f64> = problem.values().iter().zip(&before).map(|(a, b)| a - b).collect();
    let norm = |v: &[f64]| v.iter().map(|d| d * d).sum::<f64>().sqrt();
    assert!((norm(&moved[..3]) - 1e-3).abs() < 1e-12 && (norm(&moved[3..]) - 0.5e-3).abs() < 1e-12);
}

#[test]
fn state_of_another_shape_is_refused_by_name() {
    let problem = Problem::new();
    let mut optimizer = problem.optimizer(rule(json!({"type": "adam"})), 0.1);
    let mut state = optimizer.state();
    let wrong = state.iter_mut().find(|(name, _)| name == "v.x").unwrap();
    wrong.1 = Tensor::zeros([4], (Kind::Double, Device::Cpu));
    let error = optimizer.load_state(&state).unwrap_err().to_string();
    assert!(error.contains("v.x") && error.contains("[4]") && error.contains("[3]"), "{error}");
    state.retain(|(name, _)| name != "m.y");
    state.iter_mut().find(|(name, _)| name == "v.x").unwrap().1 = Tensor::zeros([3], (Kind::Double, Device::Cpu));
    let error = optimizer.load_state(&state).unwrap_err().to_string();
    assert!(error.contains("m.y") && error.contains("missing"), "{error}");
}
