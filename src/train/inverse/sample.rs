//! Chains, and how far what they show lies from what is known.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::InverseConfig;
use super::exact::relative_error;
use super::pictures;
use super::setup::Setup;
use crate::bad_input;
use crate::io::tensors::{read_tensors, take};
use crate::samplers::inverse::law::{self, Moments};
use crate::samplers::inverse::learned::LearnedScore;
use crate::samplers::inverse::{Method, Plan, Record, record};
use crate::train::objective::{Cost, Evaluation};

/// Runs the chains of a config and measures them. The second part is the work.
pub fn sample(config: &InverseConfig, setup: &Setup, learned: Option<&LearnedScore>) -> Result<(Evaluation, Cost)> {
    setup.check_step(config)?;
    let sampler = &config.sampler;
    let evaluations = sampler.iterations * sampler.chains as u64;
    let cost = match learned {
        Some(_) => Cost { target_calls: 0, network_calls: evaluations },
        None => Cost { target_calls: evaluations, network_calls: 0 },
    };
    if sampler.noise.is_some() {
        return Ok((replay(config, setup, learned)?, cost));
    }
    let plan = plan(config, setup);
    let record = setup.run(config, learned, &plan)?;
    let mut evaluation = Evaluation { scalars: figures(config, setup, &record), ..Evaluation::default() };
    let autocorrelation = autocorrelation(&record.traces, config.record.lags);
    evaluation.pictures = pictures::of_chains(config, setup, &plan, &record, &autocorrelation)?;
    evaluation.tensors = tensors(&plan, record, autocorrelation);
    Ok((evaluation, cost))
}

/// Iterations on the way, ever further apart, and modes spread over those of largest prior variance.
fn plan(config: &InverseConfig, setup: &Setup) -> Plan {
    let sampler = &config.sampler;
    let mut snapshots = Vec::new();
    let mut n = 1;
    while n <= sampler.iterations {
        snapshots.push(n);
        n = (n + 1).max((n as f64 * 1.15) as u64);
    }
    let among = config.record.among.min(setup.problem.dim());
    let order = pictures::by_variance(&setup.problem.mu, among);
    let count = config.record.traced_modes.min(order.len());
    let spread = (0..count).map(|i| order[i * (order.len() - 1) / (count - 1).max(1)]);
    let mut traced: Vec<i64> = spread.collect();
    traced.dedup();
    Plan {
        seed: config.seed,
        iterations: sampler.iterations,
        burn_in: sampler.burn_in,
        thin: sampler.thin,
        snapshots,
        traced,
        traced_chains: config.record.traced_chains,
    }
}

fn figures(config: &InverseConfig, setup: &Setup, record: &Record) -> Vec<(String, f64)> {
    let (mean, variance) = (record.mean(), record.variance());
    // An unstable mode overflows; figures are those of the others.
    let sound = mean.isfinite().logical_and(&variance.isfinite());
    let pick = |t: &Tensor| t.masked_select(&sound);
    let sum = |t: &Tensor| t.sum(Kind::Double).double_value(&[]);
    let overflown = setup.problem.dim() as f64 - sum(&sound);
    let mut figures =
        vec![("overflown_modes".to_string(), overflown), ("sum_variance".to_string(), sum(&pick(&variance)))];
    if let Some(truth) = &setup.problem.truth {
        figures.push(("mean_truth_error".into(), relative_error(&pick(&mean), &pick(truth))));
    }
    figures.push(("mean_error".into(), relative_error(&pick(&mean), &pick(&setup.center()))));
    figures.extend(record.acceptance.map(|share| ("acceptance".to_string(), share)));
    let Some(law) = &setup.law else { return figures };

    // Against what the chain settles at, which is not quite the posterior.
    let settled = law.chain_variance(config.sampler.step).filter(|_| config.sampler.method == Method::Langevin);
    let expected = settled.unwrap_or_else(|| law.posterior.variance.shallow_clone());
    let finite = (&variance / &expected).isfinite();
    let ratio = (&variance / &expected).masked_select(&finite);
    if ratio.numel() > 0 {
        figures.push(("variance_ratio".into(), ratio.mean(Kind::Double).double_value(&[])));
    }
    if ratio.numel() > 1 {
        figures.push(("variance_ratio_std".into(), ratio.std(true).double_value(&[])));
    }
    let measured = law::kl(&Moments { mean, variance }, &law.posterior);
    let within = measured.masked_select(&measured.isfinite());
    figures.push(("kl_measured_total".into(), sum(&within)));
    if record.first.size()[0] > 1 {
        let off = (record.mean() - &law.stationary.mean) / record.mean_error();
        let off = off.masked_select(&off.isfinite()).square().mean(Kind::Double).sqrt();
        figures.push(("mean_z_score".into(), off.double_value(&[])));
    }
    figures
}

/// Normalised autocovariances of traces `[T, N, L]` about their own means, lags 0 to `most`: `[T, lags + 1]`.
pub fn autocorrelation(traces: &Tensor, most: i64) -> Tensor {
    let length = traces.size()[2];
    let off = traces - traces.mean_dim(&[1i64, 2][..], true, Kind::Double);
    let lagged = |lag: i64| {
        let product = off.narrow(2, 0, length - lag) * off.narrow(2, lag, length - lag);
        product.mean_dim(&[1i64, 2][..], false, Kind::Double)
    };
    let rows: Vec<Tensor> = (0..=most.min(length - 1).max(0)).map(lagged).collect();
    let covariances = Tensor::stack(&rows, 1);
    let variances = covariances.narrow(1, 0, 1);
    covariances / variances
}

fn tensors(plan: &Plan, record: Record, autocorrelation: Tensor) -> Vec<(String, Tensor)> {
    let snapshots: Vec<i64> = plan.snapshots.iter().map(|n| *n as i64).collect();
    let named = [
        ("mean", record.mean()),
        ("variance", record.variance()),
        ("mean_error", record.mean_error()),
        ("variance_error", record.variance_error()),
        ("autocorrelation", autocorrelation),
        ("traced_modes", Tensor::from_slice(&plan.traced)),
        ("snapshot_iterations", Tensor::from_slice(&snapshots)),
        ("snapshot_means", record.snapshots),
        ("x", record.last),
    ];
    named.into_iter().map(|(name, t)| (name.to_string(), t)).collect()
}

/// The trajectory `[I + 1, N, D]` under the noise of a file.
fn replay(config: &InverseConfig, setup: &Setup, learned: Option<&LearnedScore>) -> Result<Evaluation> {
    let Some(noise) = &config.sampler.noise else { return Ok(Evaluation::default()) };
    let kernel = setup.kernel(config, learned)?;
    let (chains, width) = (config.sampler.chains, kernel.width());
    let mut tensors = read_tensors(&noise.file)?;
    let z = take(&noise.file, &mut tensors, &noise.key)?.to_kind(Kind::Double);
    let each = chains * width;
    let iterations = z.numel() as i64 / each;
    if iterations == 0 || z.size().first() != Some(&iterations) || z.numel() as i64 % each != 0 {
        return Err(bad_input!(
            "{}: '{}' has shape {:?}, expected [iterations, {chains}, {width}] (sampler.chains, and a normal for each mode)",
            noise.file.display(),
            noise.key,
            z.size()
        ));
    }
    let z = z.contiguous().view([iterations, chains, width]);
    let u = match config.sampler.method {
        Method::Langevin => Tensor::zeros([iterations, chains], (Kind::Double, z.device())),
        _ => {
            let u = take(&noise.file, &mut tensors, &noise.uniforms)?.to_kind(Kind::Double);
            if u.numel() as i64 != iterations * chains {
                return Err(bad_input!(
                    "{}: '{}' has shape {:?}, expected [{iterations}, {chains}]",
                    noise.file.display(),
                    noise.uniforms,
                    u.size()
                ));
            }
            u.contiguous().view([iterations, chains])
        }
    };
    let trajectory = record::replay(kernel.as_ref(), &setup.start(config)?, &z, &u);
    let last = trajectory.get(iterations);
    let scalars = vec![("iterations".to_string(), iterations as f64)];
    let tensors = vec![("trajectory".to_string(), trajectory), ("x".to_string(), last)];
    Ok(Evaluation { scalars, tensors, ..Evaluation::default() })
}
