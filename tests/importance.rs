//! Importance sampling and sequential Monte Carlo where the answer is known.

use sampler::samplers::importance::energy::{Batched, Energy, TargetEnergy};
use sampler::samplers::importance::smc::{self, Bridge, Kernel, Schedule, SmcConfig, Time};
use sampler::samplers::importance::sums::WeightedMean;
use sampler::samplers::importance::{Resampling, ReweightConfig, Reweighter, WeightFilter};
use sampler::targets::Target;
use sampler::targets::gaussian::{Gaussian, GaussianConfig};
use sampler::torch::seed::{Stream, reseed};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn gaussian(dim: i64, mean: f64, std: f64) -> Gaussian {
    let text = format!(r#"{{"dim": {dim}, "mean": {mean}, "std": {std}}}"#);
    let config: GaussianConfig = serde_json::from_str(&text).unwrap();
    Gaussian::new(&config, F64).unwrap()
}

/// `exp(-E)` of a Gaussian times `e^c`, so that log Z is `c`.
struct Lifted<'a>(TargetEnergy<'a>, f64);

impl Energy for Lifted<'_> {
    fn value_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor) {
        let (value, gradient) = self.0.value_and_gradient(x);
        (value - self.1, gradient)
    }
}

/// Mean and standard error of repetitions.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt())
}

/// Means and variances of a sample lie within `errors` standard errors of those of `N(mean, std²)`.
fn assert_moments(x: &Tensor, mean: f64, std: f64, errors: f64, what: &str) {
    let n = x.numel() as f64;
    let found = x.mean(Kind::Double).double_value(&[]);
    let variance = (x - found).square().mean(Kind::Double).double_value(&[]);
    assert!((found - mean).abs() < errors * std / n.sqrt(), "{what}: mean {found}, expected {mean}");
    let error = std * std * (2.0 / n).sqrt();
    assert!((variance - std * std).abs() < errors * error, "{what}: variance {variance}, expected {}", std * std);
}

#[test]
fn snis_is_unbiased_between_gaussians() {
    let (proposal, target) = (gaussian(2, 0.0, 1.2), gaussian(2, 0.4, 1.0));
    let config = ReweightConfig { filter: WeightFilter::None {}, ..ReweightConfig::default() };
    let (mut z, mut means) = (Vec::new(), Vec::new());
    for repetition in 0..200 {
        reseed(1, Stream::Eval, repetition);
        let x = proposal.sample(500).unwrap();
        let (source, energy) = (-proposal.log_prob(&x), -target.log_prob(&x) - 3.0);
        let mut reweighter = Reweighter::new(&config).unwrap();
        let log_weights = reweighter.push(&source, &energy).unwrap();
        let mut mean = WeightedMean::new(2);
        let rows = Vec::<f64>::try_from(x.flatten(0, -1)).unwrap();
        rows.chunks(2).zip(&log_weights).for_each(|(row, l)| mean.push(row, *l));
        means.push(mean.mean()[0]);
        let weights = reweighter.finish();
        assert!((weights.normalised().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        z.push((weights.summary.log_z - 3.0).exp());
    }
    let (z, error) = mean_and_error(&z);
    assert!((z - 1.0).abs() < 4.0 * error && error < 0.01, "Z {z} ± {error}");
    // The ratio of sums has a bias of order 1/N, far below this error.
    let (mean, error) = mean_and_error(&means);
    assert!((mean - 0.4).abs() < 4.0 * error && error < 0.01, "mean {mean} ± {error}");
}

#[test]
fn failed_energies_are_weights_of_zero_that_are_counted() {
    let source = Tensor::from_slice(&[1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0]);
    let target = Tensor::from_slice(&[1.0, f64::INFINITY, 0.0, f64::NEG_INFINITY, 5.0, 900.0]);
    let config = ReweightConfig {
        filter: WeightFilter::None {},
        energy_cutoff: Some(100.0),
        resampling: Resampling::Multinomial,
        ..ReweightConfig::default()
    };
    let mut reweighter = Reweighter::new(&config).unwrap();
    reweighter.push(&source, &target).unwrap();
    let weights = reweighter.finish();
    let summary = weights.summary;
    assert_eq!((summary.proposals, summary.non_finite, summary.above_cutoff, summary.kept), (6, 3, 1, 5));
    assert_eq!(weights.normalised(), [0.5, 0.0, 0.0, 0.0, 0.5]);
    assert!((summary.ess - 0.4).abs() < 1e-12 && (summary.log_z - (2.0_f64 / 6.0).ln()).abs() < 1e-12);
    let drawn = weights.resample(config.resampling, &[0.0, 0.2, 0.5, 0.7, 0.99]).unwrap();
    assert_eq!(drawn, [0, 0, 0, 4, 4]);

    let mut nothing = Reweighter::new(&config).unwrap();
    nothing.push(&(&source * f64::NAN), &target).unwrap();
    let nothing = nothing.finish();
    assert_eq!((nothing.summary.ess, nothing.summary.non_finite), (0.0, 6));
    assert!(nothing.resample(Resampling::Systematic, &[0.5]).is_none() && nothing.normalised() == [0.0; 6]);
}

/// A flow's samples on one side, the target's on the other: same law after any number of steps at either end.
#[test]
fn mala_leaves_its_target_invariant() {
    let (source, target) = (gaussian(3, -1.0, 2.0), gaussian(3, 0.5, 0.7));
    let (source_energy, target_energy) = (TargetEnergy::new(&source, 1.0), TargetEnergy::new(&target, 1.0));
    let bridge = Bridge { source: Batched::new(&source_energy, 10_000), target: Batched::new(&target_energy, 10_000) };
    reseed(2, Stream::Eval, 0);
    let x = target.sample(20_000).unwrap();
    let mut particles = bridge.particles(&x, &Tensor::zeros([20_000], F64));
    let mut accepted = 0.0;
    for _ in 0..10 {
        let (noise, uniforms) = (x.randn_like(), Tensor::rand([20_000], F64));
        let at = Time { t: 1.0, dt: 0.5, step_size: 0.8 };
        let (moved, info) = bridge.step(&particles, Kernel::Mala, at, &noise, &uniforms);
        (particles, accepted) = (moved, accepted + info.acceptance / 10.0);
    }
    assert!((0.3..0.95).contains(&accepted), "acceptance {accepted}");
    assert_moments(&particles.x, 0.5, 0.7, 4.0, "after ten steps");
    // The moves are real: nothing is left of the start.
    let correlation = ((&particles.x - 0.5) * (&x - 0.5)).mean(Kind::Double).double_value(&[]) / 0.49;
    assert!(correlation.abs() < 0.3, "correlation {correlation}");
}

fn smc_config(kernel: Kernel) -> SmcConfig {
    SmcConfig {
        num_steps: Some(40),
        step_size: Some(if kernel == Kernel::Mala { 12.0 } else { 4.0 }),
        ess_threshold: 0.5,
        energy_cutoff: None,
        filter: WeightFilter::None {},
        ..SmcConfig::new(kernel)
    }
}

/// From N(0, 1) to e³ N(1, 0.5²) in three dimensions.
fn anneal(config: &SmcConfig, n: i64, seed: u64) -> smc::SmcOutcome {
    let (source, target) = (gaussian(3, 0.0, 1.0), gaussian(3, 1.0, 0.5));
    let lifted = Lifted(TargetEnergy::new(&target, 1.0), 3.0);
    reseed(seed, Stream::Data, 0);
    let x = source.sample(n).unwrap();
    smc::run(config, &TargetEnergy::new(&source, 1.0), &lifted, &x, seed).unwrap()
}

#[test]
fn smc_recovers_log_z_and_moments() {
    for resampling in [Resampling::Systematic, Resampling::Multinomial] {
        let config = SmcConfig { resampling, adaptive: Some(false), ..smc_config(Kernel::Mala) };
        let runs: Vec<smc::SmcOutcome> = (0..12).map(|seed| anneal(&config, 2000, seed)).collect();
        // Z itself is unbiased with an invariant kernel.
        let (z, error) = mean_and_error(&runs.iter().map(|run| (run.log_z - 3.0).exp()).collect::<Vec<_>>());
        assert!((z - 1.0).abs() < 4.0 * error && error < 0.03, "{resampling:?}: Z {z} ± {error}");
        let of = |f: fn(&Tensor) -> f64| mean_and_error(&runs.iter().map(|run| f(&run.x)).collect::<Vec<_>>());
        let (mean, error) = of(|x| x.mean(Kind::Double).double_value(&[]));
        assert!((mean - 1.0).abs() < 4.0 * error && error < 0.01, "{resampling:?}: mean {mean} ± {error}");
        let (square, error) = of(|x| (x - 1.0).square().mean(Kind::Double).double_value(&[]));
        assert!((square - 0.25).abs() < 4.0 * error && error < 0.01, "{resampling:?}: variance {square} ± {error}");

        let run = &runs[0];
        assert_eq!((run.steps.len(), run.target_calls, run.source_calls), (40, 2000 * 41, 2000 * 41));
        assert!(run.steps.last().is_some_and(|step| step.resampled && step.t == 1.0));
        assert!(run.steps.iter().filter(|step| step.resampled).count() < 40 && run.survivors > 0.1);
        let energies = -gaussian(3, 1.0, 0.5).log_prob(&run.x) - 3.0;
        let worst = (energies - &run.target).abs().max().double_value(&[]);
        assert!(worst < 1e-12, "energies belong to the particles: {worst:e}");
    }
}

#[test]
fn ula_and_the_upstream_schedule_come_close() {
    // Its error is of the order of the step, here 0.01 against a variance of 0.25.
    let ula = anneal(&SmcConfig { num_steps: Some(400), ..smc_config(Kernel::Ula) }, 4000, 5);
    assert!((ula.log_z - 3.0).abs() < 0.1, "log Z {}", ula.log_z);
    assert!((ula.x.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.03);

    // Upstream stops 1/K short: a Gaussian between the two, whose mean and log Z are known.
    let config = SmcConfig { schedule: Schedule::Upstream, num_steps: Some(10), ..smc_config(Kernel::Mala) };
    let run = anneal(&config, 8000, 6);
    assert_eq!((run.steps[0].t, run.steps[0].acceptance, run.steps[9].t), (0.0, 0.0, 0.9));
    assert!(run.steps[1].step_size < run.steps[0].step_size, "0/0 accepts nothing, and the step shrinks");
    let (t, precision) = (0.9, 0.1 + 0.9 * 4.0);
    let mean = t * 4.0 / precision;
    // ∫ exp(-(1-t) E_0 - t E_1) per dimension, E_1 with its normalisation and a third of the lift.
    let ln_2pi = std::f64::consts::TAU.ln();
    let exponent = -0.5 * ln_2pi - t * 0.5_f64.ln() - 0.5 * t * 4.0 + 0.5 * precision * mean * mean;
    let log_z = 3.0 * (exponent + 0.5 * (ln_2pi - f64::ln(precision))) + t * 3.0;
    assert!((run.log_z - log_z).abs() < 0.1, "log Z {} expected {log_z}", run.log_z);
    assert!((run.x.mean(Kind::Double).double_value(&[]) - mean).abs() < 0.02);
}

#[test]
fn adaptive_steps_follow_the_acceptance() {
    let config = SmcConfig { step_size: Some(1e-3), ..smc_config(Kernel::Mala) };
    let run = anneal(&config, 500, 7);
    let steps: Vec<f64> = run.steps.iter().map(|step| step.step_size).collect();
    assert!(steps.windows(2).all(|pair| (pair[1] / pair[0] - 1.1).abs() < 1e-12), "{steps:?}");
    let config = SmcConfig { step_size: Some(400.0), ..smc_config(Kernel::Mala) };
    let run = anneal(&config, 500, 7);
    assert!(run.steps[1].step_size * 1.1 / run.steps[0].step_size - 1.0 < 1e-12);
}

#[test]
fn equal_seeds_give_equal_runs_whatever_the_batch() {
    let config = smc_config(Kernel::Mala);
    let (a, b) = (anneal(&config, 300, 1), anneal(&SmcConfig { batch: 7, ..config.clone() }, 300, 1));
    assert!(a.x.equal(&b.x) && a.log_z == b.log_z);
    assert!(!a.x.equal(&anneal(&config, 300, 2).x));
}

/// Half of space has no energy: particles there die, are counted, and the rest is the truncated law.
#[test]
fn particles_without_an_energy_die_quietly() {
    let source = gaussian(1, 0.0, 1.0);
    let energy = TargetEnergy::new(&source, 1.0);
    let half = |x: &Tensor| {
        let (value, gradient) = energy.value_and_gradient(x);
        let outside = x.lt(0.0);
        (value.masked_fill(&outside.squeeze_dim(1), f64::NAN), gradient.masked_fill(&outside, f64::NAN))
    };
    reseed(3, Stream::Data, 0);
    let x = source.sample(4000).unwrap();
    let failed = x.lt(0.0).sum(Kind::Int64).int64_value(&[]) as usize;
    for kernel in [Kernel::Ula, Kernel::Mala] {
        let run = smc::run(&SmcConfig { step_size: Some(1.0), ..smc_config(kernel) }, &energy, &half, &x, 3).unwrap();
        assert!(run.non_finite > failed && run.x.min().double_value(&[]) >= 0.0, "{kernel:?}");
        assert!(run.x.size()[0] as usize == 4000 - failed);
        if kernel == Kernel::Mala {
            // log Z is that of the half: one half.
            assert!((run.log_z - 0.5_f64.ln()).abs() < 0.05, "{}", run.log_z);
            let mean = run.x.mean(Kind::Double).double_value(&[]);
            assert!((mean - (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.06, "{mean}");
        }
    }
    let nowhere = |x: &Tensor| (x.squeeze_dim(1) * f64::NAN, x * f64::NAN);
    let error = smc::run(&smc_config(Kernel::Mala), &energy, &nowhere, &x, 3).unwrap_err().to_string();
    assert!(error.contains("none of 4000 proposals") && error.lines().count() == 1, "{error}");
}

#[test]
fn impossible_settings_name_their_key() {
    let base = SmcConfig::new(Kernel::Ula);
    let wrong = [
        (SmcConfig { adaptive: Some(true), ..base.clone() }, "smc.adaptive"),
        (SmcConfig { num_steps: Some(0), ..base.clone() }, "smc.num_steps"),
        (SmcConfig { step_size: Some(-1.0), ..base.clone() }, "smc.step_size"),
        (SmcConfig { ess_threshold: f64::NAN, ..base.clone() }, "smc.ess_threshold"),
        (SmcConfig { filter: WeightFilter::Drop { fraction: 2.0 }, ..base.clone() }, "smc.filter.fraction"),
        (SmcConfig { batch: 0, ..base.clone() }, "smc.batch"),
    ];
    for (config, key) in wrong {
        let error = config.resolve().unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let resolved = base.resolved().unwrap();
    assert_eq!((resolved.num_steps, resolved.step_size, resolved.adaptive), (Some(100), Some(1e-5), Some(false)));
    assert_eq!(resolved.resolved().unwrap(), resolved);
    let parsed: SmcConfig = serde_json::from_str(r#"{"kernel": "mala", "filter": {"type": "drop"}}"#).unwrap();
    assert_eq!(parsed, SmcConfig::new(Kernel::Mala));
    assert!(serde_json::from_str::<SmcConfig>(r#"{"kernel": "mala", "stepsize": 1}"#).is_err());
    let parsed: ReweightConfig = serde_json::from_str(r#"{"ess": {"first": 10000}, "center": "chi3"}"#).unwrap();
    assert!(parsed.ess.first == Some(10_000) && parsed.filter == WeightFilter::default());
    assert!(ReweightConfig { energy_cutoff: Some(f64::NAN), ..parsed }.validate().is_err());
}
