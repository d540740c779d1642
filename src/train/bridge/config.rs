//! The whole of a bridge experiment's YAML.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::losses::LossConfig;
use crate::metrics::mmd::MmdKernel;
use crate::metrics::sinkhorn::SinkhornConfig;
use crate::nets::NetConfig;
use crate::samplers::ProcessConfig;
use crate::samplers::diffusion::{Form, Process};
use crate::targets::TargetConfig;
use crate::train::TrainConfig;
use crate::train::molecule::TorsionConfig;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeConfig {
    #[serde(default)]
    pub seed: u64,
    /// Precision of networks and states; statistics are f64 always.
    #[serde(default)]
    pub precision: Precision,
    pub target: TargetConfig,
    pub process: ProcessConfig,
    #[serde(default = "pis_grad")]
    pub net: NetConfig,
    pub loss: LossConfig,
    pub train: TrainConfig,
    #[serde(default)]
    pub eval: EvalConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    F32,
    F64,
}

impl Precision {
    pub fn kind(self) -> tch::Kind {
        match self {
            Precision::F32 => tch::Kind::Float,
            Precision::F64 => tch::Kind::Double,
        }
    }
}

/// The `eval:` section: the protocol that a comparison insists on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// Samples in one evaluation, and in the reference set where the target can be sampled.
    pub samples: i64,
    /// When distances between sample sets (Sinkhorn, MMD) are computed.
    pub distances: Distances,
    pub sinkhorn: SinkhornConfig,
    pub mmd: MmdKernel,
    /// Samples and reference are clamped to ± this before distances are taken, as published code does for the funnel
    /// (30), whose tails would otherwise be all that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// For molecules: what the torsion angles of samples are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torsions: Option<TorsionConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distances {
    Never,
    /// At the last evaluation only.
    Last,
    Always,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            samples: 2000,
            distances: Distances::Last,
            sinkhorn: SinkhornConfig::default(),
            mmd: MmdKernel::default(),
            clip: None,
            torsions: None,
        }
    }
}

fn pis_grad() -> NetConfig {
    NetConfig::PisGrad { hidden: 64, layers: 2, gain_bias: 0.0, guide: true }
}

impl BridgeConfig {
    /// Checks everything that can be checked without building; fills in the process's defaults.
    pub fn validate(&mut self) -> Result<()> {
        self.check_extents()?;
        self.process = self.process.resolved()?;
        self.net.validate()?;
        self.loss.validate()?;
        self.train.validate()?;
        check::in_range("eval.samples", self.eval.samples, 2, 10_000_000)?;
        self.eval.clip.map_or(Ok(()), |clip| check::positive("eval.clip", clip))?;
        self.eval.torsions.as_ref().map_or(Ok(()), TorsionConfig::validate)?;
        self.eval.sinkhorn.validate("eval.sinkhorn")?;
        self.check_pairing(&self.process.resolve()?)
    }

    /// Whole numbers below `target:` are extents; more than this is a slip that would take all memory.
    fn check_extents(&self) -> Result<()> {
        fn below(section: &serde_json::Value, path: &str) -> Result<()> {
            for (key, value) in section.as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                value.as_i64().map_or(Ok(()), |extent| check::at_most(&path, extent, 1_000_000))?;
                below(value, &path)?;
            }
            Ok(())
        }
        below(&serde_json::to_value(&self.target)?, "target")
    }

    /// Refuses losses that mean nothing for a process, saying why.
    fn check_pairing(&self, process: &Process) -> Result<()> {
        let continuous = process.rnd == crate::samplers::diffusion::RndForm::Continuous;
        if matches!(self.loss, LossConfig::Subtb { .. }) && continuous {
            return Err(bad_input!(
                "'loss.type': subtb needs a density for every sub-path, which the continuous-time RND has not; \
                 set process.rnd=kernels or another loss"
            ));
        }
        Ok(())
    }

    /// What a person should know before the run: valid, but known to go wrong.
    pub fn warnings(&self) -> Result<Vec<String>> {
        let process = self.process.resolve()?;
        let mut warnings = Vec::new();
        if self.loss.is_variance_type() && process.learn_noise {
            let loss = self.loss.name();
            warnings.push(format!(
                "loss.type '{loss}' with process.learn_noise: variance-type losses also differentiate the backward law \
                 and tend to diverge when the noise scale is learned (Rethinking Losses, section 4); \
                 process.learn_noise=false is the stable case"
            ));
            if process.form == Form::Udb {
                warnings.push("the udb code itself freezes the step sizes under log-variance losses".into());
            }
        }
        Ok(warnings)
    }
}
