//! `bridge`: train, sample, evaluate, compare and time diffusion-bridge samplers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::io::tensors::write_tensors;
use sampler::log::progress::Terminal;
use sampler::torch::{device, threads};
use sampler::train::bridge::{bench, compare, launch, stored};

/// Diffusion-bridge samplers: PIS, DDS, DIS, CMCD and DBS under any of the losses rkl, rkl_ld, lv, tb, vargrad, subtb.
///
/// Every key and its default: docs/bridge.md, or `bridge train CONFIG --dry-run`.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  bridge train configs/bridge/seeds_quick.yaml
  bridge train configs/bridge/funnel_quick.yaml seed=0,1,2 loss.type=rkl_ld,lv
  bridge train configs/bridge/seeds_quick.yaml --resume
  bridge compare runs/bridge/funnel_quick
  bridge sample runs/bridge/seeds_quick/000-seed0 --n 10000 --out samples.safetensors
  bridge bench --json";

#[derive(Subcommand)]
enum Verb {
    /// Train a sampler (a comma in an override makes a sweep: one run each) and measure it
    Train(Common),
    /// Measure the newest checkpoint of a run again, under any eval.* overrides
    Eval(OfRun),
    /// Draw weighted samples from the newest checkpoint of a run
    Sample(SampleArgs),
    /// Print and write mean ± standard error over seeds for the settings in which runs differ
    Compare(CompareArgs),
    /// Time training updates beside the papers' own code
    Bench(BenchArgs),
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
struct CompareArgs {
    /// Run folders, or folders that hold run folders
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Folder for compare.md, compare.csv and compare.png
    #[arg(long, default_value = "runs/compare")]
    out: PathBuf,
}

#[derive(Args)]
struct BenchArgs {
    /// Print a JSON array and nothing else
    #[arg(long)]
    json: bool,
    /// Updates timed a row (after two that are not)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    updates: u32,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// CPU threads
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Measure this row alone, in this process
    #[arg(long, hide = true)]
    row: Option<usize>,
}

fn main() -> ExitCode {
    let started = Instant::now();
    cli::run(move || match cli::parse::<Cli>().verb {
        Verb::Train(common) => launch::train_all(&common),
        Verb::Eval(args) => evaluate(&args),
        Verb::Sample(args) => sample(&args),
        Verb::Compare(args) => compare_runs(&args),
        Verb::Bench(args) => time_updates(&args, started),
    })
}

fn set_threads(workers: Option<NonZeroUsize>) {
    threads::configure(workers.map(NonZeroUsize::get));
}

fn evaluate(args: &OfRun) -> Result<()> {
    set_threads(None);
    let (device, _) = device::select(&args.device)?;
    let mut stored = stored::open(&args.run, &args.overrides, device)?;
    let figures = stored.evaluate()?;
    Terminal::new().result(&stored::table(&figures).to_text());
    Ok(())
}

fn sample(args: &SampleArgs) -> Result<()> {
    set_threads(None);
    let (device, _) = device::select(&args.of.device)?;
    let mut stored = stored::open(&args.of.run, &args.of.overrides, device)?;
    let drawn = stored.sample(args.n);
    write_tensors(&args.out, &[("x", &drawn.x), ("log_weight", &drawn.log_weight)], &Default::default())
}

fn compare_runs(args: &CompareArgs) -> Result<()> {
    let table = compare::write(&args.runs, &args.out)?;
    let mut terminal = Terminal::new();
    terminal.result(&table.to_text());
    terminal.line(&format!("written: {0}/compare.md, {0}/compare.csv, {0}/compare.png", args.out.display()));
    Ok(())
}

/// Each row in a process of its own.
fn time_updates(args: &BenchArgs, started: Instant) -> Result<()> {
    if let Some(row) = args.row {
        set_threads(args.threads);
        let (device, _) = device::select(&args.device)?;
        println!("{}", serde_json::to_string(&bench::measure(row, args.updates, device, started)?)?);
        return Ok(());
    }
    let mut options = vec![format!("--updates={}", args.updates), format!("--device={}", args.device)];
    options.extend(args.threads.map(|n| format!("--threads={n}")));
    let rows = bench::rows(&options)?;
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { bench::table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}
