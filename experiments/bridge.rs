//! `bridge`: train, sample, evaluate, compare and time diffusion-bridge samplers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use sampler::bad_input;
use sampler::config::cli::{self, Common, Interrupted};
use sampler::config::load::{self, Loaded};
use sampler::config::{sweep, to_yaml};
use sampler::io::atomic::write_atomic;
use sampler::io::tensors::write_tensors;
use sampler::log::progress::Terminal;
use sampler::torch::{device, threads};
use sampler::train::bridge::{BridgeConfig, bench, build, compare, stored};
use sampler::train::run::Plan;
use sampler::train::stop::StopFlag;
use sampler::train::{Run, train};

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
        Verb::Train(common) => train_all(&common),
        Verb::Eval(args) => evaluate(&args),
        Verb::Sample(args) => sample(&args),
        Verb::Compare(args) => compare_runs(&args),
        Verb::Bench(args) => time_updates(&args, started),
    })
}

/// Every run of a sweep, one after the other.
fn train_all(common: &Common) -> Result<()> {
    let overrides = common.all_overrides();
    let (runs, swept) = (sweep::runs(&overrides)?, sweep::swept_keys(&overrides)?);
    if runs.len() > 1 && common.out.is_some() {
        return Err(bad_input!(
            "--out names one folder, but the overrides ask for {} runs; leave --out away",
            runs.len()
        ));
    }
    // A slip in the last run of a sweep is reported before the first one starts.
    let loaded = runs.iter().map(|overrides| load_config(common, overrides)).collect::<Result<Vec<_>>>()?;
    if common.dry_run {
        let texts = loaded.iter().map(|one| to_yaml(&one.value)).collect::<Result<Vec<_>>>()?;
        print!("{}", texts.join("---\n"));
        return Ok(());
    }
    set_threads(common.threads);
    for (number, one) in loaded.iter().enumerate() {
        // A signal that came while the run before this one was measured.
        if number > 0 && StopFlag::install()?.raised() {
            let text = format!("stopped after {number} of {} runs; go on with --resume", loaded.len());
            return Err(Interrupted(text).into());
        }
        train_one(common, one, &swept)?;
    }
    Ok(())
}

fn load_config(common: &Common, overrides: &[String]) -> Result<Loaded<BridgeConfig>> {
    let mut loaded = load::load::<BridgeConfig>(&common.config, overrides)?;
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    Ok(loaded)
}

fn train_one(common: &Common, loaded: &Loaded<BridgeConfig>, swept: &[String]) -> Result<()> {
    let (config, name) = (&loaded.value, loaded.name.as_str());
    let (device, reason) = device::select(&common.device)?;
    let mut objective = build(config, device).map_err(|error| loaded.locate(error))?;
    let yaml = to_yaml(config)?;
    let plan = Plan {
        task: "bridge",
        name,
        yaml: &yaml,
        seed: config.seed,
        out: common.out.as_deref(),
        resume: common.resume,
        swept,
        device: &device::describe(device),
        keep_checkpoints: config.train.keep_checkpoints,
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    if let Some(reason) = reason {
        run.terminal.line(&format!("computing on the CPU: {reason}"));
    }
    for warning in config.warnings()? {
        run.terminal.line(&format!("warning: {warning}"));
    }
    train(&mut objective, &config.train, &mut run, checkpoint)?;
    Ok(())
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
    let groups = compare::group(&compare::find_runs(&args.runs)?)?;
    let table = compare::table(&groups);
    std::fs::create_dir_all(&args.out).with_context(|| format!("{}: cannot make the folder", args.out.display()))?;
    write_atomic(&args.out.join("compare.md"), table.to_markdown().as_bytes())?;
    write_atomic(&args.out.join("compare.csv"), table.to_csv().as_bytes())?;
    compare::picture(&groups)?.save(&args.out.join("compare.png"))?;
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
    let mut rows: Vec<bench::Row> = Vec::new();
    for index in 0..bench::count() {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["bench", "--row", &index.to_string(), "--updates", &args.updates.to_string()]);
        child.args(["--device", &args.device]);
        child.args(args.threads.map(|n| format!("--threads={n}")));
        let output = child.stderr(std::process::Stdio::inherit()).output()?;
        rows.push(serde_json::from_slice(&output.stdout).with_context(|| format!("row {index} failed"))?);
    }
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { bench::table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}
