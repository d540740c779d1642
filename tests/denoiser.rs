//! What every denoiser promises: EDM's preconditioning, and derivatives of every order that samplers take.

use sampler::nets::denoiser::{BodyConfig, MlpConfig, UnetConfig};
use sampler::nets::{Denoiser, DenoiserConfig};
use sampler::samplers::score::ScoreModel;
use sampler::samplers::score::models::LearnedScore;
use sampler::torch::autograd;
use sampler::torch::seed::{Stream, reseed};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn unet(channels: Vec<i64>, patch: i64) -> BodyConfig {
    BodyConfig::Unet(UnetConfig { channels, patch, blocks: 1, embedding: 8, groups: 2 })
}

/// Networks of every body, in f64, with weights that have left their start: its last layers are zero.
fn denoisers() -> Vec<(&'static str, Denoiser)> {
    let mlp = BodyConfig::Mlp(MlpConfig { width: 16, blocks: 2 });
    let configs = [
        ("mlp", DenoiserConfig { shape: vec![3], body: mlp.clone(), sigma_data: 0.7, classes: None }),
        ("mlp with classes", DenoiserConfig { shape: vec![3], body: mlp, sigma_data: 2.0, classes: Some(4) }),
        ("unet", DenoiserConfig { shape: vec![8, 8], body: unet(vec![4, 6], 1), sigma_data: 0.5, classes: None }),
        (
            "unet with patches and classes",
            DenoiserConfig { shape: vec![8, 12], body: unet(vec![4, 6], 2), sigma_data: 0.5, classes: Some(3) },
        ),
    ];
    let build = |config: &DenoiserConfig| {
        reseed(3, Stream::Init, 0);
        let denoiser = Denoiser::new(config, F64).unwrap();
        let _no_grad = tch::no_grad_guard();
        for (_, mut parameter) in denoiser.params().named() {
            parameter += parameter.randn_like() * 0.2;
        }
        denoiser
    };
    configs.iter().map(|(name, config)| (*name, build(config))).collect()
}

fn largest(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn the_score_is_that_of_the_denoised_point() {
    tch::set_num_threads(1);
    let _no_grad = tch::no_grad_guard();
    for (name, denoiser) in denoisers() {
        reseed(0, Stream::Data, 1);
        let x = Tensor::randn([5, denoiser.dim()], F64);
        let labels = denoiser.config().classes.map(|_| Tensor::from_slice(&[0i64, 2, 1, 1, 0]));
        let t = Tensor::from_slice(&[0.001, 0.05, 0.4, 2.0, 9.0]).unsqueeze(-1);
        let (kept, noise) = ((&t * -0.5).exp(), t.expm1().sqrt());
        let denoised = denoiser.denoise(&(&x / &kept), &noise, labels.as_ref());
        let expected = (&kept * denoised - &x) / -(-&t).expm1();
        let found = denoiser.score(&t, &x, labels.as_ref());
        assert!(largest(&found, &expected) < 1e-8 * expected.abs().max().double_value(&[]), "{name}");

        // The regression is that of the same denoiser: what is learned is what is used.
        let z = Tensor::randn_like(&x);
        let (said, wanted) = denoiser.regression(&x, &z, &noise, labels.as_ref());
        let error = denoiser.denoise(&(&x + &z * &noise), &noise, labels.as_ref()) - &x;
        let data = denoiser.config().sigma_data;
        let weight = (noise.square() + data * data) / (&noise * data).square(); // EDM, table 1
        let weighted = weight * error.square();
        let ratio = ((said - wanted).square() - &weighted).abs().max() / weighted.max();
        assert!(ratio.double_value(&[]) < 1e-9, "{name}: {ratio:?}");
    }
}

#[test]
fn classes_matter_where_there_are_any() {
    let _no_grad = tch::no_grad_guard();
    for (name, denoiser) in denoisers() {
        let x = Tensor::ones([2, denoiser.dim()], F64);
        let t = Tensor::full([1, 1], 0.3, F64);
        let by = |a: i64, b: i64| denoiser.score(&t, &x, Some(&Tensor::from_slice(&[a, b])));
        let rows_differ = largest(&by(0, 1).get(0), &by(0, 1).get(1)) > 1e-6;
        assert_eq!(rows_differ, denoiser.config().classes.is_some(), "{name}");
        assert!(largest(&by(1, 1).get(0), &by(0, 1).get(1)) < 1e-12, "{name}");
    }
}

/// Products with the Jacobian and its transpose, and the derivative of such a product, against finite differences.
#[test]
fn derivatives_of_both_orders_are_right() {
    tch::set_num_threads(1);
    for (name, denoiser) in denoisers() {
        reseed(0, Stream::Data, 2);
        let dim = denoiser.dim();
        let draw = || Tensor::randn([3, dim], F64);
        let (x, u, v) = (draw(), draw(), draw());
        let t = Tensor::from_slice(&[0.05, 0.6, 2.5]).unsqueeze(-1);
        let model = LearnedScore::new(denoiser);
        let moved = |h: f64| &x + &v * h;
        let dot = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist(-1, false, None);
        let close = |found: Tensor, central: Tensor, what: &str| {
            let scale = central.abs().max().double_value(&[]).max(1.0);
            assert!(largest(&found, &central) < 1e-6 * scale, "{name}: {what}: {found:?} {central:?}");
        };

        // First order: u J v by a central difference, by the transposed product, and by the forward one.
        let h = 1e-5;
        let difference = (model.score(&t, &moved(h)) - model.score(&t, &moved(-h))).detach() / (2.0 * h);
        let pulled = model.hvp(&t, &x, &u);
        close(dot(&pulled, &v), dot(&u, &difference), "transposed product");
        let leaf = x.detach().set_requires_grad(true);
        let score = model.score(&t, &leaf);
        close(autograd::jvp(&score, &leaf, &v, false).detach(), difference, "product by two backward passes");

        // A linearisation answers again and again from one graph.
        let linear = model.linearize(&t, &x);
        assert!(largest(&(linear.product)(&u), &pulled) < 1e-12 && largest(&(linear.product)(&u), &pulled) < 1e-12);
        assert!(largest(&linear.score, &score.detach()) < 1e-12, "{name}");

        // Second order: the gradient of u J w along v.
        let w = draw();
        let inner = |x: &Tensor| model.hvp(&t, x, &w);
        let difference = (inner(&moved(h)) - inner(&moved(-h))) / (2.0 * h);
        let once = autograd::vjp(&score, &leaf, &w, true);
        let twice = autograd::vjp(&once, &leaf, &u, false);
        close(dot(&twice, &v), dot(&u, &difference), "second derivative");
    }
}
