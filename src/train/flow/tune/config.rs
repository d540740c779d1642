//! The whole of a fine-tuning's YAML.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::samplers::importance::{Resampling, ReweightConfig};
use crate::train::bridge::config::Precision;
use crate::train::config::TrainConfig;
use crate::train::flow::config::{Augment, Batching, DataConfig, FlowEvalConfig};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTuneConfig {
    #[serde(default)]
    pub seed: u64,
    /// Precision of the network; log-densities and statistics are f64.
    #[serde(default)]
    pub precision: Precision,
    /// Weights to start from; also the teacher's.
    pub init: PathBuf,
    /// The molecule: a sequence in one-letter codes, or a name where `topology` is given.
    pub sequence: String,
    /// PDB file; left out, the peptide is built from its sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// OpenMM System file.
    pub system: String,
    /// Tensor file of frames (`x` `[M, 3 A]` or `positions` `[M, A, 3]`, nm) that evaluations compare with; nothing
    /// learns from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Length in nm that the network sees as 1; left out, what the weights file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Temperature of the energies, K; left out, what the weights file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Rounds into which the updates are divided; each begins with new proposals.
    #[serde(default = "four")]
    pub rounds: u64,
    /// Proposals, and evaluations of the energy, a round.
    #[serde(default = "published_proposals")]
    pub proposals: i64,
    /// Proposals that go through the network at once.
    #[serde(default = "chunk")]
    pub chunk: i64,
    /// From proposals to frames to learn from. A section without `resampling` resamples systematically.
    ///
    /// Where a handful of weights is nearly the whole sum, dropping the largest leaves another handful, and the flow
    /// learns them by heart (`train/buffer_distinct` tells); `truncate` with a larger fraction does not.
    #[serde(default = "published_reweight")]
    pub reweight: ReweightConfig,
    /// Left out: rotations alone, as published. The frames' centres then lie at the origin, and the longer a flow
    /// learns from them the further the law of its centres departs from the prior's, which weights assume.
    #[serde(default = "published_augment")]
    pub augment: Augment,
    #[serde(default)]
    pub teacher: TeacherConfig,
    /// With `eval_every: 0`, every round ends with an evaluation.
    pub train: TrainConfig,
    #[serde(default)]
    pub eval: FlowEvalConfig,
}

/// The `teacher:` section: a penalty for leaving the flow that fine-tuning started from, `weight` times the mean of
/// `(log q - log q_teacher)²`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherConfig {
    pub weight: f64,
    /// Whether both log-densities are divided by the number of coordinates, as in the paper; the 2026 code does not,
    /// which makes the penalty that number squared times as strong.
    pub per_dimension: bool,
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self { weight: 0.5, per_dimension: true }
    }
}

fn four() -> u64 {
    4
}

fn published_proposals() -> i64 {
    200_000
}

fn chunk() -> i64 {
    512
}

fn published_reweight() -> ReweightConfig {
    ReweightConfig { resampling: Resampling::Multinomial, ..ReweightConfig::default() }
}

fn published_augment() -> Augment {
    Augment { rotate: true, center_noise: false }
}

impl FlowTuneConfig {
    /// Checks everything that can be checked without reading files.
    pub fn validate(&self) -> Result<()> {
        if self.sequence.trim().is_empty() {
            return Err(bad_input!("'sequence' must name a peptide, found nothing"));
        }
        self.scale.map_or(Ok(()), |scale| check::positive("scale", scale))?;
        self.temperature.map_or(Ok(()), |temperature| check::positive("temperature", temperature))?;
        check::in_range("rounds", self.rounds, 1, 1_000_000)?;
        check::in_range("proposals", self.proposals, 2, 100_000_000)?;
        check::in_range("chunk", self.chunk, 1, 1_000_000)?;
        self.reweight.validate()?;
        check::non_negative("teacher.weight", self.teacher.weight)?;
        self.train.validate()?;
        check::in_range("eval.samples", self.eval.samples, 2, 10_000_000)?;
        check::in_range("eval.final_samples", self.eval.final_samples, 2, 10_000_000)?;
        check::in_range("eval.chunk", self.eval.chunk, 1, 1_000_000)?;
        self.eval.reweight.validate()?;
        if !self.eval.sequences.is_empty() {
            return Err(bad_input!("'eval.sequences' must be empty: the molecule is that of 'sequence'"));
        }
        Ok(())
    }

    /// Updates of a round; the last round may be shorter.
    pub fn round_updates(&self) -> u64 {
        self.train.steps.div_ceil(self.rounds).max(1)
    }

    /// The `train:` section with the evaluations that rounds end with.
    pub fn evaluated(&self) -> TrainConfig {
        let each = if self.train.eval_every == 0 { self.round_updates() } else { self.train.eval_every };
        TrainConfig { eval_every: each, ..self.train.clone() }
    }

    /// The molecule as the `data:` section of a training would describe it.
    pub(super) fn molecule(&self, scale: f64, temperature: f64) -> DataConfig {
        DataConfig {
            sequences: vec![self.sequence.clone()],
            topology: self.topology.clone(),
            system: Some(self.system.clone()),
            frames: self.reference.clone().unwrap_or_default(),
            most_frames: None,
            validation: 0.0,
            scale,
            temperature,
            batching: Batching::default(),
        }
    }
}
