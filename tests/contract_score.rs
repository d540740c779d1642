//! What every score model and every integrator promises.

use std::sync::atomic::{AtomicU64, Ordering};

use sampler::samplers::score::config::DdimConfig;
use sampler::samplers::score::local_linearization::{LocalLinearizationConfig, RouteName};
use sampler::samplers::score::models::{Linearization, at};
use sampler::samplers::score::moments::{noised_law, propagate};
use sampler::samplers::score::{Draws, Integrator, IntegratorConfig, ModelConfig, ScoreModel, State, Step, StepCost};
use sampler::samplers::score::{TimeGrid, models::GaussianConfig, models::GaussianScore};
use sampler::targets::Broadcast;
use sampler::torch::autograd;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::score::order::fit;
use sampler::{metrics::bures::w2_gaussians, samplers::score::simulate};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const EXACT: (Kind, Device) = (Kind::Double, Device::Cpu);

fn integrators() -> Vec<IntegratorConfig> {
    let mut all = IntegratorConfig::all();
    let series = |terms| LocalLinearizationConfig { route: RouteName::Series, terms };
    all.extend([1, 2, 7].map(|terms| IntegratorConfig::LocalLinearization(series(terms))));
    all.push(IntegratorConfig::Ddim(DdimConfig { eta: 0.5 }));
    all
}

fn models() -> Vec<(&'static str, Box<dyn ScoreModel>)> {
    let configs = [
        ("gaussian", json!({"type": "gaussian", "mean": [1.0, -0.5], "variance": [0.3, 2.0]})),
        (
            "mixture",
            json!({"type": "mixture", "weights": [1.0, 3.0], "means": [[0.0, 1.0], [-1.0, 0.3]],
                   "covariances": [[[0.5, 0.2], [0.2, 0.4]], [[1.2, -0.3], [-0.3, 0.2]]]}),
        ),
        ("logistic", json!({"type": "logistic", "lambda": 4.0, "dim": 2, "feature_std": 2.0, "score_samples": 50})),
    ];
    let build = |config| serde_json::from_value::<ModelConfig>(config).unwrap().build(EXACT).unwrap();
    configs.into_iter().map(|(name, config)| (name, build(config))).collect()
}

fn largest(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
}

#[test]
fn models_agree_with_their_own_derivatives() {
    tch::set_num_threads(1);
    for (name, model) in models() {
        reseed(0, Stream::Data, 7);
        let (x, v) = (Tensor::randn([6, 2], EXACT), Tensor::randn([6, 2], EXACT));
        for t in [0.05, 0.7, 4.0] {
            let time = at(t, &x);
            let log_prob = |x: &Tensor| model.log_prob(&time, x).unwrap();
            let score = model.score(&time, &x);
            assert!(largest(&score, &autograd::value_and_grad(&x, log_prob).1) < 1e-9, "{name}: score at {t}");
            assert!(largest(&score, &model.linearize(&time, &x).score) < 1e-12, "{name}: linearize at {t}");

            let product = model.hvp(&time, &x, &v);
            assert!(largest(&product, &autograd::hvp(&x, &v, log_prob)) < 1e-7, "{name}: hvp at {t}");
            let hessian = model.hessian(&time, &x);
            assert!(largest(&product, &hessian.matmul(&v.unsqueeze(-1)).squeeze_dim(-1)) < 1e-8, "{name}: at {t}");
        }
    }
}

/// Default methods, as a network would have them, and times that differ from row to row.
#[test]
fn defaults_differentiate_the_score_and_times_go_by_row() {
    struct Plain(Box<dyn ScoreModel>);
    impl ScoreModel for Plain {
        fn dim(&self) -> i64 {
            self.0.dim()
        }
        fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
            self.0.score(t, x)
        }
    }
    for (name, model) in models() {
        reseed(0, Stream::Data, 8);
        let x = Tensor::randn([3, 2], EXACT);
        let time = Tensor::from_slice(&[0.2, 1.0, 3.0]).unsqueeze(-1);
        let (score, hessian) = (model.score(&time, &x), model.hessian(&time, &x));
        let plain = Plain(model);
        assert!(largest(&hessian, &plain.hessian(&time, &x)) < 1e-9, "{name}");
        for i in 0..3 {
            let row = x.narrow(0, i, 1);
            let alone = plain.score(&at(time.double_value(&[i, 0]), &row), &row);
            assert!(largest(&score.narrow(0, i, 1), &alone) < 1e-12, "{name}, row {i}");
        }
    }
}

/// Counts what is asked of it.
struct Counting {
    model: Box<dyn ScoreModel>,
    score: AtomicU64,
    hvp: AtomicU64,
    hessian: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl ScoreModel for Counting {
    fn dim(&self) -> i64 {
        self.model.dim()
    }
    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
        count(&self.score);
        self.model.score(t, x)
    }
    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        count(&self.score);
        let linear = self.model.linearize(t, x);
        let product = move |v: &Tensor| {
            count(&self.hvp);
            (linear.product)(v)
        };
        Linearization { score: linear.score, product: Box::new(product) }
    }
    fn hessian(&self, t: &Tensor, x: &Tensor) -> Tensor {
        count(&self.hessian);
        self.model.hessian(t, x)
    }
}

/// A step at two particles, with numbers only where the integrator says that it reads them.
fn one_step(integrator: &dyn Integrator, model: &dyn ScoreModel, kind: Kind, xi: f64) -> Tensor {
    let nothing = || Tensor::full([2, 2], f64::NAN, (kind, Device::Cpu));
    let filled = |value: f64| Tensor::full([2, 2], value, (kind, Device::Cpu));
    let randomness = integrator.randomness();
    let draws = Draws {
        xi: if randomness.normals > 0 { filled(xi) } else { nothing() },
        extra: if randomness.normals > 1 { filled(-0.4) } else { nothing() },
        u: if randomness.uniform { filled(0.3).narrow(1, 0, 1) } else { nothing() },
    };
    let x = Tensor::from_slice(&[0.3, -1.0, 2.0, 0.1]).view([2, 2]).to_kind(kind);
    integrator.step(model, Step { from: 1.1, to: 0.9 }, State::new(x), &draws).x
}

#[test]
fn integrators_keep_their_declarations() {
    tch::set_num_threads(1);
    for config in integrators() {
        let (name, integrator) = (config.name(), config.build());
        let [score, hvp, hessian] = [0; 3].map(AtomicU64::new);
        let model = Counting { model: models().remove(1).1, score, hvp, hessian };
        let x = one_step(integrator.as_ref(), &model, Kind::Double, 0.7);
        let counted = StepCost {
            score_calls: model.score.load(Ordering::Relaxed),
            hvp_calls: model.hvp.load(Ordering::Relaxed),
            hessian_calls: model.hessian.load(Ordering::Relaxed),
        };
        assert_eq!(counted, integrator.cost(), "{name}");
        assert!(x.isfinite().all().int64_value(&[]) == 1 && x.size() == [2, 2] && x.kind() == Kind::Double, "{name}");

        assert!(x.equal(&one_step(integrator.as_ref(), &model, Kind::Double, 0.7)), "{name}");
        let other = one_step(integrator.as_ref(), &model, Kind::Double, -0.7);
        assert_eq!(x.equal(&other), integrator.randomness().normals == 0, "{name}");
    }
}

#[test]
fn integrators_work_in_single_precision() {
    let config = GaussianConfig { dim: Some(2), mean: Broadcast::Scalar(0.5), variance: Broadcast::Scalar(0.4) };
    let single = GaussianScore::new(&config, (Kind::Float, Device::Cpu)).unwrap();
    let double = GaussianScore::new(&config, EXACT).unwrap();
    for config in integrators() {
        let integrator = config.build();
        let x = one_step(integrator.as_ref(), &single, Kind::Float, 0.7);
        assert_eq!(x.kind(), Kind::Float, "{}", config.name());
        let exact = one_step(integrator.as_ref(), &double, Kind::Double, 0.7);
        assert!(largest(&x.to_kind(Kind::Double), &exact) < 1e-5, "{}", config.name());
    }
}

/// The order that each integrator declares, from the exact law of a Gaussian with a mean. The end lies above t = 0,
/// where the noise level of the flow's solvers has no singular derivative.
#[test]
fn orders_of_convergence_are_as_declared() {
    tch::set_num_threads(1);
    let (horizon, end) = (3.0, 0.2);
    let config = GaussianConfig {
        dim: None,
        mean: Broadcast::Vector(vec![1.0, -0.5]),
        variance: Broadcast::Vector(vec![0.6, 1.5]),
    };
    let model = GaussianScore::new(&config, EXACT).unwrap();
    let goal = noised_law(&model, end);
    for config in integrators() {
        let integrator = config.build();
        let steps: [usize; 6] = [20, 40, 80, 160, 320, 640];
        let errors = steps.map(|n| {
            let grid = TimeGrid::between(horizon, end, n);
            let law = propagate(&model, integrator.as_ref(), &grid, noised_law(&model, horizon));
            w2_gaussians(&law.mean, &law.covariance, &goal.mean, &goal.covariance.diagonal(0, 0, 1))
        });
        let slope = fit(&steps.map(|n| (horizon - end) / n as f64), &errors, 4).unwrap();
        let order = f64::from(integrator.order());
        println!("{}: {slope:?} {errors:?}", config.name());
        assert!((slope.value - order).abs() < 0.1, "{}: {slope:?}, declared {order}", config.name());
        assert!(slope.high - slope.low < 0.3, "{}: {slope:?}", config.name());
    }
}

/// Without a mixture over U the simulated law has the propagated moments.
#[test]
fn simulated_moments_are_the_propagated_ones() {
    tch::set_num_threads(1);
    let config =
        GaussianConfig { dim: None, mean: Broadcast::Vector(vec![1.0]), variance: Broadcast::Vector(vec![0.25]) };
    let model = GaussianScore::new(&config, EXACT).unwrap();
    let (grid, n) = (TimeGrid::uniform(6.0, 12), 40_000);
    for config in integrators() {
        let integrator = config.build();
        let start = sampler::samplers::score::moments::prior_law(&model, 6.0);
        let law = propagate(&model, integrator.as_ref(), &grid, start);
        let x = simulate(&model, integrator.as_ref(), &grid, n, 5, EXACT);
        let (mean, variance) = (law.mean.double_value(&[0]), law.covariance.double_value(&[0, 0]));
        let found_mean = x.mean(None).double_value(&[]);
        let found_variance = x.var(true).double_value(&[]);
        let error = (variance / n as f64).sqrt();
        assert!((found_mean - mean).abs() < 5.0 * error, "{}: {found_mean} {mean}", config.name());
        // Heavier tails than a Gaussian's (the shared U) are allowed for.
        assert!((found_variance / variance - 1.0).abs() < 0.06, "{}: {found_variance} {variance}", config.name());
    }
}
