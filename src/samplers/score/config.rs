//! Every discretisation that a YAML can name, by its `type`.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Integrator;
use super::ddim::Ddim;
use super::dpm_solver::DpmSolver2M;
use super::euler::Euler;
use super::exponential::Exponential;
use super::exponential_randomized_midpoint::ExponentialRandomizedMidpoint;
use super::heun::Heun;
use super::local_linearization::{LocalLinearization, LocalLinearizationConfig, RouteName};
use super::probability_flow::ProbabilityFlow;
use super::randomized_midpoint::RandomizedMidpoint;
use crate::config::check;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum IntegratorConfig {
    Euler(Plain),
    Exponential(Plain),
    RandomizedMidpoint(Plain),
    ExponentialRandomizedMidpoint(Plain),
    LocalLinearization(LocalLinearizationConfig),
    /// The ancestral sampler.
    Ddpm(Plain),
    Ddim(DdimConfig),
    ProbabilityFlow(Plain),
    Heun(Plain),
    #[serde(rename = "dpm_solver_2m")]
    DpmSolver2m(Plain),
}

/// No keys but the type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdimConfig {
    /// Share of fresh noise: 0 is deterministic, 1 the ancestral sampler.
    pub eta: f64,
}

impl IntegratorConfig {
    /// Every method, each with its default keys.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Euler(Plain {}),
            Self::Exponential(Plain {}),
            Self::RandomizedMidpoint(Plain {}),
            Self::ExponentialRandomizedMidpoint(Plain {}),
            Self::LocalLinearization(LocalLinearizationConfig::default()),
            Self::Ddpm(Plain {}),
            Self::Ddim(DdimConfig::default()),
            Self::ProbabilityFlow(Plain {}),
            Self::Heun(Plain {}),
            Self::DpmSolver2m(Plain {}),
        ]
    }

    /// `key` is where the config stands in its file.
    pub fn validate(&self, key: &str) -> Result<()> {
        match self {
            Self::LocalLinearization(config) => config.validate(key),
            Self::Ddim(config) => check::probability(&format!("{key}.eta"), config.eta),
            _ => Ok(()),
        }
    }

    /// Name for tables and legends: the type, and the keys that tell its variants apart.
    pub fn name(&self) -> String {
        let plain = match self {
            Self::Euler(_) => "euler",
            Self::Exponential(_) => "exponential",
            Self::RandomizedMidpoint(_) => "randomized_midpoint",
            Self::ExponentialRandomizedMidpoint(_) => "exponential_randomized_midpoint",
            Self::LocalLinearization(config) if config.route == RouteName::Series => {
                return format!("local_linearization_series{}", config.terms);
            }
            Self::LocalLinearization(_) => "local_linearization",
            Self::Ddpm(_) => "ddpm",
            Self::Ddim(config) if config.eta > 0.0 => return format!("ddim_eta{}", config.eta),
            Self::Ddim(_) => "ddim",
            Self::ProbabilityFlow(_) => "probability_flow",
            Self::Heun(_) => "heun",
            Self::DpmSolver2m(_) => "dpm_solver_2m",
        };
        plain.to_string()
    }

    pub fn build(&self) -> Box<dyn Integrator> {
        match self {
            Self::Euler(_) => Box::new(Euler),
            Self::Exponential(_) => Box::new(Exponential),
            Self::RandomizedMidpoint(_) => Box::new(RandomizedMidpoint),
            Self::ExponentialRandomizedMidpoint(_) => Box::new(ExponentialRandomizedMidpoint),
            Self::LocalLinearization(config) => Box::new(LocalLinearization { route: config.route() }),
            Self::Ddpm(_) => Box::new(Ddim { eta: 1.0 }),
            Self::Ddim(config) => Box::new(Ddim { eta: config.eta }),
            Self::ProbabilityFlow(_) => Box::new(ProbabilityFlow),
            Self::Heun(_) => Box::new(Heun),
            Self::DpmSolver2m(_) => Box::new(DpmSolver2M),
        }
    }
}
