//! Networks that a command line names: by a file of weights, or by a description.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Kind};

use super::config::FlowTrainConfig;
use crate::bad_input;
use crate::config::load::load;
use crate::flows::store::{self, Report};
use crate::flows::{AutoregressiveFlow, FlowConfig};

/// How to read a file of weights.
#[derive(Debug, Clone, Args)]
pub struct Reading {
    /// What the network is, for weights that do not say it themselves: a YAML file of its keys (those published with
    /// weights, or a `flow:` section as in configs/flow)
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,

    /// Which copy of the weights, where a training checkpoint holds both
    #[arg(long, value_enum, default_value_t = Copy::Averaged)]
    pub copy: Copy,
}

/// [`store::Copy`] as a word of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Copy {
    /// Averaged weights where there are any
    Averaged,
    /// The weights as the optimizer left them
    Raw,
}

impl Copy {
    pub fn name(self) -> &'static str {
        match self {
            Copy::Averaged => "averaged",
            Copy::Raw => "raw",
        }
    }
}

impl Reading {
    /// The network in `file`, in the given kind and on the given device, and what of the file went into it.
    pub fn flow(&self, file: &Path, options: (Kind, Device)) -> Result<(AutoregressiveFlow, Report)> {
        let described = self.config.as_ref().map(|path| describe(path, &[])).transpose()?;
        let copy = match self.copy {
            Copy::Averaged => store::Copy::Averaged,
            Copy::Raw => store::Copy::Raw,
        };
        store::read(file, described.map(|described| described.flow).as_ref(), copy, options)
    }
}

/// A network that has no weights yet.
#[derive(Debug)]
pub struct Description {
    pub flow: FlowConfig,
    pub seed: u64,
    /// What of a training config a weights file tells its users: `scale` (nm) and `temperature` (K).
    pub notes: BTreeMap<String, String>,
}

/// A file with a `flow:` section alone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alone {
    flow: FlowConfig,
}

/// Reads a training config, a `flow:` section alone, its keys alone, or the keys that are published with weights.
///
/// `overrides` are `key=value` by dotted path.
pub fn describe(path: &Path, overrides: &[String]) -> Result<Description> {
    let whole = load::<Value>(path, overrides)?.value;
    if whole.get("train").is_some() || whole.get("data").is_some() {
        return trained(path, overrides);
    }
    let flow = match whole.get("flow").and_then(|flow| flow.get("type")) {
        Some(_) => {
            let loaded = load::<Alone>(path, overrides)?;
            loaded.value.flow.validate().map_err(|error| loaded.locate(error))?;
            loaded.value.flow
        }
        None => FlowConfig::from_json(&whole, &path.display().to_string())?,
    };
    Ok(Description { flow, seed: 0, notes: BTreeMap::new() })
}

fn trained(path: &Path, overrides: &[String]) -> Result<Description> {
    let loaded = load::<FlowTrainConfig>(path, overrides)?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    let config = loaded.value;
    let Some(flow) = config.flow else {
        return Err(bad_input!("{}: describes no network, its 'init' names weights; take those", path.display()));
    };
    let notes = [("scale", config.data.scale), ("temperature", config.data.temperature)];
    let notes = notes.map(|(key, value)| (key.to_string(), value.to_string()));
    Ok(Description { flow, seed: config.seed, notes: BTreeMap::from(notes) })
}
