//! `md`: simulate, analyse, compare and time molecular dynamics.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::config::load::{self, Loaded};
use sampler::config::to_yaml;
use sampler::io::atomic::write_atomic;
use sampler::io::tensors::write_tensors;
use sampler::log::progress::Terminal;
use sampler::log::table::{Table, figure};
use sampler::torch::{device, threads};
use sampler::train::Run;
use sampler::train::md::simulate::simulate;
use sampler::train::md::{MdConfig, bench, compare, ensemble, system};
use sampler::train::molecule::openmm::OpenMm;
use sampler::train::run::Plan;

/// Molecular dynamics of many replicas at once: Langevin dynamics, parallel tempering, constant energy.
///
/// Units: nm, ps, dalton, kJ/mol, K. A run folder gets trajectory/chunk_NNNNNN.safetensors with `positions` [F, R,
/// atoms, 3], `energy` and `kinetic` [F, R], `time` [F], `walker` [F, R], and samples.safetensors with the thinned
/// ensemble: `x` [M, 3 atoms], `energy` [M], torsions [M] in radians, `time` [M], `chain` [M].
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  md run configs/md/double_well.yaml
  md run configs/md/double_well.yaml run.steps=2000000 --resume
  md analyse runs/md/double_well/000-seed0 analysis.stride=10
  md compare runs/md/aldp_ff96_obc1/000-seed0 reference.safetensors
  md bench configs/md/aldp_ff96_obc1.yaml --batch 64 --json";

#[derive(Subcommand)]
enum Verb {
    /// Simulate (or go on with --resume), then analyse
    Run(Common),
    /// Analyse the trajectory of a run again, under any analysis.* overrides
    Analyse(OfRun),
    /// Compare averages with a reference ensemble and with published figures; exit status 1 if they disagree
    Compare(CompareArgs),
    /// Time steps: nanoseconds a day; for molecules beside OpenMM's, measured in the same run, where python3 (or the
    /// interpreter that MOLECULE_PYTHON names) imports openmm
    Bench(BenchArgs),
}

#[derive(Args)]
struct OfRun {
    /// A run folder
    run: PathBuf,
    /// Keys to change
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Args)]
struct CompareArgs {
    /// A run folder
    run: PathBuf,
    /// A tensor file with `positions` [M, atoms, 3] or `x` [M, D] in nm, and `energy` [M] in kJ/mol
    reference: Option<PathBuf>,
    /// Combined standard errors that a figure may lie off
    #[arg(long, default_value_t = 3.0)]
    within: f64,
    /// Keys to change: analysis.*
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

#[derive(Args)]
struct BenchArgs {
    /// Configs
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<PathBuf>,
    /// Replicas
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(i64).range(1..))]
    batch: i64,
    /// Steps timed
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(i64).range(1..))]
    steps: i64,
    /// Print a JSON array and nothing else
    #[arg(long)]
    json: bool,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// CPU threads
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    let arguments = cli::parse::<Cli>();
    cli::run(move || match &arguments.verb {
        Verb::Run(common) => run(common),
        Verb::Analyse(args) => analyse(args),
        Verb::Compare(args) => compare_with(args),
        Verb::Bench(args) => time_steps(args),
    })
}

fn load_config(path: &Path, overrides: &[String]) -> Result<Loaded<MdConfig>> {
    let mut loaded = load::load::<MdConfig>(path, overrides)?;
    let checked = loaded.value.resolve().and_then(|()| loaded.value.validate());
    checked.map_err(|error| loaded.locate(error))?;
    loaded.yaml = to_yaml(&loaded.value)?;
    Ok(loaded)
}

fn run(common: &Common) -> Result<()> {
    let loaded = load_config(&common.config, &common.all_overrides())?;
    if common.dry_run {
        print!("{}", loaded.yaml);
        return Ok(());
    }
    threads::configure(common.threads.map(NonZeroUsize::get));
    let place = device::select(&common.device)?;
    let config = &loaded.value;
    let system = system::build(config, place.0).map_err(|error| loaded.locate(error))?;
    let plan = Plan {
        keep_checkpoints: config.run.keep_checkpoints,
        place,
        ..Plan::of(common, "md", &loaded.name, &loaded.yaml, config.seed)
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    let outcome = simulate(config, system, &mut run, checkpoint)?;
    let evaluation = ensemble::analyse(&run.dir.path, config)?;
    run.show(outcome.steps, &evaluation)?;
    let mut figures = evaluation.scalars;
    figures.extend(outcome.figures);
    run.terminal.result(&figures_table(&figures).to_text());
    run.finish("done", outcome.steps, outcome.cost, &figures)
}

fn analyse(args: &OfRun) -> Result<()> {
    let config = compare::open(&args.run, &args.overrides)?;
    let evaluation = ensemble::analyse(&args.run, &config)?;
    save_pictures(&args.run, &evaluation.pictures)?;
    let tensors: Vec<_> = evaluation.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
    write_tensors(&args.run.join("samples.safetensors"), &tensors, &Default::default())?;
    Terminal::new().result(&figures_table(&evaluation.scalars).to_text());
    Ok(())
}

fn compare_with(args: &CompareArgs) -> Result<()> {
    let config = compare::open(&args.run, &args.overrides)?;
    let comparison = compare::compare(&args.run, &config, args.reference.as_deref())?;
    save_pictures(&args.run, &comparison.pictures)?;
    let table = compare::table(&comparison.rows);
    write_atomic(&args.run.join("compare.md"), table.to_markdown().as_bytes())?;
    write_atomic(&args.run.join("compare.json"), &serde_json::to_vec_pretty(&comparison.rows)?)?;
    Terminal::new().result(&table.to_text());
    let off: Vec<&str> =
        comparison.rows.iter().filter(|row| row.off(args.within)).map(|row| row.name.as_str()).collect();
    if !off.is_empty() {
        bail!("more than {} combined standard errors off: {}", args.within, off.join("; "));
    }
    Ok(())
}

fn save_pictures(run: &Path, pictures: &[(String, sampler::log::plot::Picture)]) -> Result<()> {
    let folder = run.join("plots");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    pictures.iter().try_for_each(|(name, picture)| picture.save(&folder.join(format!("{name}.png"))))
}

fn figures_table(figures: &[(String, f64)]) -> Table {
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(tag, value)| table.row([tag.clone(), figure(*value, 6)]));
    table
}

fn time_steps(args: &BenchArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&args.device)?;
    let openmm = OpenMm::find();
    let measure = |path: &PathBuf| {
        let loaded = load_config(path, &[])?;
        let measured = bench::measure(&loaded.name, &loaded.value, args.batch, args.steps, device);
        let mut row = measured.map_err(|error| loaded.locate(error))?;
        openmm.as_ref().map_or(Ok(()), |openmm| row.compare(&loaded.value, openmm))?;
        Ok(row)
    };
    let rows = args.configs.iter().map(measure).collect::<Result<Vec<_>>>()?;
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { bench::table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}
