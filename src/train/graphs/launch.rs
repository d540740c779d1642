//! From the command line to runs on graphs.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::config::GraphsConfig;
use super::objective::build;
use crate::bad_input;
use crate::config::cli::Common;
use crate::config::load::{Loaded, load};
use crate::config::to_yaml;
use crate::io::assign::assign;
use crate::io::checkpoint;
use crate::log::table::{Table, figure};
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::objective::Objective;
use crate::train::run::Plan;
use crate::train::{Run, train};

/// `graphs train`.
pub fn train_graphs(common: &Common) -> Result<()> {
    let loaded = load_config(common)?;
    let (config, yaml) = (&loaded.value, to_yaml(&loaded.value)?);
    if common.dry_run {
        print!("{yaml}");
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let plan = Plan {
        keep_checkpoints: config.train.keep_checkpoints,
        place,
        ..Plan::of(common, "graphs", &loaded.name, &yaml, config.seed)
    };
    let (mut run, checkpoint) = Run::open(&plan)?;
    run.terminal.line(&format!("{} parameters", objective.params().count()));
    let figures = train(&mut objective, &config.train, &mut run, checkpoint)?;
    run.terminal.result(&table(&figures).to_text());
    Ok(())
}

fn load_config(common: &Common) -> Result<Loaded<GraphsConfig>> {
    let loaded = load::<GraphsConfig>(&common.config, &common.all_overrides())?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    Ok(loaded)
}

fn table(figures: &[(String, f64)]) -> Table {
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(name, value)| table.row([name.clone(), figure(*value, 5)]));
    table
}

#[derive(Args)]
pub struct EvalArgs {
    /// Run folder of a training
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Keys to change: graphs.*, test_graphs, samples, sampler.*, seed, anneal.last (the temperature of the answers)
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where to compute: auto, cpu, cuda, or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

/// `graphs eval`: a trained network on test graphs, of its own family or of another.
pub fn eval(args: &EvalArgs) -> Result<()> {
    let allowed = ["graphs.", "test_graphs=", "samples=", "sampler.", "seed=", "anneal.last="];
    if let Some(wrong) = args.overrides.iter().find(|o| !allowed.iter().any(|start| o.starts_with(start))) {
        return Err(bad_input!("override '{wrong}': a trained run can change {} only", allowed.join(", ")));
    }
    let loaded = load::<GraphsConfig>(&args.run.join("config.yaml"), &args.overrides)?;
    let mut config = loaded.value.clone();
    config.validate().map_err(|error| loaded.locate(error))?;
    let newest = checkpoint::latest(&args.run.join("checkpoints"))?;
    let newest = newest.ok_or_else(|| bad_input!("{}: has no complete checkpoint yet", args.run.display()))?;
    threads::configure(Some(1));
    let (device, _) = device::select(&args.device)?;

    // Answers are wanted at the last temperature, whichever update the checkpoint is of.
    config.anneal.first = config.anneal.last;
    config.train_graphs = 1;
    let mut objective = build(&config, device).map_err(|error| loaded.locate(error))?;
    let weights = match newest.tensors_if_any("ema")? {
        Some(averaged) => averaged,
        None => newest.tensors("weights")?,
    };
    assign(&objective.params().named(), &weights, |name| Some(name.to_string()))?;
    reseed(config.seed, Stream::Eval, newest.step);
    let evaluation = objective.evaluate(true)?;
    print!("{}", table(&evaluation.scalars).to_text());
    Ok(())
}
