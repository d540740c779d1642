//! One contract for every diffusion sampler: exact at its optimum, unbiased away from it, the same in f32 and f64, and
//! restorable.

mod common;

use common::{Quartic, max_difference, simulate, simulate_back};
use sampler::nets::{Control, NetConfig};
use sampler::samplers::diffusion::{Controls, DiffusionSampler, ProcessConfig};
use sampler::samplers::path::{Path, Tables};
use sampler::samplers::rollout::Keep;
use sampler::targets::Target;
use sampler::targets::gaussian::{Gaussian, GaussianConfig};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn samplers() -> Vec<Value> {
    vec![
        json!({"type": "pis", "noise": 4.0}),
        json!({"type": "dds"}),
        json!({"type": "dis", "noise": 1.0}),
        json!({"type": "dis", "rnd": "continuous"}),
        json!({"type": "dis", "form": "udb", "noise": 0.1}),
        json!({"type": "cmcd", "noise": 0.2}),
        json!({"type": "cmcd", "form": "udb", "noise": 0.05}),
        json!({"type": "cmcd", "form": "beyond_elbos", "noise": 2.0}),
        json!({"type": "dbs", "noise": 0.2}),
        json!({"type": "dbs", "form": "udb", "noise": 0.05}),
        json!({"type": "dbs", "form": "beyond_elbos", "noise": 1.0}),
    ]
}

fn build(process: &Value, num_steps: i64, dim: i64, kind: Kind) -> DiffusionSampler {
    let mut process = process.clone();
    process["num_steps"] = json!(num_steps);
    let process: ProcessConfig = serde_json::from_value(process).unwrap();
    let net: NetConfig = serde_json::from_value(json!({"type": "pis_grad", "hidden": 8})).unwrap();
    tch::manual_seed(17);
    DiffusionSampler::new(&process, &net, dim, kind, Device::Cpu).unwrap()
}

fn gaussian(config: Value) -> Gaussian {
    Gaussian::new(&serde_json::from_value::<GaussianConfig>(config).unwrap(), F64).unwrap()
}

/// Mean of the importance weights and its standard error.
fn weights(path: &Path) -> (f64, f64) {
    let w = (-path.log_rnd()).exp();
    let n = w.size()[0] as f64;
    (w.mean(Kind::Double).double_value(&[]), w.std(true).double_value(&[]) / n.sqrt())
}

#[test]
fn shapes_kinds_and_finiteness() {
    for process in samplers() {
        for kind in [Kind::Float, Kind::Double] {
            let sampler = build(&process, 6, 2, kind);
            let path = simulate(&sampler, &Quartic, 5, Keep::States);
            assert_eq!(path.states.size(), [7, 5, 2]);
            assert_eq!((path.states.kind(), path.end().size()), (kind, vec![5, 2]));
            let log_rnd = path.log_rnd();
            assert_eq!((log_rnd.size(), log_rnd.kind()), (vec![5], Kind::Double));
            assert!(bool::try_from(log_rnd.isfinite().all()).unwrap(), "{process}");
            let back = simulate_back(&sampler, &Quartic, &path.end());
            assert!(bool::try_from(back.log_rnd().isfinite().all()).unwrap(), "{process} backwards");
        }
    }
}

/// With no control, PIS and DDS *are* their reference processes: if that ends in the target, log_rnd is zero on every
/// path, forwards and backwards, at any number of steps.
#[test]
fn uncontrolled_references_that_end_in_the_target_have_zero_log_rnd() {
    for process in [json!({"type": "pis", "noise": 4.0}), json!({"type": "dds", "prior_std": 1.5})] {
        let mut sampler = build(&process, 9, 3, Kind::Double);
        sampler.controls = Controls::Shared(Box::new(Linear { rows: 10, slope: 0.0, shift: vec![0.0; 10] }));
        let tables = Tables::new(&sampler);
        let std = match tables.record.log_terminal(&Tensor::zeros([1, 3], F64)) {
            Some(at_mode) => ((-at_mode.double_value(&[0]) / 3.0).exp()) / (2.0 * std::f64::consts::PI).sqrt(),
            None => 1.5,
        };
        let target = gaussian(json!({"dim": 3, "std": std}));
        let path = simulate(&sampler, &target, 50, Keep::Ends);
        let worst = path.log_rnd().abs().max().double_value(&[]);
        assert!(worst < 1e-10, "{process}: |log_rnd| reaches {worst:e}");
        let back = simulate_back(&sampler, &target, &target.sample(50).unwrap());
        let worst = back.log_rnd().abs().max().double_value(&[]);
        assert!(worst < 1e-10, "{process} backwards: |log_rnd| reaches {worst:e}");
    }
}

/// A control affine in the state, known in closed form.
struct Linear {
    rows: i64,
    slope: f64,
    shift: Vec<f64>,
}

impl Control for Linear {
    fn time_tables(&self) -> Vec<Tensor> {
        vec![Tensor::from_slice(&self.shift).view([self.rows, 1, 1])]
    }

    fn guided(&self) -> bool {
        false
    }

    fn control(&self, rows: &[Tensor], x: &Tensor, _guide: Option<&Tensor>) -> Tensor {
        x * self.slope + &rows[0]
    }
}

/// DBS carries N(0, v) to N(m, v) exactly in discrete time: an autoregressive chain with `a² v + σ² = v` whose mean
/// moves by the control's shift; its reversal is `N(μ_k + a (x' - μ_{k+1}), σ²)`. At these controls log_rnd = -log Z.
#[test]
fn dbs_at_the_optimal_controls_has_the_exact_log_z_on_every_path() {
    let (steps, mean) = (12usize, 2.0f64);
    let mut sampler = build(&json!({"type": "dbs", "noise": 0.399, "prior_std": 1.0}), steps as i64, 2, Kind::Double);
    let variance = 0.4f64.powi(2);
    let a = (1.0 - variance).sqrt();
    let mu = |k: usize| mean * k as f64 / steps as f64;
    let at = |k: usize| mu(k.min(steps));
    // Forward mean a x + (μ_{k+1} - a μ_k) = x + σ² u; backward mean a x' + (μ_{k-1} - a μ_k) = x' - σ² u'.
    let forward: Vec<f64> = (0..=steps).map(|k| (at(k + 1) - a * at(k)) / variance).collect();
    let backward: Vec<f64> = (0..=steps).map(|k| -(at(k.saturating_sub(1)) - a * at(k)) / variance).collect();
    let rows = steps as i64 + 1;
    sampler.controls = Controls::Separate {
        forward: Box::new(Linear { rows, slope: (a - 1.0) / variance, shift: forward }),
        backward: Box::new(Linear { rows, slope: (1.0 - a) / variance, shift: backward }),
    };
    let target = gaussian(json!({"dim": 2, "mean": mean, "std": 1.0}));
    let path = simulate(&sampler, &target, 200, Keep::Ends);
    let worst = path.log_rnd().abs().max().double_value(&[]);
    assert!(worst < 1e-9, "|log_rnd| reaches {worst:e}");
    let back = simulate_back(&sampler, &target, &target.sample(200).unwrap());
    assert!(back.log_rnd().abs().max().double_value(&[]) < 1e-9);
}

/// Whatever the control, `E_q[exp(-log_rnd)] = Z` and, backwards from exact samples, `E_p[exp(log_rnd)] = 1/Z`.
#[test]
fn importance_weights_are_unbiased_in_both_directions() {
    for process in samplers().into_iter().filter(|p| p.get("rnd").is_none()) {
        let sampler = build(&process, 16, 1, Kind::Double);
        {
            let _guard = tch::no_grad_guard();
            for (_, p) in sampler.params.under("net") {
                let mut p = p.detach();
                p += p.randn_like() * 0.05;
            }
        }
        let target = gaussian(json!({"dim": 1, "mean": 0.3, "std": 0.8}));
        let (mean, error) = weights(&simulate(&sampler, &target, 40_000, Keep::Ends));
        assert!((mean - 1.0).abs() < 5.0 * error + 1e-9, "{process}: mean weight {mean} ± {error}");
        let back = simulate_back(&sampler, &target, &target.sample(40_000).unwrap());
        let inverse = back.log_rnd().exp();
        let mean = inverse.mean(Kind::Double).double_value(&[]);
        let error = inverse.std(true).double_value(&[]) / 200.0;
        assert!((mean - 1.0).abs() < 5.0 * error + 1e-9, "{process}: mean inverse weight {mean} ± {error}");
    }
}

/// The continuous-time sum is biased at finite steps, and less so the more steps there are: order one.
#[test]
fn the_continuous_rnd_converges_to_the_discrete_one() {
    let target = gaussian(json!({"dim": 1, "mean": 0.3, "std": 0.8}));
    let gap = |steps: i64| {
        let mean = |rnd: &str| {
            let sampler = build(&json!({"type": "dis", "rnd": rnd}), steps, 1, Kind::Double);
            tch::manual_seed(4);
            simulate(&sampler, &target, 20_000, Keep::Ends).log_rnd()
        };
        (mean("kernels") - mean("continuous")).mean(Kind::Double).double_value(&[]).abs()
    };
    let (coarse, fine) = (gap(32), gap(128));
    assert!(coarse > 1e-4, "no bias to speak of: {coarse:e}");
    assert!(fine < coarse / 2.5, "four times the steps took the gap from {coarse:e} to {fine:e}");
}

#[test]
fn parameters_carried_over_give_identical_paths() {
    for process in samplers() {
        let original = build(&process, 6, 2, Kind::Float);
        let copy = build(&process, 6, 2, Kind::Float);
        let _guard = tch::no_grad_guard();
        for ((_, a), (_, b)) in original.params.named().iter().zip(copy.params.named()) {
            let mut a = a.detach();
            a += a.randn_like() * 0.1;
            b.detach().copy_(&a);
        }
        let end = |sampler: &DiffusionSampler| {
            tch::manual_seed(2);
            simulate(sampler, &Quartic, 8, Keep::Ends).end()
        };
        assert_eq!(max_difference(&end(&original), &end(&copy)), 0.0, "{process}");
    }
}

/// All 39,316 parameters at d = 10 are used: each gets a gradient.
#[test]
fn the_published_parameter_count_is_met_and_nothing_is_idle() {
    let process: ProcessConfig = serde_json::from_value(json!({"type": "cmcd", "num_steps": 4})).unwrap();
    let net: NetConfig = serde_json::from_value(json!({"type": "pis_grad"})).unwrap();
    let sampler = DiffusionSampler::new(&process, &net, 10, Kind::Double, Device::Cpu).unwrap();
    let of_the_net: i64 = sampler.params.under("net").iter().map(|(_, p)| p.numel() as i64).sum();
    assert_eq!(of_the_net, 39_316);
    let target = gaussian(json!({"dim": 10, "mean": 1.0}));
    let path = simulate(&sampler, &target, 16, Keep::States);
    let weights = sampler::losses::log_variance::log_variance(&path.log_rnd(), 1.0);
    sampler::samplers::gradient::along_detached(Tables::new(&sampler), &path, &weights, None, 64);
    for (name, p) in sampler.params.named() {
        assert!(p.grad().defined(), "{name} gets no gradient");
    }
}
