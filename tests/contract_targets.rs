//! What every density promises, checked for each of them.

mod all_targets;

use std::sync::Mutex;

use all_targets::{F32, F64, build, configured, fixture, fixture_path, names, relative_error};
use sampler::targets::{Calls, Counted, Options, Target, TargetConfig};
use sampler::torch::autograd;
use sampler::torch::error::is_bad_input;
use sampler::torch::seed::{Stream, reseed};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

/// Samples come from one generator for the whole process; tests that draw hold this.
static GENERATOR: Mutex<()> = Mutex::new(());

/// `n` rows of fixed, aperiodic numbers in `[-scale, scale]`.
fn waves(n: i64, dim: i64, scale: f64) -> Tensor {
    (Tensor::arange(n * dim, F64) * 7.13 + 1.0).sin().view([n, dim]) * scale
}

/// Points where the density is worth testing, `[N, D]` f64: the reference points where there are any; a loose cubic
/// lattice for the big cluster, whose particles must not overlap; otherwise numbers of order one.
fn points(name: &str, target: &dyn Target) -> Tensor {
    if fixture_path(name).exists() {
        return fixture(name)["x"].narrow(0, 0, 6);
    }
    let dim = target.dim();
    if name.starts_with("lj55") {
        let site = Tensor::arange(dim / 3, F64);
        let axis = |stride: i64| (&site / stride as f64).floor().remainder(4.0) * 1.1;
        let lattice = Tensor::stack(&[axis(1), axis(4), axis(16)], 1).view([1, dim]);
        return lattice + waves(6, dim, 0.06);
    }
    waves(6, dim, 1.5)
}

fn for_each(options: Options, check: impl Fn(&str, Box<dyn Target>, Tensor)) {
    for name in names() {
        let x = points(name, &*build(name, F64));
        check(name, build(name, options), x.to_kind(options.0));
    }
}

#[test]
fn shapes_kinds_and_values_are_sound() {
    for options in [F64, F32] {
        for_each(options, |name, target, x| {
            let (n, dim) = (x.size()[0], target.dim());
            assert_eq!(x.size()[1], dim, "{name}");
            let (log_prob, score) = (target.log_prob(&x), target.score(&x));
            assert_eq!((log_prob.size(), log_prob.kind()), (vec![n], options.0), "{name}: log_prob");
            assert_eq!((score.size(), score.kind()), (vec![n, dim], options.0), "{name}: score");
            let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
            assert!(finite(&log_prob) && finite(&score), "{name}");
            if let Some((particles, space)) = target.particles() {
                assert_eq!(particles * space, dim, "{name}");
            }
        });
    }
}

#[test]
fn rows_do_not_interact() {
    for_each(F64, |name, target, x| {
        let alone = x.narrow(0, 2, 1);
        let log_prob = relative_error(&target.log_prob(&alone), &target.log_prob(&x).narrow(0, 2, 1));
        let score = relative_error(&target.score(&alone), &target.score(&x).narrow(0, 2, 1));
        assert!(log_prob < 1e-12 && score < 1e-12, "{name}: {log_prob:.1e} {score:.1e}");
        assert_eq!(target.log_prob(&x.narrow(0, 0, 0)).size(), [0], "{name}: no rows");
        assert_eq!(target.score(&x.narrow(0, 0, 0)).size(), [0, target.dim()], "{name}: no rows");
    });
}

#[test]
fn score_is_the_gradient_of_log_prob() {
    for_each(F64, |name, target, x| {
        let gradient = autograd::value_and_grad(&x, |x| target.log_prob(x)).1;
        let error = relative_error(&target.score(&x), &gradient);
        assert!(error < 1e-8, "{name}: {error:.1e}");
    });
}

#[test]
fn score_is_the_slope_of_log_prob() {
    for_each(F64, |name, target, x| {
        // Along one direction a row: h^2 of truncation, eps / h of cancellation.
        let h = 1e-5;
        let v = waves(x.size()[0], target.dim(), 1.0);
        let slope = (target.log_prob(&(&x + &v * h)) - target.log_prob(&(&x - &v * h))) / (2.0 * h);
        let inner = (target.score(&x) * &v).sum_dim_intlist(-1, false, None);
        let error = relative_error(&inner.unsqueeze(-1), &slope.unsqueeze(-1));
        assert!(error < 1e-5, "{name}: {error:.1e}");
    });
}

#[test]
fn score_differentiates() {
    for_each(F64, |name, target, x| {
        let h = 1e-5;
        let v = waves(x.size()[0], target.dim(), 1.0);
        let slope = (target.score(&(&x + &v * h)) - target.score(&(&x - &v * h))) / (2.0 * h); // H v

        let tracked = x.detach().set_requires_grad(true);
        let inner = (target.score(&tracked) * &v).sum(Kind::Double);
        let product = autograd::grad(&inner, &[&tracked], false).remove(0); // v^T H, H symmetric
        let error = relative_error(&product, &slope);
        assert!(error < 1e-4, "{name}: {error:.1e}");

        let through_log_prob = autograd::hvp(&x, &v, |x| target.log_prob(x));
        let error = relative_error(&product, &through_log_prob);
        assert!(error < 1e-8, "{name}, by log_prob: {error:.1e}");
    });
}

#[test]
fn f32_follows_f64() {
    for_each(F32, |name, target, x| {
        let exact = build(name, F64);
        let wide = x.to_kind(Kind::Double);
        let log_prob = relative_error(&target.log_prob(&x), &exact.log_prob(&wide));
        let score = relative_error(&target.score(&x), &exact.score(&wide));
        assert!(log_prob < 5e-5 && score < 5e-5, "{name}: log_prob {log_prob:.1e}, score {score:.1e}");
    });
}

/// Far out and with all coordinates equal (particles on top of each other) nothing turns into NaN or infinity in f32.
#[test]
fn f32_stays_finite_far_out() {
    for name in names() {
        let target = build(name, F32);
        let far = waves(8, target.dim(), 100.0);
        let x = Tensor::cat(&[far, Tensor::zeros([1, target.dim()], F64)], 0).to_kind(Kind::Float);
        for (what, value) in [("log_prob", target.log_prob(&x)), ("score", target.score(&x))] {
            assert_eq!(value.isfinite().all().int64_value(&[]), 1, "{name}: {what}");
        }
    }
}

#[test]
fn counting_counts_points_and_changes_nothing() {
    for_each(F64, |name, target, x| {
        let (n, log_z) = (x.size()[0] as u64, target.log_z());
        let (plain, plain_score) = (target.log_prob(&x), target.score(&x));
        let counted = Counted::new(target);
        assert!(counted.log_prob(&x).equal(&plain) && counted.score(&x).equal(&plain_score), "{name}");
        assert!(counted.score(&x).equal(&plain_score), "{name}");
        assert_eq!(counted.calls(), Calls { log_prob: n, score: 2 * n }, "{name}");
        assert_eq!(counted.calls().total(), 3 * n);
        assert_eq!(counted.log_z(), log_z, "{name}");
    });
}

/// Stein's identity `E[f(x) score(x) + grad f(x)] = 0` under exact samples, with `f = 1 / (1 + |score|^2)`, which keeps
/// every term bounded where tails are heavy (Student-t) or scores huge (the neck of the funnel).
#[test]
fn samples_and_score_belong_together() {
    let _guard = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    reseed(3, Stream::Data, 0);
    let mut sampled = 0;
    for name in names() {
        let target = build(name, F64);
        let n = 20_000;
        let Some(x) = target.sample(n) else { continue };
        assert_eq!((x.size(), x.kind()), (vec![n, target.dim()], Kind::Double), "{name}");
        sampled += 1;

        let weight = |x: &Tensor| (target.score(x).square().sum_dim_intlist(-1, false, None) + 1.0).reciprocal();
        let (f, slope) = autograd::value_and_grad(&x, weight);
        let terms = f.unsqueeze(-1) * target.score(&x) + slope; // [N, D]
        let deviations = terms.mean_dim([0].as_slice(), false, None) * (n as f64).sqrt()
            / terms.std_dim([0].as_slice(), true, false);
        let worst = deviations.abs().max().double_value(&[]);
        assert!(worst < 5.0, "{name}: {worst} standard errors from 0");
    }
    assert_eq!(sampled, 11);
}

#[test]
fn samples_repeat_under_a_seed_and_come_in_the_target_kind() {
    let _guard = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for name in names() {
        let target = build(name, F32);
        let draw = || {
            reseed(1, Stream::Data, 5);
            target.sample(300)
        };
        if let (Some(a), Some(b)) = (draw(), draw()) {
            assert!(a.kind() == Kind::Float && a.equal(&b), "{name}");
            assert!(!a.equal(&target.sample(300).unwrap()), "{name}: the same twice");
        }
    }
}

/// Building must not disturb a run's random numbers.
#[test]
fn building_leaves_the_generator_alone() {
    let _guard = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    reseed(1, Stream::Train, 0);
    let untouched = Tensor::randn([4], F64);
    reseed(1, Stream::Train, 0);
    for name in names() {
        build(name, F64).log_z();
    }
    assert!(Tensor::randn([4], F64).equal(&untouched));
}

/// Positions and weights of a quadrature rule, each `[n]`.
type Rule = (Tensor, Tensor);

/// A trapezoidal rule on `scale * sinh(u)`, `|u| <= reach`: fine near 0, wide outside.
fn sinh_rule(n: i64, scale: f64, reach: f64) -> Rule {
    let u = Tensor::linspace(-reach, reach, n, F64);
    (u.sinh() * scale, u.cosh() * (scale * 2.0 * reach / (n - 1) as f64))
}

/// log of the integral of a density on the plane.
fn integral(target: &dyn Target, (x, wx): Rule, (y, wy): Rule) -> f64 {
    let mut total = 0.0;
    for i in 0..x.size()[0] {
        let line = Tensor::stack(&[x.get(i).expand_as(&y), y.shallow_clone()], -1);
        let mass = (target.log_prob(&line).exp() * &wy).sum(Kind::Double);
        total += mass.double_value(&[]) * wx.double_value(&[i]);
    }
    total.ln()
}

#[test]
fn log_z_is_the_log_of_the_integral() {
    let even =
        |n, reach: f64| (Tensor::linspace(-reach, reach, n, F64), Tensor::full([n], 2.0 * reach / (n - 1) as f64, F64));
    let tails = || sinh_rule(3000, 1.0, 15.0);
    let cases: Vec<(Value, Rule, Rule)> = vec![
        (
            json!({"type": "gaussian", "dim": 2, "mean": [1.0, -2.0], "std": [0.7, 2.0]}),
            even(200, 15.0),
            even(200, 15.0),
        ),
        (json!({"type": "funnel", "dim": 2}), even(300, 30.0), sinh_rule(3000, 1e-8, 45.0)),
        (json!({"type": "gmm40", "dim": 2}), even(400, 50.0), even(400, 50.0)),
        (json!({"type": "gmm40", "dim": 2, "variant": "fab"}), even(400, 50.0), even(400, 50.0)),
        (json!({"type": "mog10"}), even(500, 30.0), even(500, 30.0)),
        (json!({"type": "mos10", "dim": 2}), tails(), tails()),
        (json!({"type": "many_well", "dim": 2, "wells": 1, "delta": 3.0}), even(300, 5.0), even(300, 9.0)),
        (json!({"type": "many_well", "dim": 2, "variant": "fab"}), even(300, 5.0), even(300, 9.0)),
    ];
    for (config, x, y) in cases {
        let target = serde_json::from_value::<TargetConfig>(config.clone()).unwrap().build(F64).unwrap();
        let (found, stated) = (integral(&*target, x, y), target.log_z().unwrap());
        assert!((found - stated).abs() < 1e-6, "{config}: integral {found}, log_z {stated}");
    }
}

#[test]
fn modes_add_up_to_the_density_and_samples_reach_them_all() {
    let _guard = GENERATOR.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    reseed(2, Stream::Data, 0);
    let expected = [
        ("gmm40_d2", 40),
        ("gmm40_d50", 40),
        ("gmm40_fab_d2", 40),
        ("mog10_d2", 10),
        ("mos10_d2", 10),
        ("mos10_d50", 10),
        ("mw54_d5", 32),
        ("mw_d50_m5_delta2", 32),
    ];
    for (name, modes) in expected {
        let target = build(name, F64);
        let x = target.sample(4000).unwrap();
        let components = target.mode_log_probs(&x).unwrap();
        assert_eq!(components.size(), [4000, modes], "{name}");

        // Mixtures weigh components equally; the many-well's components are pieces of the density itself.
        let log_weight = if name.starts_with("mw") { 0.0 } else { (modes as f64).ln() };
        let total = components.logsumexp(-1, false) - log_weight;
        assert!(relative_error(&total, &target.log_prob(&x)) < 1e-10, "{name}");
        let counts = components.argmax(-1, false).bincount(None::<&Tensor>, modes);
        assert!(counts.min().int64_value(&[]) > 0, "{name}: {counts:?}");
    }
    assert!(build("funnel_d10", F64).mode_log_probs(&waves(2, 10, 1.0)).is_none());
    assert!(build("manywell32_fab", F64).mode_log_probs(&waves(2, 32, 1.0)).is_none());
}

#[test]
fn particle_energies_see_only_the_shape() {
    for name in ["dw4_d8", "lj13_dem", "lj13_eacf", "lj13_ddsoptim", "lj55_dem"] {
        let target = build(name, F64);
        let (particles, space) = target.particles().unwrap();
        let x = points(name, &*target);
        let positions = x.view([-1, particles, space]);

        let rotation = Tensor::linalg_qr(&waves(space, space, 1.0), "reduced").0;
        let moved = positions.flip([1]).matmul(&rotation) + waves(1, space, 2.0);
        let moved = moved.reshape([-1, particles * space]);
        let error = relative_error(&target.log_prob(&moved), &target.log_prob(&x));
        assert!(error < 1e-9, "{name}: {error:.1e}");
    }
}

#[test]
fn impossible_parameters_are_refused_by_key() {
    let cases = [
        (json!({"type": "gaussian", "dim": 0}), "target.dim"),
        (json!({"type": "gaussian", "dim": 2, "std": [1.0, 0.0]}), "target.std"),
        (json!({"type": "gaussian", "dim": 2, "mean": [1.0]}), "target.mean"),
        (json!({"type": "funnel", "dim": 1}), "target.dim"),
        (json!({"type": "funnel", "dim": 2, "std": -3.0}), "target.std"),
        (json!({"type": "gmm40", "dim": 0}), "target.dim"),
        (json!({"type": "gmm40", "dim": 2, "components": 0}), "target.components"),
        (json!({"type": "mos10", "dim": -1}), "target.dim"),
        (json!({"type": "many_well", "dim": 5}), "target.wells"),
        (json!({"type": "many_well", "dim": 5, "wells": 6, "delta": 1.0}), "target.wells"),
        (json!({"type": "many_well", "dim": 5, "wells": 5, "delta": 0.0}), "target.delta"),
        (json!({"type": "many_well", "dim": 5, "variant": "fab"}), "target.dim"),
        (json!({"type": "many_well", "dim": 4, "variant": "fab", "delta": 1.0}), "target.delta"),
        (json!({"type": "dw4", "particles": 1}), "target.particles"),
        (json!({"type": "lennard_jones", "particles": 1}), "target.particles"),
        (json!({"type": "phi4", "size": 1, "kappa": 0.3, "lambda": 0.022}), "target.size"),
        (json!({"type": "phi4", "size": 8, "kappa": 0.3, "lambda": 0.0}), "target.lambda"),
        (json!({"type": "lgcp", "size": 1}), "target.size"),
        (json!({"type": "sonar", "data": "nowhere/sonar.csv"}), "nowhere/sonar.csv"),
        (json!({"type": "lgcp", "data": "nowhere/pines.csv"}), "nowhere/pines.csv"),
    ];
    for (config, named) in cases {
        let parsed: TargetConfig = serde_json::from_value(config.clone()).unwrap();
        let Err(error) = parsed.build(F64) else { panic!("{config} was built") };
        let text = error.to_string();
        assert!(is_bad_input(&error) && text.contains(named) && !text.contains('\n'), "{config}: {text}");
    }
}

#[test]
fn unknown_keys_and_variants_do_not_parse() {
    for (_, mut config) in configured() {
        config["surplus"] = json!(1);
        assert!(serde_json::from_value::<TargetConfig>(config.clone()).is_err(), "{config}");
    }
    for wrong in [json!({"type": "gmm41", "dim": 2}), json!({"type": "mos10", "dim": 2, "variant": "fab"})] {
        assert!(serde_json::from_value::<TargetConfig>(wrong).is_err());
    }
}
