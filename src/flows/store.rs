//! Weight files of flows: reading whatever published files and training frameworks leave behind, and writing files that
//! say by themselves how to build their network.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::Flow;
use super::config::{FlowConfig, NetworkConfig};
use super::layout::{Entry, layout};
use super::network::AutoregressiveFlow;
use crate::bad_input;
use crate::io::assign::{Leniency, assign_with};
use crate::io::weights::{Weights, read_weights, write_weights};

/// Where a file's metadata holds the configuration, as JSON.
pub const CONFIG_KEY: &str = "flow";

/// A name that every flow's state has; what stands before it in a file is the prefix of all others.
const LANDMARK: &str = "cond_embed.atom_embed.weight";

/// Which of several copies of the weights a training checkpoint may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Copy {
    /// Averaged weights where there are any.
    #[default]
    Averaged,
    /// The weights as the optimizer left them.
    Raw,
}

/// What of a file went into the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub source: String,
    pub format: String,
    /// Where the configuration came from: the file, the caller, or the tensors' shapes.
    pub config_from: &'static str,
    /// What names have before the network's own; for averages kept as a list, the list's name.
    pub prefix: String,
    pub matched: usize,
    pub parameters: i64,
    /// Buffers of the file, which are made anew.
    pub buffers: usize,
    /// Tensors of another kind that were converted.
    pub converted: usize,
    /// Tensors outside the prefix, passed over: their names' first part, and how many.
    pub set_aside: BTreeMap<String, usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { source, format, matched, parameters, buffers, prefix, config_from, .. } = self;
        write!(f, "{source} ({format}): {matched} tensors matched, {parameters} parameters")?;
        write!(f, "; configuration from {config_from}; prefix '{prefix}'; {buffers} buffers made anew")?;
        if self.converted > 0 {
            write!(f, "; {} converted from another kind", self.converted)?;
        }
        for (name, count) in &self.set_aside {
            write!(f, "; {count} under '{name}' passed over")?;
        }
        Ok(())
    }
}

/// Reads a flow from any file of tensors, in the given kind and on the given device.
///
/// The configuration is the caller's, else the file's own, else what the shapes tell (head width, atom orders and the
/// like are then the published ones). Every parameter must be there, finite and of its shape, and nothing beside.
pub fn read(
    path: &Path,
    config: Option<&FlowConfig>,
    copy: Copy,
    (kind, device): (Kind, Device),
) -> Result<(AutoregressiveFlow, Report)> {
    let weights = read_weights(path)?;
    let names = Names::find(&weights, copy)?;
    let (config, config_from) = configuration(&weights, config, &names)?;
    let entries = layout(&config);
    fits(&weights, &names, &entries)?;

    let flow = config.build(kind, device)?;
    let taken = names.own(&weights, &entries);
    let owned: HashSet<&str> = taken.iter().map(|(theirs, _)| theirs.as_str()).collect();
    let map: BTreeMap<&str, &str> = taken.iter().map(|(theirs, ours)| (theirs.as_str(), ours.as_str())).collect();
    let buffers: HashSet<&str> = entries.iter().filter(|e| e.is_buffer()).map(|e| e.name.as_str()).collect();
    let rename = |name: &str| map.get(name).filter(|own| !buffers.contains(**own)).map(|own| own.to_string());
    let done = assign_with(&flow.params().named(), &weights, rename, Leniency { cast: true, ..Leniency::default() })?;

    let mut set_aside = BTreeMap::new();
    for (name, _) in weights.tensors.iter().filter(|(name, _)| !owned.contains(name.as_str())) {
        *set_aside.entry(name.split('.').next().unwrap_or_default().to_string()).or_default() += 1;
    }
    let report = Report {
        source: weights.source.clone(),
        format: weights.format.to_string(),
        config_from,
        prefix: names.prefix(),
        matched: done.assigned,
        parameters: flow.params().count(),
        buffers: map.values().filter(|own| buffers.contains(**own)).count(),
        converted: done.cast.len(),
        set_aside,
    };
    Ok((flow, report))
}

/// Writes a flow's parameters with its configuration, and `notes` (source, hash, training) beside it in the metadata.
pub fn write(path: &Path, flow: &dyn Flow, notes: &BTreeMap<String, String>) -> Result<()> {
    write_named(path, flow.config(), &flow.params().named(), notes)
}

/// [`write`] for parameters under their names, such as averaged ones.
pub fn write_named(
    path: &Path,
    config: &FlowConfig,
    params: &[(String, Tensor)],
    notes: &BTreeMap<String, String>,
) -> Result<()> {
    let plain: Vec<(String, Tensor)> =
        params.iter().map(|(name, t)| (name.clone(), t.detach().to_device(Device::Cpu))).collect();
    let mut metadata = notes.clone();
    metadata.insert(CONFIG_KEY.into(), serde_json::to_string(config)?);
    write_weights(path, &plain, &metadata)
}

fn configuration(weights: &Weights, given: Option<&FlowConfig>, names: &Names) -> Result<(FlowConfig, &'static str)> {
    if let Some(config) = given {
        config.validate()?;
        return Ok((config.clone(), "the caller"));
    }
    let Some(text) = weights.metadata.get(CONFIG_KEY) else {
        return Ok((guessed(weights, names)?, "shapes, the rest as published"));
    };
    let source = format!("{}: metadata '{CONFIG_KEY}'", weights.source);
    let value: Value = serde_json::from_str(text).map_err(|error| bad_input!("{source}: is not JSON: {error}"))?;
    Ok((FlowConfig::from_json(&value, &source)?, "the file"))
}

/// Where a file keeps the wanted copy of the weights.
enum Names {
    /// Under their names, behind this prefix.
    Prefixed(String),
    /// As `<list><i>` in the order of the network's parameters, whose names stand behind `model`.
    Listed { list: String, model: String },
}

impl Names {
    fn find(weights: &Weights, copy: Copy) -> Result<Self> {
        let prefixes = weights.tensors.iter().filter_map(|(name, _)| name.strip_suffix(LANDMARK));
        // The frozen teacher of a fine-tuning run is not the network.
        let mut prefixes: Vec<&str> = prefixes.filter(|p| !p.contains("teacher.")).collect();
        prefixes.sort_by_key(|prefix| {
            let raw = prefix.starts_with("current_model_state.");
            (raw == (copy == Copy::Averaged), prefix.len())
        });
        let Some(prefix) = prefixes.first() else {
            let found = weights.tensors.first().map_or("none", |(name, _)| name);
            return Err(bad_input!(
                "{}: no tensor '{LANDMARK}' under any prefix, found '{found}' and others; \
                not a flow's weights",
                weights.source
            ));
        };
        let list = prefix.strip_suffix("model.").map(|base| format!("{base}shadow_params."));
        Ok(match list.filter(|list| copy == Copy::Averaged && weights.get(&format!("{list}0")).is_some()) {
            Some(list) => Names::Listed { list, model: prefix.to_string() },
            None => Names::Prefixed(prefix.to_string()),
        })
    }

    fn prefix(&self) -> String {
        match self {
            Names::Prefixed(prefix) => prefix.clone(),
            Names::Listed { list, .. } => list.clone(),
        }
    }

    /// Pairs of the file's names and the network's own, for all that belongs to the network.
    fn own(&self, weights: &Weights, entries: &[Entry]) -> Vec<(String, String)> {
        let names = weights.tensors.iter().map(|(name, _)| name);
        match self {
            Names::Prefixed(prefix) => {
                let inner = names.filter(|name| !name.starts_with("teacher."));
                inner.filter_map(|name| Some((name.clone(), name.strip_prefix(prefix.as_str())?.to_string()))).collect()
            }
            Names::Listed { list, .. } => {
                let parameters: Vec<&Entry> = entries.iter().filter(|entry| !entry.is_buffer()).collect();
                let place = |name: &str| name.strip_prefix(list.as_str())?.parse::<usize>().ok();
                let own = |i: usize| parameters.get(i).map_or(format!("{list}{i}"), |entry| entry.name.clone());
                names.filter_map(|name| Some((name.clone(), own(place(name)?)))).collect()
            }
        }
    }
}

/// Refuses a file whose tensors do not fit, before memory is spent on the network; and one with NaN or infinity.
fn fits(weights: &Weights, names: &Names, entries: &[Entry]) -> Result<()> {
    let known: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let (source, mut found) = (&weights.source, HashSet::new());
    for (theirs, own) in names.own(weights, entries) {
        let Some(tensor) = weights.get(&theirs) else { continue };
        let Some(entry) = known.get(own.as_str()) else {
            return Err(bad_input!("{source}: tensor '{theirs}' is not part of the configured network"));
        };
        if tensor.size() != entry.shape {
            let (shape, expected) = (tensor.size(), &entry.shape);
            return Err(bad_input!("{source}: tensor '{theirs}' has shape {shape:?}, expected {expected:?}"));
        }
        if !entry.is_buffer() && !bool::try_from(tensor.isfinite().all()).unwrap_or(false) {
            return Err(bad_input!("{source}: tensor '{theirs}' holds NaN or infinity; the file is unusable"));
        }
        found.insert(own);
    }
    let missing: Vec<&Entry> = entries.iter().filter(|e| !e.is_buffer() && !found.contains(&e.name)).collect();
    match missing.first() {
        Some(first) => {
            let (count, prefix) = (missing.len(), names.prefix());
            Err(bad_input!("{source}: {count} tensors are missing, '{}' under prefix '{prefix}' first", first.name))
        }
        None => Ok(()),
    }
}

/// The configuration that tensors' shapes tell, with the published choices for what they do not.
fn guessed(weights: &Weights, names: &Names) -> Result<FlowConfig> {
    let (Names::Prefixed(prefix) | Names::Listed { model: prefix, .. }) = names;
    let shape = |name: &str, axis: usize| {
        let tensor = weights.get(&format!("{prefix}{name}"));
        let extent = tensor.and_then(|t| t.size().get(axis).copied());
        extent.ok_or_else(|| {
            bad_input!("{}: no configuration in the file, and no tensor '{prefix}{name}' to tell it by", weights.source)
        })
    };
    let has = |name: &str| weights.get(&format!("{prefix}{name}")).is_some();
    let count = |part: &dyn Fn(i64) -> String| (0..).take_while(|i| has(&part(*i))).count() as i64;

    let adaptive = has("blocks.0.attn_blocks.0.mha.adaln.to_beta.weight");
    let inner = if adaptive { "mha.mha" } else { "" };
    let at = |l: i64, rest: &str| format!("blocks.0.attn_blocks.{l}.{inner}.{rest}").replace("..", ".");
    let channels = shape("blocks.0.proj_in.weight", 0)?;
    let mut network = NetworkConfig {
        channels,
        num_blocks: count(&|b| format!("blocks.{b}.proj_in.weight")),
        layers_per_block: count(&|l| at(l, "mlp.norm.weight")),
        expansion: shape(&at(0, "mlp.main.0.weight"), 0)? / channels.max(1),
        use_qkln: has(&at(0, "attention.q_layer_norm.weight")),
        ..NetworkConfig::default()
    };
    network.max_num_tokens = shape("blocks.0.attn_mask", 0).unwrap_or(network.max_num_tokens);
    network.head_dim = network.head_dim.min(channels);
    network.cond_embed.num_atom_emb = shape(LANDMARK, 0)?;
    network.cond_embed.num_residue_emb = shape("cond_embed.residue_embed.weight", 0)?;
    let width = shape(LANDMARK, 1)?;
    network.cond_embed.hidden_dim = (width != channels).then_some(width);
    if adaptive {
        network.lookahead_conditioning = (!has("blocks.0.proj_cond.0.weight")).then_some(false);
        let transition = has("blocks.0.attn_blocks.0.transition.adaln.to_beta.weight");
        network.use_transition = (!transition).then_some(false);
    }
    let config = if adaptive { FlowConfig::Prose(network) } else { FlowConfig::Tarflow(network) };
    let source = &weights.source;
    config
        .validate()
        .map_err(|error| bad_input!("{source}: no configuration in the file, and by its shapes {error}"))?;
    Ok(config)
}
