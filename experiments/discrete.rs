//! `discrete`: laws on lattices and graphs — exact figures, Markov chains, values at states, learned samplers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::bad_input;
use sampler::config::cli::{self, Common};
use sampler::config::load::Loaded;
use sampler::io::checkpoint::Checkpoint;
use sampler::io::tensors::write_tensors;
use sampler::log::progress::Terminal;
use sampler::log::table::{Table, figure};
use sampler::targets::lattice::DiscreteTarget;
use sampler::torch::{device, threads};
use sampler::train::discrete::{DiscreteConfig, bench, evaluate, exact, launch, mcmc, stored};
use sampler::train::run::Plan;
use sampler::train::{Cost, Run};
use tch::{Device, Kind};

/// Laws on lattices and graphs: exact figures, Markov chains, values at given states, and samplers that learn the rates of
/// a jump process from the uniform law to the target.
///
/// States are tensors `x` [N, sites] of the values that a site takes: -1 and +1 for spins, 0 and 1 for graphs and
/// machines, 0 .. q-1 for Potts. log_prob is unnormalised and in nats. `energy` is that of the bonds, the sum of
/// -J s s over each pair once, without beta and without the field, which is in nats.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  discrete exact configs/density/ising.yaml target.size=10 target.beta=0.4407
  discrete mcmc configs/discrete/ising_critical.yaml --resume
  discrete mcmc configs/discrete/own_couplings.yaml target.path=couplings.npz
  discrete eval configs/density/potts.yaml --points states.safetensors --out values.safetensors
  discrete train configs/discrete/ising4x4.yaml seed=0,1,2
  discrete sample runs/discrete/ising4x4/000-seed0 --n 10000 --out samples.safetensors
  discrete eval-model runs/discrete/ising4x4/000-seed0 sampler.num_steps=255
  discrete bench --threads 1";

#[derive(Subcommand)]
enum Verb {
    /// Exact log_z, energy, magnetisation and two-point function, where a method exists, into summary.json
    Exact(Common),
    /// Run Markov chains: samples, means with standard errors, pictures
    Mcmc(Common),
    /// Read states `x` [N, D] and write `log_prob` [N] and `log_ratios` [N, D, S] of all single-site changes
    Eval(EvalArgs),
    /// Train a sampler (a comma in an override makes a sweep: one run each) and measure it
    Train(Common),
    /// Draw weighted samples from the newest checkpoint of a run
    Sample(SampleArgs),
    /// Measure the newest checkpoint of a run again, under any sampler.* and eval.* overrides
    EvalModel(OfRun),
    /// Time updates and rollouts beside the authors' code
    Bench(BenchArgs),
}

#[derive(Args)]
struct BenchArgs {
    /// Print a JSON array and nothing else
    #[arg(long)]
    json: bool,
    /// Updates timed a row (after two that are not)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    updates: u32,
    /// CPU threads; the authors' figures are of one
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct OfRun {
    /// A run folder
    run: PathBuf,
    /// Keys to change
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// CPU threads
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct SampleArgs {
    #[command(flatten)]
    of: OfRun,
    /// Number of samples
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..))]
    n: i64,
    /// Where to write x [N, D] and log_weight [N] (safetensors)
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
struct EvalArgs {
    /// A config
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Keys to change, by dotted path: target.beta=0.6
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// File with `x` [N, D]: safetensors, .npz or .pt
    #[arg(long, value_name = "FILE")]
    points: PathBuf,
    /// safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where to compute: auto, cpu, cuda, or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

fn main() -> ExitCode {
    let arguments = cli::parse::<Cli>();
    cli::run(move || match &arguments.verb {
        Verb::Exact(common) => in_a_run(common, solve),
        Verb::Mcmc(common) => in_a_run(common, sample),
        Verb::Eval(args) => eval(args),
        Verb::Train(common) => launch::train_all(common),
        Verb::Sample(args) => draw(args),
        Verb::EvalModel(args) => measure(args),
        Verb::Bench(args) => time(args),
    })
}

fn build(loaded: &Loaded<DiscreteConfig>, device: Device) -> Result<Box<dyn DiscreteTarget>> {
    loaded.value.target.build((Kind::Double, device)).map_err(|error| loaded.locate(error))
}

/// Opens the run folder; the checkpoint is the one to go on from.
type Opener<'a> = dyn FnMut() -> Result<(Run, Option<Checkpoint>)> + 'a;
type Job = fn(&Loaded<DiscreteConfig>, &dyn DiscreteTarget, &mut Opener) -> Result<()>;

/// Loads, builds, and hands `job` the means to open its run folder once nothing can be wrong with the input.
fn in_a_run(common: &Common, job: Job) -> Result<()> {
    let loaded = DiscreteConfig::load(&common.config, &common.all_overrides())?;
    if common.dry_run {
        print!("{}", loaded.yaml);
        return Ok(());
    }
    threads::configure(common.threads.map(NonZeroUsize::get));
    let _no_grad = tch::no_grad_guard();
    let target = build(&loaded, Device::Cpu)?;
    let plan =
        Plan { keep_checkpoints: 2, ..Plan::of(common, "discrete", &loaded.name, &loaded.yaml, loaded.value.seed) };
    let mut open = || Run::open(&plan);
    job(&loaded, &*target, &mut open)
}

fn solve(loaded: &Loaded<DiscreteConfig>, target: &dyn DiscreteTarget, open: &mut Opener) -> Result<()> {
    let (method, figures) = exact::figures(&loaded.value.target, target)?.ok_or_else(|| {
        let (states, sites) = (target.num_states(), target.sites());
        loaded
            .locate(bad_input!("'target' has no exact method for {states}^{sites} states; `discrete mcmc` samples it"))
    })?;
    let (mut run, _) = open()?;
    run.terminal.line(&format!("method: {method}"));
    run.terminal.result(&table(&figures).to_text());
    run.finish("done", 0, Cost::default(), &figures)
}

fn sample(loaded: &Loaded<DiscreteConfig>, target: &dyn DiscreteTarget, open: &mut Opener) -> Result<()> {
    mcmc::check(&loaded.value, target).map_err(|error| loaded.locate(error))?;
    let (mut run, checkpoint) = open()?;
    let figures = mcmc::run_in(&loaded.value, target, &mut run, checkpoint)?;
    run.terminal.result(&table(&figures).to_text());
    Ok(())
}

fn table(figures: &[(String, f64)]) -> Table {
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(name, value)| table.row([name.clone(), figure(*value, 8)]));
    table
}

fn eval(args: &EvalArgs) -> Result<()> {
    let loaded = DiscreteConfig::load(&args.config, &args.overrides)?;
    let (device, _) = device::select(&args.device)?;
    let _no_grad = tch::no_grad_guard();
    let target = build(&loaded, device)?;
    let count = evaluate::at_points(&*target, &args.points, &args.out, &loaded.yaml, device)?;
    println!("{}: log_prob and log_ratios at {count} states in {}", loaded.name, args.out.display());
    Ok(())
}

fn open(of: &OfRun) -> Result<stored::Stored> {
    threads::configure(of.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&of.device)?;
    stored::open(&of.run, &of.overrides, device)
}

fn draw(args: &SampleArgs) -> Result<()> {
    let (x, log_weight) = open(&args.of)?.sample(args.n);
    write_tensors(&args.out, &[("x", &x), ("log_weight", &log_weight)], &Default::default())
}

fn measure(args: &OfRun) -> Result<()> {
    let figures = open(args)?.evaluate()?;
    Terminal::new().result(&table(&figures).to_text());
    Ok(())
}

fn time(args: &BenchArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let rows = bench::rows(args.updates)?;
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { bench::table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}
