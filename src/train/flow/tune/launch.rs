//! From the command line to a fine-tuning run.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tch::Device;

use super::config::FlowTuneConfig;
use super::objective::{Teacher, TuneObjective};
use crate::bad_input;
use crate::config::cli::Common;
use crate::config::load;
use crate::config::to_yaml;
use crate::flows::{AutoregressiveFlow, Flow, store};
use crate::io::environment::sha256;
use crate::io::weights::{Weights, read_weights};
use crate::torch::{device, threads};
use crate::train::flow::config::DataConfig;
use crate::train::flow::data;
use crate::train::flow::launch::save;
use crate::train::flow::reference::Reference;
use crate::train::flow::subject::Subject;
use crate::train::flow::team::FlowTeam;
use crate::train::objective::Objective;
use crate::train::run::Plan;
use crate::train::{Run, train};

/// `flow finetune`: trains on reweighted proposals, then writes the weights as `flow train` does.
pub fn finetune(common: &Common) -> Result<()> {
    let loaded = load::load::<FlowTuneConfig>(&common.config, &common.all_overrides())?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    if common.dry_run {
        print!("{}", to_yaml(&loaded.value)?);
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let mut objective = build(&loaded.value, place.0).map_err(|error| loaded.locate(error))?;
    let config = objective.config.clone();
    let yaml = to_yaml(&config)?;
    let keep_checkpoints = config.train.keep_checkpoints;
    let plan = Plan { keep_checkpoints, place, ..Plan::of(common, "flow", &loaded.name, &yaml, config.seed) };
    let (mut run, checkpoint) = Run::open(&plan)?;
    let (name, atoms, parameters) = (&config.sequence, objective.subject.atoms(), objective.params().count());
    let (rounds, proposals) = (config.rounds, config.proposals);
    run.terminal.line(&format!("{parameters} parameters, {name} ({atoms} atoms), {rounds} x {proposals} proposals"));
    train(&mut objective, &config.evaluated(), &mut run, checkpoint)?;
    save(&mut run, &objective.team, &notes(&objective.config))
}

/// Builds what a (validated) config describes; its `scale` and `temperature` are then filled in.
pub fn build(config: &FlowTuneConfig, device: Device) -> Result<TuneObjective> {
    let flow = store::read(&config.init, None, store::Copy::Averaged, (config.precision.kind(), device))?.0;
    let config = filled(config)?;
    let (Some(scale), Some(temperature)) = (config.scale, config.temperature) else {
        unreachable!("filled in just now")
    };
    let molecule = config.molecule(scale, temperature);
    let subject = data::subject(&molecule, &config.sequence, flow.config())?;
    let reference = config.reference.as_ref().map(|_| reference(&molecule, &subject)).transpose()?;
    let teacher = if config.teacher.weight > 0.0 {
        let sha256 = sha256(&config.init).with_context(|| config.init.display().to_string())?;
        Some(Teacher { team: FlowTeam::new(copied(&flow)?)?, sha256 })
    } else {
        None
    };
    let team = FlowTeam::new(flow)?;
    let (buffer, updates, cost) = (None, 0, Default::default());
    Ok(TuneObjective { team, teacher, subject, reference, config, buffer, updates, cost })
}

/// What the config leaves out and the weights file says.
fn filled(config: &FlowTuneConfig) -> Result<FlowTuneConfig> {
    if config.scale.is_some() && config.temperature.is_some() {
        return Ok(config.clone());
    }
    let weights = read_weights(&config.init)?;
    let scale = config.scale.map_or_else(|| noted(&weights, "scale", "nm"), Ok)?;
    let temperature = config.temperature.map_or_else(|| noted(&weights, "temperature", "K"), Ok)?;
    Ok(FlowTuneConfig { scale: Some(scale), temperature: Some(temperature), ..config.clone() })
}

/// A positive number from a weights file's metadata.
fn noted(weights: &Weights, key: &str, unit: &str) -> Result<f64> {
    let source = &weights.source;
    let Some(text) = weights.metadata.get(key) else {
        return Err(bad_input!("{source}: the metadata have no '{key}'; give '{key}' ({unit}) in the config"));
    };
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && value.is_finite());
    value.ok_or_else(|| bad_input!("{source}: metadata '{key}' is '{text}', expected a positive number ({unit})"))
}

fn reference(molecule: &DataConfig, subject: &Subject) -> Result<Reference> {
    Reference::read(&data::file_of(&molecule.frames, &subject.name), subject, molecule.scale)
}

/// A network with the same parameters and none of its memory.
fn copied(flow: &AutoregressiveFlow) -> Result<AutoregressiveFlow> {
    let copy = flow.config().build(flow.params().kind(), flow.params().device())?;
    let _guard = tch::no_grad_guard();
    for ((_, from), (_, mut to)) in flow.params().named().into_iter().zip(copy.params().named()) {
        to.copy_(&from);
    }
    Ok(copy)
}

/// What a later user of the weights must know.
fn notes(config: &FlowTuneConfig) -> BTreeMap<String, String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    BTreeMap::from([
        ("scale".to_string(), number(config.scale)),
        ("temperature".to_string(), number(config.temperature)),
        ("sequences".to_string(), config.sequence.clone()),
        ("finetuned_from".to_string(), config.init.display().to_string()),
    ])
}
