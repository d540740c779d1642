//! From the command line to a training run.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::Device;

use super::config::FlowTrainConfig;
use super::data::Ensemble;
use super::evaluate::Measure;
use super::objective::FlowObjective;
use super::sample::Notes;
use super::team::FlowTeam;
use crate::bad_input;
use crate::config::cli::Common;
use crate::config::load::{self, Loaded};
use crate::config::to_yaml;
use crate::flows::{AutoregressiveFlow, Flow, store};
use crate::io::checkpoint;
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::objective::Objective;
use crate::train::run::Plan;
use crate::train::{Run, train};

/// `flow train`: trains, then writes the weights as one file that says how to build its network.
pub fn train_flow(common: &Common) -> Result<()> {
    let loaded = load_config(common)?;
    if common.dry_run {
        print!("{}", to_yaml(&loaded.value)?);
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let config = &loaded.value;
    let mut objective = build(config, place.0).map_err(|error| loaded.locate(error))?;
    let yaml = to_yaml(config)?;
    let keep_checkpoints = config.train.keep_checkpoints;
    let plan = Plan { keep_checkpoints, place, ..Plan::of(common, "flow", &loaded.name, &yaml, config.seed) };
    let (mut run, checkpoint) = Run::open(&plan)?;
    let parameters = objective.params().count();
    run.terminal.line(&format!("{parameters} parameters, {} molecules", objective.ensembles.len()));
    train(&mut objective, &config.train, &mut run, checkpoint)?;
    save(&mut run, &objective.team, &notes(config))
}

fn load_config(common: &Common) -> Result<Loaded<FlowTrainConfig>> {
    let loaded = load::load::<FlowTrainConfig>(&common.config, &common.all_overrides())?;
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    Ok(loaded)
}

/// Builds what a (validated) config describes: network, data, and what to measure on.
pub fn build(config: &FlowTrainConfig, device: Device) -> Result<FlowObjective> {
    let flow = network(config, device)?;
    let kind = config.precision.kind();
    let ensembles =
        config.data.sequences.iter().map(|sequence| Ensemble::read(&config.data, sequence, flow.config(), kind));
    let ensembles = ensembles.collect::<Result<Vec<_>>>()?;
    let measures = config.measured().iter().map(|sequence| Measure::read(config, sequence, flow.config()));
    let measures = measures.collect::<Result<Vec<_>>>()?;
    let (team, config) = (FlowTeam::new(flow)?, config.clone());
    Ok(FlowObjective { team, config, ensembles, measures, cost: Default::default() })
}

pub(super) fn network(config: &FlowTrainConfig, device: Device) -> Result<AutoregressiveFlow> {
    let kind = config.precision.kind();
    if let Some(path) = &config.init {
        let (here, file) = (config.data.scale, path.display());
        if let Some(there) = Notes::of(path)?.scale.filter(|there| (there - here).abs() > 1e-9 * here) {
            return Err(bad_input!("'data.scale' is {here}, but {file} was trained with {there}; set it to that"));
        }
        return Ok(store::read(path, None, store::Copy::Averaged, (kind, device))?.0);
    }
    reseed(config.seed, Stream::Init, 0);
    config.flow.clone().unwrap_or_else(|| unreachable!("validated: 'flow' or 'init'")).build(kind, device)
}

/// What a later user of the weights must know.
fn notes(config: &FlowTrainConfig) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("scale".to_string(), config.data.scale.to_string()),
        ("temperature".to_string(), config.data.temperature.to_string()),
        ("sequences".to_string(), config.data.sequences.join(" ")),
    ])
}

/// Writes `flow.safetensors`: the averaged weights where the run has any, else the team's own.
pub(super) fn save(run: &mut Run, team: &FlowTeam, notes: &BTreeMap<String, String>) -> Result<()> {
    let newest = checkpoint::latest(&run.dir.checkpoints())?;
    let averaged = newest.map(|newest| newest.tensors_if_any("ema")).transpose()?.flatten();
    let params = averaged.map_or_else(|| team.params().named(), |ema| ema.tensors);
    let file = run.dir.file("flow.safetensors");
    store::write_named(&file, team.first().config(), &params, notes)?;
    run.terminal.line(&format!("weights: {}", file.display()));
    Ok(())
}
