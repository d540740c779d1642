//! The whole of a flow experiment's YAML.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::flows::FlowConfig;
use crate::samplers::importance::ReweightConfig;
use crate::train::bridge::config::Precision;
use crate::train::config::TrainConfig;

/// What stands for the sequence in the paths of the `data:` section.
pub const PLACE: &str = "{sequence}";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTrainConfig {
    #[serde(default)]
    pub seed: u64,
    /// Precision of the network; log-densities and statistics are f64.
    #[serde(default)]
    pub precision: Precision,
    /// The network. Weights named by `init` bring their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowConfig>,
    /// Weights to start from; left out, training starts from nothing. (`--resume` goes on with a run.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    pub data: DataConfig,
    #[serde(default)]
    pub augment: Augment,
    pub train: TrainConfig,
    #[serde(default)]
    pub eval: FlowEvalConfig,
}

/// The `data:` section: molecules and their conformations. `{sequence}` in a path is replaced by each sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Sequences to train on, in one-letter codes (or names, where `topology` names PDB files).
    pub sequences: Vec<String>,
    /// PDB file; left out, the peptide is built from its sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// OpenMM System file; without it, evaluation has no energies and no weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tensor file with `x` `[M, 3 A]` or `positions` `[M, A, 3]`, nm.
    pub frames: String,
    /// Most frames of a molecule that are kept in memory, spread evenly over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_frames: Option<i64>,
    /// Share of the frames, the last ones, that training does not see and evaluation compares with.
    #[serde(default = "twentieth")]
    pub validation: f64,
    /// Length in nm that the network sees as 1.
    #[serde(default = "published_scale")]
    pub scale: f64,
    /// Temperature of the frames and of the energies, K.
    #[serde(default = "published_temperature")]
    pub temperature: f64,
    #[serde(default)]
    pub batching: Batching,
}

/// How molecules of different length come together in a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Batching {
    /// So many molecules a batch, equally many frames of each; no padding, and what depends on the molecule alone is
    /// computed once for its frames.
    Grouped { molecules: i64 },
    /// Every row a molecule of its own, padded to the longest (the published code's batches).
    Padded {},
}

/// The `augment:` section; frames are centred and scaled in any case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// A uniformly random rotation of every frame.
    pub rotate: bool,
    /// A normal shift of the whole frame with variance 1 / atoms along each axis, in scaled units: what the prior gives.
    pub center_noise: bool,
}

/// The `eval:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowEvalConfig {
    /// Sequences to measure on; left out, the first training sequence.
    pub sequences: Vec<String>,
    /// Proposals drawn for each, and frames that they are compared with.
    pub samples: i64,
    /// The same at the end of training.
    pub final_samples: i64,
    /// Most points a side in distances between distributions; 10,000 as published takes long where a few proposals lie
    /// thousands of times further out than the rest.
    pub compared: i64,
    /// Rows that go through the network at once.
    pub chunk: i64,
    /// What is done with the proposals' weights.
    pub reweight: ReweightConfig,
}

impl Default for Batching {
    fn default() -> Self {
        Self::Grouped { molecules: 1 }
    }
}

impl Default for Augment {
    fn default() -> Self {
        Self { rotate: true, center_noise: true }
    }
}

impl Default for FlowEvalConfig {
    fn default() -> Self {
        Self {
            sequences: Vec::new(),
            samples: 512,
            final_samples: 2000,
            compared: 2000,
            chunk: 256,
            reweight: ReweightConfig::default(),
        }
    }
}

fn twentieth() -> f64 {
    0.05
}

/// PROSE's for peptides of up to eight residues.
fn published_scale() -> f64 {
    0.35
}

fn published_temperature() -> f64 {
    310.0
}

impl FlowTrainConfig {
    /// Checks everything that can be checked without reading files.
    pub fn validate(&self) -> Result<()> {
        match (&self.flow, &self.init) {
            (None, None) => return Err(bad_input!("'flow' must describe the network, or 'init' name weights")),
            (Some(_), Some(_)) => {
                return Err(bad_input!(
                    "'flow' and 'init' are both given; weights bring their own network, leave one out"
                ));
            }
            (Some(flow), None) => flow.validate()?,
            (None, Some(_)) => {}
        }
        self.data.validate(&self.eval.sequences)?;
        self.train.validate()?;
        if self.data.validation == 0.0 && self.measured().iter().any(|name| self.data.sequences.contains(name)) {
            return Err(bad_input!(
                "'data.validation' is 0, which leaves no frames to measure training molecules on; raise it, or name \
                 others in 'eval.sequences'"
            ));
        }
        if let Batching::Grouped { molecules } = self.data.batching {
            check::in_range("data.batching.molecules", molecules, 1, self.train.batch)?;
        }
        check::in_range("eval.samples", self.eval.samples, 2, 10_000_000)?;
        check::in_range("eval.final_samples", self.eval.final_samples, 2, 10_000_000)?;
        check::in_range("eval.compared", self.eval.compared, 1, 100_000)?;
        check::in_range("eval.chunk", self.eval.chunk, 1, 1_000_000)?;
        self.eval.reweight.validate_at("eval.reweight")
    }

    /// Sequences of the evaluation.
    pub fn measured(&self) -> &[String] {
        if self.eval.sequences.is_empty() { &self.data.sequences[..1] } else { &self.eval.sequences }
    }
}

impl DataConfig {
    /// `measured`: further sequences that the paths must serve.
    fn validate(&self, measured: &[String]) -> Result<()> {
        check::not_empty("data.sequences", &self.sequences)?;
        for (key, sequences) in [("data.sequences", &self.sequences[..]), ("eval.sequences", measured)] {
            let again = (1..sequences.len()).find(|i| sequences[..*i].contains(&sequences[*i]));
            if let Some(again) = again.map(|i| &sequences[i]) {
                return Err(bad_input!("'{key}' names {again} twice"));
            }
        }
        check::positive("data.scale", self.scale)?;
        check::positive("data.temperature", self.temperature)?;
        check::in_range("data.validation", self.validation, 0.0, 0.9)?;
        self.most_frames.map_or(Ok(()), |most| check::at_least("data.most_frames", most, 2))?;
        let named = [("data.frames", Some(&self.frames)), ("data.topology", self.topology.as_ref())];
        let named = named.into_iter().chain([("data.system", self.system.as_ref())]);
        let others = measured.iter().filter(|name| !self.sequences.contains(name)).count();
        let count = self.sequences.len() + others;
        for (key, path) in named {
            if path.is_some_and(|path| count > 1 && !path.contains(PLACE)) {
                return Err(bad_input!("'{key}' names one file for {count} sequences; write {PLACE} for them"));
            }
        }
        Ok(())
    }
}
