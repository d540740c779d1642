//! Densities by themselves: values and scores at points, exact samples, a check of the score, a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use sampler::bad_input;
use sampler::config::load::{Loaded, load};
use sampler::config::{check, cli};
use sampler::io::tensors::{read_tensors, take, write_tensors};
use sampler::log::table::Table;
use sampler::targets::inspect::{evaluate, probe_points, slope_error};
use sampler::targets::{Options, Target, TargetConfig};
use sampler::torch::device;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::discrete::{DiscreteConfig, evaluate as evaluate_discrete};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Evaluates, samples and checks target densities.
///
/// Points are tensors `x` [N, D] (f32 or f64) in tensor files; for particles, D = particles * space, particle by
/// particle. log_prob is unnormalised and in nats.
#[derive(Parser)]
#[command(after_help = "Examples:
  density list
  density eval configs/density/funnel_d10.yaml --points points.safetensors --out values.safetensors
  density sample configs/density/gmm40_d50.yaml target.dim=2 --n 2000 --out samples.safetensors
  density check configs/density/lj13_dem.yaml --n 32")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Read points `x` [N, D] and write `log_prob` [N] and `score` [N, D] in their precision
    Eval {
        #[command(flatten)]
        density: Density,
        /// File with `x` [N, D], f32 or f64: safetensors, .npz or .pt
        #[arg(long, value_name = "FILE")]
        points: PathBuf,
        /// safetensors file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write exact samples `x` [N, D], for densities that have an exact sampler
    Sample {
        #[command(flatten)]
        density: Density,
        /// Number of samples
        #[arg(long, default_value_t = 2000)]
        n: i64,
        /// safetensors file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[arg(long, value_enum, default_value_t = Precision::F64)]
        precision: Precision,
    },
    /// Compare the score with central differences of log_prob in f64 at random points; exit status 1 if they disagree
    Check {
        #[command(flatten)]
        density: Density,
        /// Number of points
        #[arg(long, default_value_t = 8)]
        n: i64,
        /// Largest relative error that passes
        #[arg(long, default_value_t = 1e-5)]
        tolerance: f64,
    },
    /// One line for every config in a folder: dimension, log Z, whether exact samples exist
    List {
        #[arg(value_name = "FOLDER", default_value = "configs/density")]
        folder: PathBuf,
    },
}

#[derive(Args)]
struct Density {
    /// The density: a YAML file such as configs/density/funnel_d10.yaml
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Keys to change, by dotted path: target.dim=20 target.variant=fab
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where to compute: auto, cpu, cuda, or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print the fully resolved config and stop
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    F64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    target: TargetConfig,
}

fn main() -> ExitCode {
    let arguments = Cli::parse();
    cli::run(move || match &arguments.verb {
        Verb::Eval { density, points, out } => {
            match DiscreteConfig::load_if_discrete(&density.config, &density.overrides)? {
                Some(law) if !density.dry_run => eval_discrete(density, &law, points, out),
                _ => density.with_config(|config| eval(density, config, points, out)),
            }
        }
        Verb::Sample { density, n, out, precision } => {
            let kind = if matches!(precision, Precision::F32) { Kind::Float } else { Kind::Double };
            density.with_config(|config| sample(density, config, *n, kind, out))
        }
        Verb::Check { density, n, tolerance } => {
            density.with_config(|config| check_score(density, config, *n, *tolerance))
        }
        Verb::List { folder } => list(folder),
    })
}

impl Density {
    /// Loads the config; prints it for `--dry-run`, goes on with `body` otherwise.
    fn with_config(&self, body: impl FnOnce(&Loaded<Config>) -> Result<()>) -> Result<()> {
        let config = load(&self.config, &self.overrides)?;
        if self.dry_run {
            print!("{}", config.yaml);
            return Ok(());
        }
        let _no_grad = tch::no_grad_guard();
        body(&config)
    }

    fn build(&self, config: &Loaded<Config>, kind: Kind) -> Result<(Box<dyn Target>, Options)> {
        let options = (kind, device::select(&self.device)?.0);
        let target = config.value.target.build(options).map_err(|error| config.locate(error))?;
        Ok((target, options))
    }
}

fn eval(density: &Density, config: &Loaded<Config>, points: &Path, out: &Path) -> Result<()> {
    let x = take(points, &mut read_tensors(points)?, "x")?;
    if !matches!(x.kind(), Kind::Float | Kind::Double) {
        return Err(bad_input!("{}: tensor 'x' is {:?}, expected Float or Double", points.display(), x.kind()));
    }
    let (target, options) = density.build(config, x.kind())?;
    if x.dim() != 2 || x.size()[1] != target.dim() {
        let (found, dim, name) = (x.size(), target.dim(), &config.name);
        return Err(bad_input!("{}: tensor 'x' has shape {found:?}, {name} needs [N, {dim}]", points.display()));
    }

    let (log_prob, score) = evaluate(&*target, &x, options.1);
    write_tensors(out, &[("log_prob", &log_prob), ("score", &score)], &provenance(config))?;

    println!("{}: log_prob and score at {} points in {}", config.name, x.size()[0], out.display());
    Ok(())
}

/// The law's states `x` [N, sites] in its values, as `discrete eval` reads them.
fn eval_discrete(density: &Density, law: &Loaded<DiscreteConfig>, points: &Path, out: &Path) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let device = device::select(&density.device)?.0;
    let target = law.value.target.build((Kind::Double, device)).map_err(|error| law.locate(error))?;
    let count = evaluate_discrete::at_points(&*target, points, out, &law.yaml, device)?;
    println!("{}: log_prob and log_ratios at {count} states in {}", law.name, out.display());
    Ok(())
}

fn sample(density: &Density, config: &Loaded<Config>, n: i64, kind: Kind, out: &Path) -> Result<()> {
    check::at_least("--n", n, 1)?;
    let (target, _) = density.build(config, kind)?;
    reseed(density.seed, Stream::Data, 0);
    let x = target.sample(n).ok_or_else(|| {
        let path = density.config.display();
        bad_input!("{path}: this density has no exact sampler (`density list` shows which have)")
    })?;
    write_tensors(out, &[("x", &x)], &provenance(config))?;

    println!("{}: {n} exact samples of {} coordinates in {}", config.name, target.dim(), out.display());
    Ok(())
}

fn provenance(config: &Loaded<Config>) -> BTreeMap<String, String> {
    BTreeMap::from([("config".to_string(), config.yaml.clone())])
}

fn check_score(density: &Density, config: &Loaded<Config>, n: i64, tolerance: f64) -> Result<()> {
    check::at_least("--n", n, 1)?;
    check::positive("--tolerance", tolerance)?;
    let (target, options) = density.build(config, Kind::Double)?;
    reseed(density.seed, Stream::Data, 0);
    let worst = slope_error(&*target, &probe_points(&*target, n, options));

    let (name, dim) = (&config.name, target.dim());
    let place = format!("coordinate {} of point {}", worst.coordinate, worst.point);
    println!("{name}: score against central differences at {n} points of {dim} coordinates");
    println!("largest relative error {:.2e} ({place}), tolerance {tolerance:.0e}", worst.relative);
    if worst.relative > tolerance {
        bail!("{name}: the score is not the gradient of log_prob: relative error {:.2e} in {place}", worst.relative);
    }
    Ok(())
}

fn list(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| bad_input!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();

    let mut table = Table::new(["name", "dim", "log Z", "samples", "notes"]);
    for path in paths {
        if let Some(law) = DiscreteConfig::load_if_discrete(&path, &[])? {
            table.row([law.name.clone()].into_iter().chain(summary_discrete(&law)));
            continue;
        }
        let config = load::<Config>(&path, &[])?;
        let row = match config.value.target.build((Kind::Double, Device::Cpu)) {
            Ok(target) => summary(&*target),
            // A missing data file keeps one density from being built, not the list from being shown.
            Err(error) => ["".into(), "".into(), "".into(), first_clause(&error)],
        };
        table.row([config.name].into_iter().chain(row));
    }
    print!("{}", table.to_text());
    Ok(())
}

fn summary(target: &dyn Target) -> [String; 4] {
    let log_z = target.log_z().map_or("unknown".into(), |log_z| format!("{log_z:.6}"));
    let samples = target.sample(1).map_or("none", |_| "exact");
    let origin = Tensor::zeros([1, target.dim()], (Kind::Double, Device::Cpu));
    let modes = target.mode_log_probs(&origin).map_or("".into(), |modes| format!("{} modes", modes.size()[1]));
    [target.dim().to_string(), log_z, samples.into(), modes]
}

fn summary_discrete(law: &Loaded<DiscreteConfig>) -> [String; 4] {
    match law.value.target.build((Kind::Double, Device::Cpu)) {
        Ok(target) => {
            let notes = format!("{} states a site; see `discrete`", target.num_states());
            [target.sites().to_string(), "".into(), "".into(), notes]
        }
        Err(error) => ["".into(), "".into(), "".into(), first_clause(&error)],
    }
}

fn first_clause(error: &anyhow::Error) -> String {
    cli::error_line(error).split(';').next().unwrap_or_default().to_string()
}
