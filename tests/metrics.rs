//! Metrics against other implementations' numbers and against what must hold exactly.

use sampler::metrics::energy::{energy_distance, wasserstein_1d};
use sampler::metrics::mmd::{MmdKernel, mmd};
use sampler::metrics::sinkhorn::{Convention, EpsilonUnit, SinkhornConfig, Transport, sinkhorn};
use sampler::targets::Target;
use serde::Deserialize;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Case {
    name: String,
    x: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    ott: Vec<OttValue>,
    optimum: Vec<OttValue>,
    biased_p2: f64,
    w2_exact: Option<f64>,
    mmd_median_gaussian: f64,
    mmd_ten_gaussians: f64,
    w1_first_coordinate: f64,
}

#[derive(Deserialize)]
struct OttValue {
    epsilon: f64,
    value: f64,
    converged: Option<bool>,
    iterations: Option<usize>,
}

impl Case {
    fn all() -> Vec<Case> {
        serde_json::from_str(include_str!("fixtures/metrics/transport.json")).expect("the fixture is valid")
    }

    fn sets(&self) -> (Tensor, Tensor) {
        (Tensor::from_slice2(&self.x), Tensor::from_slice2(&self.y))
    }
}

fn with(convention: Convention, epsilon: f64) -> SinkhornConfig {
    SinkhornConfig { convention, epsilon, ..SinkhornConfig::default() }
}

fn distance(x: &Tensor, y: &Tensor, config: &SinkhornConfig) -> Transport {
    sinkhorn(x, y, config).expect("valid sets and config")
}

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    let allowed = relative * expected.abs().max(1.0);
    assert!((found - expected).abs() <= allowed, "{what}: found {found}, expected {expected} ± {allowed}");
}

/// A fixed cloud: reproducible numbers with no generator.
fn cloud(n: i64, d: i64, phase: f64) -> Tensor {
    let index = Tensor::arange(n * d, (Kind::Double, tch::Device::Cpu));
    ((index * 12.9898 + phase).sin() * 43758.5453).frac().view([n, d]) * 3.0
}

#[test]
fn ott_jax_is_reproduced_converged_or_not() {
    for case in Case::all() {
        let (x, y) = case.sets();
        for ott in &case.ott {
            let found = distance(&x, &y, &with(Convention::OttDebiased, ott.epsilon));
            let what = format!("{} at ε = {}", case.name, ott.epsilon);
            close(found.value, ott.value, 1e-9, &what);
            assert_eq!(Some(found.converged), ott.converged, "{what}");
            assert_eq!(Some(found.iterations), ott.iterations, "{what}");
        }
    }
}

#[test]
fn relative_epsilon_is_that_of_ott_jax() {
    for case in Case::all() {
        let (x, y) = case.sets();
        for (unit, ott) in [(EpsilonUnit::CostStd, &case.ott[1]), (EpsilonUnit::CostMean, &case.ott[2])] {
            let config = SinkhornConfig { epsilon_unit: unit, ..with(Convention::OttDebiased, 0.05) };
            let found = distance(&x, &y, &config);
            close(found.epsilon, ott.epsilon, 1e-12, &case.name);
            close(found.value, ott.value, 1e-9, &case.name);
        }
    }
}

#[test]
fn the_optimum_is_reached_from_a_good_start() {
    for case in Case::all() {
        let (x, y) = case.sets();
        for optimum in &case.optimum {
            let tight = with(Convention::ConvergedDebiased, optimum.epsilon);
            let found = distance(&x, &y, &SinkhornConfig { threshold: Some(1e-9), ..tight });
            assert!(found.converged, "{}: {found:?}", case.name);
            close(found.value, optimum.value, 1e-8, &case.name);
        }
    }
}

#[test]
fn other_conventions_match_their_references() {
    for case in Case::all() {
        let (x, y) = case.sets();
        close(distance(&x, &y, &with(Convention::BiasedP2, 1e-3)).value, case.biased_p2, 1e-8, &case.name);
        if let Some(w2) = case.w2_exact {
            close(distance(&x, &y, &SinkhornConfig::with(Convention::W2Exact)).value, w2, 1e-10, &case.name);
        }
        for (kernel, expected) in
            [(MmdKernel::MedianGaussian, case.mmd_median_gaussian), (MmdKernel::TenGaussians, case.mmd_ten_gaussians)]
        {
            close(mmd(&x, &y, kernel).expect("valid sets"), expected, 1e-9, &case.name);
        }
        let first = |set: &[Vec<f64>]| set.iter().map(|row| row[0]).collect::<Vec<_>>();
        close(wasserstein_1d(&first(&case.x), &first(&case.y), 1), case.w1_first_coordinate, 1e-12, &case.name);
    }
}

#[test]
fn equal_sets_are_at_distance_zero() {
    let x = cloud(150, 4, 0.0);
    let permuted = x.flip([0]);
    for convention in [Convention::OttDebiased, Convention::ConvergedDebiased, Convention::W2Exact] {
        for epsilon in [1e-3, 1.0] {
            let tight = SinkhornConfig { threshold: Some(1e-9), ..with(convention, epsilon) };
            let found = distance(&x, &permuted, &tight);
            assert!(found.converged && found.value.abs() < 1e-7, "{convention:?} at {epsilon}: {found:?}");
        }
    }
}

#[test]
fn a_translated_cloud_is_at_the_length_of_the_shift() {
    let x = cloud(200, 3, 0.0);
    let y = x.flip([0]) + Tensor::from_slice(&[3.0, -4.0, 12.0]); // |shift|² = 169
    close(distance(&x, &y, &SinkhornConfig::with(Convention::W2Exact)).value, 13.0, 1e-12, "W2");
    close(distance(&x, &y, &with(Convention::ConvergedDebiased, 1e-3)).value, 169.0, 1e-4, "small ε");
    // Debiasing makes the shift exact at any ε (Feydy et al. 2019: translations add |shift|² to the cross term only).
    let smooth = SinkhornConfig { threshold: Some(1e-10), ..with(Convention::ConvergedDebiased, 2.0) };
    close(distance(&x, &y, &smooth).value, 169.0, 1e-6, "large ε");
}

#[test]
fn the_divergence_is_symmetric_and_near_the_exact_distance() {
    let (x, y) = (cloud(250, 5, 0.0), cloud(250, 5, 100.0) * 1.3);
    let exact = distance(&x, &y, &SinkhornConfig::with(Convention::W2Exact)).value.powi(2);
    for epsilon in [1e-4, 1e-3, 1e-2] {
        let (there, back) = (
            distance(&x, &y, &with(Convention::ConvergedDebiased, epsilon)),
            distance(&y, &x, &with(Convention::ConvergedDebiased, epsilon)),
        );
        assert!(there.converged && back.converged, "{there:?} {back:?}");
        close(there.value, back.value, 1e-4, "symmetry");
        let bound = epsilon * 250.0_f64.ln();
        assert!((there.value - exact).abs() < bound, "{} against {exact} ± {bound}", there.value);
    }
}

#[test]
fn sets_of_two_sizes_anneal_to_the_exact_distance() {
    // Every point twice: the same measure as once, so W2 is that of the 80-point sets.
    let (x, y) = (cloud(80, 3, 0.0), cloud(80, 3, 50.0) + 0.7);
    let exact = distance(&x, &y, &SinkhornConfig::with(Convention::W2Exact)).value.powi(2);
    let doubled = Tensor::cat(&[&y, &y], 0);
    let found = distance(&x, &doubled, &with(Convention::ConvergedDebiased, 1e-3));
    assert!(found.converged, "{found:?}");
    assert!((found.value - exact).abs() < 1e-3 * 160.0_f64.ln(), "{found:?} against {exact}");
    assert!(sinkhorn(&x, &doubled, &SinkhornConfig::with(Convention::W2Exact)).is_err());
}

#[test]
fn an_unfinished_solution_says_so() {
    let (x, y) = (cloud(100, 8, 0.0) * 20.0, cloud(100, 8, 9.0) * 20.0);
    let few = SinkhornConfig { max_iterations: Some(20), ..SinkhornConfig::default() };
    let found = distance(&x, &y, &few);
    assert!(!found.converged && found.iterations == 20 && found.marginal_error > 1e-3, "{found:?}");
    let done = distance(&x, &y, &with(Convention::ConvergedDebiased, 1e-3));
    assert!(done.converged && done.value > found.value, "the dual only rises: {found:?} {done:?}");
}

#[test]
fn undefined_points_give_nan_and_impossible_configs_an_error() {
    let x = cloud(10, 2, 0.0);
    let broken = x.copy();
    let _ = broken.get(3).fill_(f64::NAN);
    let found = distance(&broken, &x, &SinkhornConfig::default());
    assert!(found.value.is_nan() && !found.converged);
    assert!(mmd(&x, &broken, MmdKernel::default()).expect("valid shapes").is_nan());

    let message = sinkhorn(&x, &x, &with(Convention::OttDebiased, -1.0)).expect_err("negative ε").to_string();
    assert!(message.contains("sinkhorn.epsilon") && message.contains("-1"), "{message}");
    assert!(sinkhorn(&x, &cloud(10, 3, 0.0), &SinkhornConfig::default()).is_err());
}

#[test]
fn any_float_kind_will_do_and_no_gradient_is_tracked() {
    let (x, y) = (cloud(40, 2, 0.0), cloud(40, 2, 3.0));
    let config = with(Convention::OttDebiased, 0.5);
    let double = distance(&x, &y, &config).value;
    let single = x.to_kind(Kind::Float).set_requires_grad(true);
    close(distance(&single, &y.to_kind(Kind::Float), &config).value, double, 1e-5, "f32 input");
    let median = |x: &Tensor| mmd(x, &y, MmdKernel::MedianGaussian).expect("valid sets");
    close(median(&single), median(&x), 1e-5, "f32 input");
    assert!(!single.grad().defined());
}

#[test]
fn mmd_tells_sets_apart_and_counts_blocks_right() {
    let (x, y) = (cloud(1700, 2, 0.0), cloud(1700, 2, 1.0));
    let (same, moved) = (
        mmd(&x, &y, MmdKernel::MedianGaussian).expect("valid sets"),
        mmd(&x, &(&y + 1.0), MmdKernel::MedianGaussian).expect("valid sets"),
    );
    assert!(same < 0.05 && moved > 0.2, "same {same}, moved {moved}");

    // 3400 pooled points need three blocks; the whole matrix at once gives the same number.
    let z = Tensor::cat(&[&x, &y], 0);
    let distances = Tensor::cdist(&z, &z, 2.0, None::<i64>);
    let pairs = distances.masked_select(&distances.ones_like().triu(0).to_kind(Kind::Bool));
    let median = pairs.quantile_scalar(0.5, None, false, "linear").double_value(&[]);
    assert!(pairs.size()[0] > 4 << 20, "one block would hold all pairs");
    let kernel = (distances.square() / (-2.0 * median * median)).exp();
    let block = |i: i64, j: i64| -> f64 {
        kernel.narrow(0, i * 1700, 1700).narrow(1, j * 1700, 1700).sum(Kind::Double).double_value(&[])
    };
    let n = 1700.0;
    let whole: f64 = (block(0, 0) + block(1, 1)) / (n * (n - 1.0)) - 2.0 * block(0, 1) / (n * n);
    close(same, whole.sqrt(), 1e-9, "blockwise MMD");
}

/// A standard normal, to have energies to compare.
struct Normal;

impl Target for Normal {
    fn dim(&self) -> i64 {
        3
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        -0.5 * x.square().sum_dim_intlist([1i64].as_slice(), false, x.kind())
    }
}

#[test]
fn energies_of_scaled_points_scale() {
    let y = cloud(500, 3, 0.0) - 1.5;
    let found = energy_distance(&Normal, &(&y * 2.0), &y).expect("finite energies");
    let energies: Vec<f64> = Vec::try_from(-Normal.log_prob(&y)).expect("one energy a point");
    // E doubles fourfold, monotonically, so each quantile moves by 3 E.
    let mean = energies.iter().sum::<f64>() / 500.0;
    let mean_square = energies.iter().map(|e| e * e).sum::<f64>() / 500.0;
    close(found.w1, 3.0 * mean, 1e-12, "W1");
    close(found.w2, 3.0 * mean_square.sqrt(), 1e-12, "W2");
    close(found.mean, 4.0 * found.reference_mean, 1e-12, "means");
}
