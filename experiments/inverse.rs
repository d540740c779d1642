//! `inverse`: Langevin dynamics on function spaces, beside what is known exactly.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::bad_input;
use sampler::config::cli::{self, Common};
use sampler::config::load::{self, Loaded};
use sampler::config::to_yaml;
use sampler::io::atomic::write_atomic;
use sampler::io::tensors::write_tensors;
use sampler::io::weights::write_weights;
use sampler::log::progress::Terminal;
use sampler::log::table::{Table, figure};
use sampler::log::values;
use sampler::torch::{device, threads};
use sampler::train::inverse::{InverseConfig, Setup, bench, exact, learn, sample, study};
use sampler::train::run::Plan;
use sampler::train::{Cost, Run};
use tch::Device;

/// Modes up to which arrays are written as JSON too.
const MOST_JSON: i64 = 10_000;

/// Linear inverse problems on function spaces: preconditioned Langevin dynamics with a score prior.
///
/// y = A X + n on a basis, in double precision on the CPU; samplers are vanilla, prior-preconditioned and optimally preconditioned Langevin dynamics, MALA
/// and pCN, many chains at once. exact.safetensors has arrays by mode (also in exact.json: posterior_mean, posterior_variance, rate,
/// stationary_mean, stationary_variance, chain_variance, kl, lambda, step_limit, ...), samples.safetensors `x` [chains, D],
/// `mean`, `variance` [D] and their standard errors, or under sampler.noise.file `trajectory` [iterations + 1, chains, D].
/// docs/inverse.md has every key.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  inverse exact configs/inverse/heat.yaml score.tau=0.1
  inverse exact configs/inverse/toy.yaml 'problem.covariance={type: given, values: {file: mu.npz, key: mu}}'
  inverse sample configs/inverse/brownian_quick.yaml sampler.step=0.25
  inverse sample configs/inverse/heat.yaml 'sampler.noise={file: noise.safetensors}' --out chain
  inverse study configs/inverse/resolution.yaml
  inverse train configs/inverse/learned.yaml
  inverse bench --json";

#[derive(Subcommand)]
enum Verb {
    /// Posterior, rates, invariant law, Euler bias, stability and KL without sampling
    Exact(Common),
    /// Run chains and compare them with what is exact
    Sample(Common),
    /// Iterations to a tolerance against resolution for several preconditioners: study.md, study.csv, study.json
    Study(Common),
    /// Train the score of the prior on draws, measure its error, then sample with it; writes weights.safetensors
    Train(Common),
    /// Time long runs of many chains at a fine resolution
    Bench(BenchArgs),
}

#[derive(Args)]
struct BenchArgs {
    /// Modes an axis
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(i64).range(1..=2000))]
    modes: i64,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i64).range(1..))]
    chains: i64,
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// Print a JSON array and nothing else
    #[arg(long)]
    json: bool,
    /// CPU threads [default: OMP_NUM_THREADS, else one a core]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    let arguments = cli::parse::<Cli>();
    cli::run(move || match &arguments.verb {
        Verb::Exact(common) => with_run(common, |_, setup| exact::check(setup), run_exact),
        Verb::Sample(common) => with_run(common, check_sample, run_sample),
        Verb::Study(common) => with_run(common, |_, _| Ok(()), run_study),
        Verb::Train(common) => with_run(common, |config, setup| setup.check_step(config), run_train),
        Verb::Bench(args) => run_bench(args),
    })
}

/// What a verb demands before its run has a folder.
type Check = fn(&InverseConfig, &Setup) -> Result<()>;
type Body = fn(&InverseConfig, &Setup, &mut Run) -> Result<()>;

/// Loads and checks the config, builds what it names, opens the run folder, and goes on with `body`.
fn with_run(common: &Common, check: Check, body: Body) -> Result<()> {
    let mut loaded: Loaded<InverseConfig> = load::load(&common.config, &common.all_overrides())?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    loaded.yaml = to_yaml(&loaded.value)?;
    if common.dry_run {
        print!("{}", loaded.yaml);
        return Ok(());
    }
    if common.resume {
        return Err(bad_input!("--resume: these runs keep no checkpoints; start anew"));
    }
    threads::configure(common.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&common.device)?;
    let _no_grad = tch::no_grad_guard();
    // A problem that cannot be built, or a step that is refused, leaves no folder behind.
    let setup = Setup::new(&loaded.value).map_err(|error| loaded.locate(error))?;
    check(&loaded.value, &setup).map_err(|error| loaded.locate(error))?;
    let plan = Plan::of(common, "inverse", &loaded.name, &loaded.yaml, loaded.value.seed);
    let (mut run, _) = Run::open(&plan)?;
    if device != Device::Cpu {
        run.terminal.line("computing on the CPU: chains in double precision that stay in its cache");
    }
    body(&loaded.value, &setup, &mut run).map_err(|error| loaded.locate(error))
}

fn check_sample(config: &InverseConfig, setup: &Setup) -> Result<()> {
    setup.check_step(config)?;
    learn::trained(config, setup).map(|_| ())
}

/// Writes the arrays of `exact.safetensors`, of fewer modes as exact.json too, and gives the figures.
fn write_exact(config: &InverseConfig, setup: &Setup, run: &Run) -> Result<Vec<(String, f64)>> {
    let exact = exact::exact(config, setup);
    let tensors: Vec<_> = exact.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    write_tensors(&run.dir.file("exact.safetensors"), &tensors, &Default::default())?;
    if setup.problem.dim() <= MOST_JSON {
        let lists: BTreeMap<_, _> = tensors.iter().map(|(name, t)| (*name, values(t))).collect();
        write_atomic(&run.dir.file("exact.json"), &serde_json::to_vec(&lists)?)?;
    }
    Ok(exact.figures)
}

fn run_exact(config: &InverseConfig, setup: &Setup, run: &mut Run) -> Result<()> {
    let figures = write_exact(config, setup, run)?;
    finish(run, 0, Cost::default(), figures)
}

fn run_sample(config: &InverseConfig, setup: &Setup, run: &mut Run) -> Result<()> {
    let learned = learn::trained(config, setup)?;
    let mut figures = write_exact(config, setup, run)?;
    let (evaluation, cost) = sample::sample(config, setup, learned.as_ref())?;
    run.show(config.sampler.iterations, &evaluation)?;
    figures.extend(evaluation.scalars);
    finish(run, config.sampler.iterations, cost, figures)
}

fn run_study(config: &InverseConfig, _: &Setup, run: &mut Run) -> Result<()> {
    let rows = study::study(config, &mut |line| run.terminal.line(line))?;
    let (table, tolerance) = (study::table(&rows), config.study.as_ref().map_or(0.0, |study| study.tolerance));
    run.pictures(0, &[("iterations".to_string(), study::picture(&rows, tolerance)?)])?;
    write_atomic(&run.dir.file("study.md"), table.to_markdown().as_bytes())?;
    write_atomic(&run.dir.file("study.csv"), table.to_csv().as_bytes())?;
    write_atomic(&run.dir.file("study.json"), &serde_json::to_vec_pretty(&rows)?)?;
    run.terminal.result(&table.to_text());
    run.finish("done", 0, Cost::default(), &study::figures(&rows))
}

fn run_train(config: &InverseConfig, setup: &Setup, run: &mut Run) -> Result<()> {
    let (Some(section), Some(score)) = (&config.learned, learn::network(config, setup)?) else {
        return Err(bad_input!("'learned' is missing: the section says what to train"));
    };
    learn::train(section, config.seed, setup, &score, run)?;
    write_weights(&run.dir.file("weights.safetensors"), &score.params.named(), &Default::default())?;

    let mut figures = write_exact(config, setup, run)?;
    let measured = learn::measure(section, config.seed, setup, &score);
    figures.extend(measured.figures);
    let (mut evaluation, mut cost) = sample::sample(config, setup, Some(&score))?;
    evaluation.tensors.extend(measured.tensors);
    run.show(section.steps, &evaluation)?;
    figures.extend(evaluation.scalars);
    cost.network_calls += section.steps * section.batch as u64;
    finish(run, section.steps, cost, figures)
}

fn finish(run: &mut Run, steps: u64, cost: Cost, figures: Vec<(String, f64)>) -> Result<()> {
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(tag, value)| table.row([tag.clone(), figure(*value, 6)]));
    run.terminal.result(&table.to_text());
    run.finish("done", steps, cost, &figures)
}

fn run_bench(args: &BenchArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let rows = [bench::measure(args.modes, args.chains, args.iterations)?];
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { bench::table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}
