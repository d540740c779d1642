//! From the command line to a training run.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind};

use super::config::LearnConfig;
use super::objective::LearnObjective;
use crate::config::cli::Common;
use crate::config::{load, to_yaml};
use crate::nets::Denoiser;
use crate::samplers::score::models::LearnedScore;
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::denoiser::store;
use crate::train::objective::Objective;
use crate::train::run::Plan;
use crate::train::{Run, train};

/// Name of the file of weights in the run folder.
pub const WEIGHTS: &str = "score.safetensors";

/// `score train`: trains, then writes `score.safetensors`, a file of weights that says how to build its network.
pub fn train_score(common: &Common) -> Result<()> {
    let loaded = load::load::<LearnConfig>(&common.config, &common.all_overrides())?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    let (config, yaml) = (&loaded.value, to_yaml(&loaded.value)?);
    if common.dry_run {
        print!("{yaml}");
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let keep_checkpoints = config.train.keep_checkpoints;
    let plan = Plan { keep_checkpoints, place, ..Plan::of(common, "score", &loaded.name, &yaml, config.seed) };
    let (mut run, checkpoint) = Run::open(&plan)?;
    run.terminal.line(&format!("{} parameters", objective.params().count()));
    train(&mut objective, &config.train, &mut run, checkpoint)?;
    save(&mut run, &objective)
}

/// Builds what a (validated) config describes: data, and a network as training starts it.
pub fn build(config: &LearnConfig, device: Device) -> Result<LearnObjective> {
    let source = config.source(device)?;
    let network = config.network(&source)?;
    reseed(config.seed, Stream::Init, 0);
    let denoiser = Denoiser::new(&network, (Kind::Float, device))?;
    Ok(LearnObjective::new(LearnedScore::new(denoiser), source, config.clone()))
}

fn save(run: &mut Run, objective: &LearnObjective) -> Result<()> {
    let denoiser = objective.model.denoiser();
    let params = store::trained(run, denoiser.params().named())?;
    let notes = BTreeMap::from([
        ("horizon".to_string(), objective.config.horizon.to_string()),
        ("seed".to_string(), objective.config.seed.to_string()),
        ("updates".to_string(), objective.config.train.steps.to_string()),
    ]);
    let file = run.dir.file(WEIGHTS);
    store::write(&file, denoiser.config(), &params, &notes)?;
    run.terminal.line(&format!("weights: {}", file.display()));
    Ok(())
}
