//! Chains on a law, what they measured, and its comparison with exact figures.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use tch::Tensor;

use super::config::{DiscreteConfig, McmcConfig};
use super::{exact, pictures};
use crate::bad_input;
use crate::metrics::autocorrelation::average;
use crate::samplers::mcmc::lattice::{Info, Tempering, tempering};
use crate::targets::lattice::figures::Figures;
use crate::targets::lattice::{DiscreteTarget, PairModel, decode};
use crate::torch::seed::{Stream, step_seed};
use crate::torch::threads;
use crate::train::objective::{Cost, Evaluation};

/// One chain's record.
struct Record {
    /// One series for each figure.
    series: Vec<Vec<f64>>,
    /// Kept states, one after the other.
    states: Vec<i64>,
    info: Info,
    exchanges: tempering::Exchanges,
}

/// The model that chains run on, if the kernel suits it.
pub fn check<'a>(config: &DiscreteConfig, target: &'a dyn DiscreteTarget) -> Result<&'a PairModel> {
    let model = target.pairs().ok_or_else(|| bad_input!("'target' has no couplings of pairs to run chains on"))?;
    config.mcmc.kernel.build(model, "mcmc.kernel")?;
    Ok(model)
}

/// Runs all chains and measures. A mean has `_error` (blocked standard error) and `_inefficiency` beside it, and
/// where an exact value is known, `_exact` and `_sigma`, the number of standard errors between the two.
pub fn run(config: &DiscreteConfig, target: &dyn DiscreteTarget) -> Result<(Evaluation, Cost)> {
    let mcmc = &config.mcmc;
    let model = check(config, target)?;
    let figures = Figures::new(model, target.sites(), target.shape());
    let models = tempering::models(model, &mcmc.tempering);

    let (sites, shape) = (target.sites(), target.shape());
    let chains: Vec<u64> = (0..mcmc.chains as u64).collect();
    let groups: Vec<Vec<u64>> = chains.chunks(chains.len().div_ceil(threads::workers())).map(<[u64]>::to_vec).collect();
    let job = |group: Vec<u64>| {
        let figures = Figures::new(&models[0], sites, shape);
        let seeds = group.into_iter().map(|chain| step_seed(config.seed, Stream::Data, chain));
        seeds.map(|seed| chain(mcmc, &models, &figures, sites as usize, seed)).collect::<Result<Vec<_>>>()
    };
    let parts = threads::each(groups, job, || ()).into_iter().collect::<Result<Vec<_>>>()?;
    let records: Vec<Record> = parts.into_iter().flatten().collect();

    // A sweep looks at every site once, which is what one evaluation of log_prob does.
    let sweeps = (mcmc.burn_in + mcmc.sweeps) * mcmc.chains * mcmc.tempering.len() as i64;
    let cost = Cost { target_calls: sweeps as u64, network_calls: 0 };
    Ok((evaluate(config, target, &figures.names(), &records)?, cost))
}

fn chain(mcmc: &McmcConfig, models: &[PairModel], figures: &Figures, sites: usize, seed: u64) -> Result<Record> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut replicas = Tempering::new(mcmc.kernel, "mcmc.kernel", models, &mcmc.tempering, &mut random)?;
    let mut info = Info::default();
    for _ in 0..mcmc.burn_in {
        info.add(replicas.sweep(&mut random));
    }

    let measurements = mcmc.sweeps / mcmc.every;
    let stride = measurements / mcmc.samples;
    let mut record = Record {
        series: vec![Vec::with_capacity(measurements as usize); figures.names().len()],
        states: Vec::new(),
        info,
        exchanges: Default::default(),
    };
    for measurement in 1..=measurements {
        for _ in 0..mcmc.every {
            record.info.add(replicas.sweep(&mut random));
        }
        let x = replicas.state();
        record.series.iter_mut().zip(figures.read(x)).for_each(|(series, value)| series.push(value));
        if measurement % stride == 0 && record.states.len() < mcmc.samples as usize * sites {
            record.states.extend(x[..sites].iter().map(|state| i64::from(*state)));
        }
    }
    record.exchanges = replicas.exchanges;
    Ok(record)
}

fn evaluate(
    config: &DiscreteConfig,
    target: &dyn DiscreteTarget,
    names: &[String],
    records: &[Record],
) -> Result<Evaluation> {
    let exact = exact::figures(&config.target, target)?.map(|(_, figures)| figures).unwrap_or_default();
    let mut evaluation = Evaluation::default();
    for (k, name) in names.iter().enumerate() {
        let chains: Vec<Vec<f64>> = records.iter().map(|record| record.series[k].clone()).collect();
        let found = average(&chains, config.mcmc.blocks as usize);
        let mut push = |suffix: &str, value: f64| evaluation.scalars.push((format!("{name}{suffix}"), value));
        push("", found.mean);
        push("_error", found.error);
        push("_inefficiency", found.inefficiency);
        if let Some((_, value)) = exact.iter().find(|(known, _)| known == name) {
            push("_exact", *value);
            push("_sigma", (found.mean - value) / found.error);
        }
    }
    evaluation.scalars.extend(rates(records));

    let states: Vec<i64> = records.iter().flat_map(|record| record.states.iter().copied()).collect();
    let x = decode(target, &Tensor::from_slice(&states).view([-1, target.sites()])); // [N, D]
    evaluation.pictures = pictures::draw(target, names, &evaluation.scalars, &x, |name| {
        let k = names.iter().position(|known| known == name)?;
        Some(records.iter().flat_map(|record| record.series[k].iter().copied()).collect())
    })?;
    evaluation.tensors = vec![("x".to_string(), x)];
    Ok(evaluation)
}

/// How often sites changed and replicas exchanged.
fn rates(records: &[Record]) -> Vec<(String, f64)> {
    let sum = |f: fn(&Record) -> u64| records.iter().map(f).sum::<u64>() as f64;
    let mut rates = vec![("change_rate".to_string(), sum(|r| r.info.changed) / sum(|r| r.info.visited))];
    let tried = sum(|r| r.exchanges.tried);
    rates.extend((tried > 0.0).then(|| ("exchange_rate".to_string(), sum(|r| r.exchanges.made) / tried)));
    rates
}
