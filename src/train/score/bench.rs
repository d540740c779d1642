//! `score bench`: what a step costs on a network.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use tch::{Device, Kind};

use crate::log::progress::Terminal;
use crate::log::table::{Table, figure};
use crate::nets::denoiser::{BodyConfig, UnetConfig};
use crate::nets::{Denoiser, DenoiserConfig};
use crate::samplers::score::config::Plain;
use crate::samplers::score::local_linearization::{LocalLinearizationConfig, RouteName};
use crate::samplers::score::models::LearnedScore;
use crate::samplers::score::simulate::prior;
use crate::samplers::score::{Draws, IntegratorConfig, ScoreModel, State, Step};
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::bridge::bench::median;
use crate::train::denoiser::store;

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Print a JSON array and nothing else: integrator, score_calls, hvp_calls, ms_per_step, ratio (to euler), particles,
    /// parameters, device, threads, repeats
    #[arg(long)]
    pub json: bool,

    /// Weights of the network to time [default: a fresh network of the shipped digits' shape]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,

    /// Particles in a step
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i64).range(1..))]
    pub particles: i64,

    /// Steps timed a row, after two that are not; the median counts
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,

    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,

    /// CPU threads
    #[arg(long, default_value = "1")]
    pub threads: NonZeroUsize,
}

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub integrator: String,
    /// Evaluations a particle in one step.
    pub score_calls: u64,
    pub hvp_calls: u64,
    pub ms_per_step: f64,
    /// Time relative to a step of `euler`.
    pub ratio: f64,
    pub particles: i64,
    pub parameters: i64,
    pub device: String,
    pub threads: usize,
    pub repeats: u32,
}

/// A step in the middle of the digits' grid, T = 2 in steps of 0.2.
const STEP: Step = Step { from: 1.0, to: 0.8 };
const MOST_TERMS: usize = 4;

fn integrators() -> Vec<IntegratorConfig> {
    let series =
        |terms| IntegratorConfig::LocalLinearization(LocalLinearizationConfig { route: RouteName::Series, terms });
    let mut all = vec![IntegratorConfig::Euler(Plain {})];
    all.extend((1..=MOST_TERMS).map(series));
    let twice = [IntegratorConfig::RandomizedMidpoint(Plain {}), IntegratorConfig::Heun(Plain {})];
    all.extend(twice);
    all
}

/// The verb.
pub fn bench(args: &BenchArgs) -> Result<()> {
    threads::configure(Some(args.threads.get()));
    tch::set_num_threads(args.threads.get() as i32);
    let (device, _) = device::select(&args.device)?;
    let rows = measure(args, device)?;
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}

/// Times every row. The integrators take turns, so that a busy machine slows all of them alike.
pub fn measure(args: &BenchArgs, device: Device) -> Result<Vec<Row>> {
    let _no_grad = tch::no_grad_guard();
    let model = network(args, device)?;
    let integrators: Vec<_> = integrators().into_iter().map(|config| (config.name(), config.build())).collect();
    let mut seconds = vec![Vec::new(); integrators.len()];
    for repeat in 0..args.repeats + 2 {
        for ((_, integrator), seconds) in integrators.iter().zip(&mut seconds) {
            reseed(0, Stream::Eval, 0);
            let x = prior(STEP.from, args.particles, model.dim(), (Kind::Double, device));
            let draws = Draws::random(integrator.randomness(), &x);
            device::synchronize(device);
            let started = Instant::now();
            drop(integrator.step(&model, STEP, State::new(x), &draws));
            device::synchronize(device);
            if repeat >= 2 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
    }
    let medians: Vec<f64> = seconds.into_iter().map(|seconds| median(seconds.into_iter())).collect();
    let row = |((name, integrator), seconds): (&(String, Box<dyn crate::samplers::score::Integrator>), &f64)| Row {
        integrator: name.clone(),
        score_calls: integrator.cost().score_calls,
        hvp_calls: integrator.cost().hvp_calls,
        ms_per_step: seconds * 1e3,
        ratio: seconds / medians[0],
        particles: args.particles,
        parameters: model.denoiser().params().count(),
        device: device::describe(device),
        threads: args.threads.get(),
        repeats: args.repeats,
    };
    Ok(integrators.iter().zip(&medians).map(row).collect())
}

fn network(args: &BenchArgs, device: Device) -> Result<LearnedScore> {
    let options = (Kind::Float, device);
    if let Some(path) = &args.weights {
        return Ok(LearnedScore::new(store::read(path, options)?.0));
    }
    let body = BodyConfig::Unet(UnetConfig::default());
    let config = DenoiserConfig { shape: vec![28, 28], body, sigma_data: 0.6, classes: Some(10) };
    reseed(0, Stream::Init, 0);
    Ok(LearnedScore::new(Denoiser::new(&config, options)?))
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["integrator", "score calls", "HVPs", "ms/step", "x Euler", "particles", "threads"]);
    for row in rows {
        let counts = [row.score_calls, row.hvp_calls].map(|n| n.to_string());
        let [calls, products] = counts;
        let (ms, ratio) = (figure(row.ms_per_step, 3), figure(row.ratio, 3));
        let (particles, threads) = (row.particles.to_string(), row.threads.to_string());
        table.row([row.integrator.clone(), calls, products, ms, ratio, particles, threads]);
    }
    table
}
