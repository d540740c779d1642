//! `score`: exact laws, samples and studies of score-based samplers; learning scores.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sampler::bad_input;
use sampler::config::cli::{self, Common};
use sampler::config::load::{self, Loaded};
use sampler::config::to_yaml;
use sampler::io::atomic::write_atomic;
use sampler::log::table::{Table, figure};
use sampler::torch::{device, threads};
use sampler::train::run::Plan;
use sampler::train::score::learn::launch;
use sampler::train::score::subject::Subject;
use sampler::train::score::{ScoreConfig, bench, classifier, digits_study, exact, sample, study};
use sampler::train::{Cost, Run};
use serde_json::json;
use tch::{Device, Kind};

/// Discretisations of score-based samplers, measured against exact answers.
///
/// The process is dX = -X/2 dt + dB; samplers run it backwards from `horizon` to 0. Integrators (`integrator.type`):
/// euler, exponential, randomized_midpoint, exponential_randomized_midpoint, local_linearization (route: hessian or
/// series, terms: 1 to 7), ddpm, ddim (eta), probability_flow, heun, dpm_solver_2m. Targets: gaussian (mean, variance),
/// mixture (weights, means, covariances), logistic (lambda, score_samples). docs/score.md has every key.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  score exact configs/score/exact_gaussian.yaml 'target.mean=[1, -1]' 'target.variance=[0.1, 1.5]' num_steps=80
  score exact configs/score/exact_gaussian.yaml integrator.type=local_linearization --out law
  score sample configs/score/mixture_2d.yaml integrator.type=heun time_grid.type=karras
  score study configs/score/exact_gaussian.yaml
  score train configs/score/train/mixture_2d.yaml
  score study configs/score/digits.yaml
  score bench --json";

#[derive(Subcommand)]
enum Verb {
    /// The law of the samples without sampling: w2, mean and variance in summary.json
    Exact(Common),
    /// Draw samples `x` [n, D] (samples.safetensors) and compare them with exact ones
    Sample(Common),
    /// A grid over integrators and steps: study.json, study.md, study.csv, and W2 against h, calls and time
    Study(Common),
    /// Learn a score from samples of the data by denoising score matching: score.safetensors in the run folder
    Train(Common),
    /// Train the classifier whose features the Fréchet distance of images compares: classifier.safetensors
    Classifier(Common),
    /// Time a step of the integrators on a network
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let arguments = cli::parse::<Cli>();
    cli::run(move || match &arguments.verb {
        Verb::Exact(common) => with_run(common, run_exact),
        Verb::Sample(common) => with_run(common, run_sample),
        Verb::Study(common) => with_run(common, run_study),
        Verb::Train(common) => launch::train_score(common),
        Verb::Classifier(common) => classifier::train_classifier(common),
        Verb::Bench(args) => bench::bench(args),
    })
}

/// Loads and checks the config, opens the run folder, and goes on with `body`.
fn with_run(common: &Common, body: fn(&Loaded<ScoreConfig>, Device, Run) -> Result<()>) -> Result<()> {
    let mut loaded = load::load::<ScoreConfig>(&common.config, &common.all_overrides())?;
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
    let place = device::select(&common.device)?;
    let device = place.0;
    // A target that cannot be built leaves no folder behind.
    Subject::build(&loaded.value, (Kind::Double, Device::Cpu)).map_err(|error| loaded.locate(error))?;
    let plan = Plan { place, ..Plan::of(common, "score", &loaded.name, &loaded.yaml, loaded.value.seed) };
    let (run, _) = Run::open(&plan)?;
    let _no_grad = tch::no_grad_guard();
    body(&loaded, device, run).map_err(|error| loaded.locate(error))
}

fn run_exact(loaded: &Loaded<ScoreConfig>, _device: Device, mut run: Run) -> Result<()> {
    let config = &loaded.value;
    let (integrator, grid) = (config.integrator.build(), config.grid()?);
    let law = exact::exact(config, integrator.as_ref(), &grid)?;
    let mut figures = vec![("w2".to_string(), law.w2)];
    figures.extend(sample::cost_figures(&integrator.cost().times(grid.num_steps(), 1)));
    run.terminal.result(&figures_table(&figures).to_text());
    run.finish("done", grid.num_steps() as u64, Cost::default(), &figures)?;

    let mut summary = run.dir.summary().unwrap_or_default();
    summary.insert("mean".to_string(), json!(law.mean));
    summary.insert("variance".to_string(), json!(law.variance));
    run.dir.write_summary(&summary)
}

fn run_sample(loaded: &Loaded<ScoreConfig>, device: Device, mut run: Run) -> Result<()> {
    let config = &loaded.value;
    let (evaluation, cost) = sample::sample(config, (Kind::Double, device))?;
    let steps = config.num_steps as u64;
    run.show(steps, &evaluation)?;
    run.log(steps, &evaluation.scalars)?;
    run.terminal.result(&figures_table(&evaluation.scalars).to_text());
    let cost = Cost { target_calls: cost.score_calls * config.sample.repeats as u64, network_calls: 0 };
    run.finish("done", steps, cost, &evaluation.scalars)
}

fn run_study(loaded: &Loaded<ScoreConfig>, device: Device, mut run: Run) -> Result<()> {
    let config = &loaded.value;
    if config.data.is_some() {
        return run_image_study(loaded, device, run);
    }
    let study = study::study(config, (Kind::Double, device), &mut |line| run.terminal.line(line))?;
    run.pictures(0, &study.pictures()?)?;

    let (table, orders) = (study.table(), study.orders());
    let report = format!("{}\n{}", table.to_markdown(), orders.to_markdown());
    write_atomic(&run.dir.file("study.md"), report.as_bytes())?;
    write_atomic(&run.dir.file("study.csv"), table.to_csv().as_bytes())?;
    write_atomic(&run.dir.file("study.json"), &serde_json::to_vec_pretty(&study.rows())?)?;
    run.terminal.result(&format!("{}\n{}", table.to_text(), orders.to_text()));
    run.finish("done", 0, Cost::default(), &study.figures())
}

fn run_image_study(loaded: &Loaded<ScoreConfig>, device: Device, mut run: Run) -> Result<()> {
    let study = digits_study::study(&loaded.value, (Kind::Double, device), &mut |line| run.terminal.line(line))?;
    run.pictures(0, &study.pictures()?)?;
    let table = study.table();
    write_atomic(&run.dir.file("study.md"), table.to_markdown().as_bytes())?;
    write_atomic(&run.dir.file("study.csv"), table.to_csv().as_bytes())?;
    write_atomic(&run.dir.file("study.json"), &serde_json::to_vec_pretty(&study.rows())?)?;
    run.terminal.result(&table.to_text());
    run.finish("done", 0, Cost::default(), &study.figures())
}

fn figures_table(figures: &[(String, f64)]) -> Table {
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(tag, value)| table.row([tag.clone(), figure(*value, 6)]));
    table
}
