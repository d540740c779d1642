//! The `smc:` section.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::super::filter::WeightFilter;
use super::super::resample::Resampling;
use crate::bad_input;
use crate::config::check;

/// How particles move at each temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// Unadjusted Langevin: every move is accepted, so the law is that of the bridge only for small steps.
    Ula,
    /// Metropolis-adjusted Langevin: leaves the bridge invariant at any step.
    Mala,
}

/// Which temperatures are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// `1/K, 2/K, …, 1`: the whole way.
    #[default]
    Repaired,
    /// `0, 1/K, …, 1 - 1/K`, as PROSE's code has it: a first step of length 0, which MALA rejects for every particle
    /// (0/0), and the last `1/K` of the way missing.
    Upstream,
}

/// The section. What is left out takes the kernel's published default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmcConfig {
    pub kernel: Kernel,
    /// Temperatures, `K`: 100 for ULA, 50 for MALA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_steps: Option<u64>,
    /// Langevin step per unit of annealing time; a step is this times `1/K`. 1e-5 for ULA, 5e-4 for MALA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f64>,
    /// Whether the step follows the acceptance rate: on for MALA, impossible for ULA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
    /// Resamples where the normalised ESS is below this; 1 resamples after every step.
    #[serde(default = "one")]
    pub ess_threshold: f64,
    #[serde(default)]
    pub resampling: Resampling,
    #[serde(default)]
    pub schedule: Schedule,
    /// Particles start below this target energy (kT) …
    #[serde(default = "hundred")]
    pub energy_cutoff: Option<f64>,
    /// … and pass this filter of their importance weights.
    #[serde(default)]
    pub filter: WeightFilter,
    /// Particles whose energies are evaluated at a time.
    #[serde(default = "batch")]
    pub batch: i64,
}

fn one() -> f64 {
    1.0
}

fn hundred() -> Option<f64> {
    Some(100.0)
}

fn batch() -> i64 {
    512
}

/// An [`SmcConfig`] with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub num_steps: u64,
    pub step_size: f64,
    pub adaptive: bool,
}

impl SmcConfig {
    /// A kernel with its published settings.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            num_steps: None,
            step_size: None,
            adaptive: None,
            ess_threshold: one(),
            resampling: Resampling::default(),
            schedule: Schedule::default(),
            energy_cutoff: hundred(),
            filter: WeightFilter::default(),
            batch: batch(),
        }
    }

    /// Checks the section and fills in the kernel's defaults.
    pub fn resolve(&self) -> Result<Plan> {
        let mala = self.kernel == Kernel::Mala;
        let plan = Plan {
            num_steps: self.num_steps.unwrap_or(if mala { 50 } else { 100 }),
            step_size: self.step_size.unwrap_or(if mala { 5e-4 } else { 1e-5 }),
            adaptive: self.adaptive.unwrap_or(mala),
        };
        check::in_range("smc.num_steps", plan.num_steps, 1, 1_000_000)?;
        check::positive("smc.step_size", plan.step_size)?;
        check::probability("smc.ess_threshold", self.ess_threshold)?;
        check::in_range("smc.batch", self.batch, 1, 10_000_000)?;
        self.energy_cutoff.map_or(Ok(()), |cutoff| check::finite("smc.energy_cutoff", cutoff))?;
        self.filter.validate("smc.filter")?;
        if plan.adaptive && !mala {
            return Err(bad_input!(
                "'smc.adaptive': ula accepts every move, found true; expected false or kernel mala"
            ));
        }
        Ok(plan)
    }

    /// The section with every default written out, for the run folder's `config.yaml`.
    pub fn resolved(&self) -> Result<Self> {
        let Plan { num_steps, step_size, adaptive } = self.resolve()?;
        let filled =
            Self { num_steps: Some(num_steps), step_size: Some(step_size), adaptive: Some(adaptive), ..self.clone() };
        Ok(filled)
    }

    /// Times visited: pairs of `t` and the step that led there.
    pub fn times(&self, num_steps: u64) -> Vec<(f64, f64)> {
        let dt = 1.0 / num_steps as f64;
        let time = |k: u64| (k as f64 * dt, if k == 0 { 0.0 } else { dt });
        match self.schedule {
            Schedule::Repaired => (1..=num_steps).map(time).collect(),
            Schedule::Upstream => (0..num_steps).map(time).collect(),
        }
    }
}
