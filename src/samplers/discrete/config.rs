//! The `sampler:` section: how the learned process is simulated and weighed.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::kernel::Step;
use crate::bad_input;
use crate::config::check;

/// Which simulation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CtmcConfig {
    /// Steps in which each site moves with probability `h R`.
    Euler(GridConfig),
    /// Steps whose waiting times are exact for rates that stay as they are.
    TauLeap(GridConfig),
    /// Single jumps at Poisson times: exact, at two network calls a Poisson event.
    Uniformised(UniformisedConfig),
}

/// A simulation on the time grid `0, 1/K, .., 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridConfig {
    /// `K`; the authors' 64 times are 63 steps.
    pub num_steps: i64,
    pub weights: Weights,
    /// Rows simulated together; resampling is among these.
    pub particles: i64,
    /// Systematic resampling where the effective sample size falls below this share of the particles; 0 for never.
    pub resample_below: f64,
    /// Heat-bath updates of single random sites after each step.
    pub heat_bath_updates: i64,
    /// Metropolis updates of single random sites after each step (LEAPS uses 200 in training).
    #[serde(skip_serializing_if = "is_zero")]
    pub metropolis_updates: i64,
    /// Langevin-like moves of all sites after each step; see [`dmala`](super::dmala), and their step size.
    pub dmala_steps: i64,
    pub dmala_step_size: f64,
    /// Rate of heat-bath jumps within the process itself, which cost nothing; see
    /// [`forward_rates`](crate::processes::ctmc::forward_rates).
    pub mixing: f64,
}

/// What is added up to the log-weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// `h xi` before each move, as the published code does: too small by about `h/2 (f(1) - f(0))`, `f = d/dt log Z_t`.
    Left,
    /// Rates and `xi` at the middle of each step: no call more than `left`.
    Midpoint,
    /// Half of `xi` before and half after each step: one call more in all.
    #[default]
    Trapezoid,
    /// The discrete chain's own ratio of backward and forward probabilities: its mean is Z for any network and any
    /// step. Needs `mixing` above 0, or moves that only the backward chain makes are missed.
    Path,
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

impl Default for GridConfig {
    fn default() -> Self {
        Self {
            num_steps: 63,
            weights: Weights::Trapezoid,
            particles: 256,
            resample_below: 0.0,
            heat_bath_updates: 0,
            metropolis_updates: 0,
            dmala_steps: 0,
            dmala_step_size: 0.5,
            mixing: 0.0,
        }
    }
}

/// Poisson events at which one site may jump.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniformisedConfig {
    /// Events a site, on average. Rates out of a state that add up to more than nine tenths of all events are scaled
    /// down.
    pub events: f64,
    /// `trapezoid` (the integral, between events) or `path` (exact for any network, but noisier).
    pub weights: Weights,
    pub particles: i64,
    pub mixing: f64,
}

impl Default for UniformisedConfig {
    fn default() -> Self {
        Self { events: 4.0, weights: Weights::Trapezoid, particles: 256, mixing: 0.0 }
    }
}

impl Default for CtmcConfig {
    fn default() -> Self {
        Self::Euler(GridConfig::default())
    }
}

impl CtmcConfig {
    /// `section` is where the config stands, for messages.
    pub fn validate(&self, section: &str) -> Result<()> {
        match self {
            Self::Euler(grid) | Self::TauLeap(grid) => grid.validate(section),
            Self::Uniformised(config) => {
                check::in_range(&format!("{section}.events"), config.events, 1e-3, 1e6)?;
                check::in_range(&format!("{section}.particles"), config.particles, 1, 1 << 20)?;
                if !matches!(config.weights, Weights::Trapezoid | Weights::Path) {
                    let known = "'trapezoid' or 'path' where there is no time grid";
                    return Err(bad_input!("'{section}.weights' must be {known}"));
                }
                check::non_negative(&format!("{section}.mixing"), config.mixing)
            }
        }
    }

    pub fn particles(&self) -> i64 {
        match self {
            Self::Euler(grid) | Self::TauLeap(grid) => grid.particles,
            Self::Uniformised(config) => config.particles,
        }
    }

    /// The grid and its kind of step, where there is one.
    pub fn grid(&self) -> Option<(Step, &GridConfig)> {
        match self {
            Self::Euler(grid) => Some((Step::Euler, grid)),
            Self::TauLeap(grid) => Some((Step::Leap, grid)),
            Self::Uniformised(_) => None,
        }
    }
}

impl GridConfig {
    fn validate(&self, section: &str) -> Result<()> {
        check::in_range(&format!("{section}.num_steps"), self.num_steps, 1, 1_000_000)?;
        check::in_range(&format!("{section}.particles"), self.particles, 1, 1 << 20)?;
        check::probability(&format!("{section}.resample_below"), self.resample_below)?;
        check::in_range(&format!("{section}.heat_bath_updates"), self.heat_bath_updates, 0, 1_000_000)?;
        check::in_range(&format!("{section}.metropolis_updates"), self.metropolis_updates, 0, 1_000_000)?;
        check::in_range(&format!("{section}.dmala_steps"), self.dmala_steps, 0, 1_000_000)?;
        check::positive(&format!("{section}.dmala_step_size"), self.dmala_step_size)?;
        check::non_negative(&format!("{section}.mixing"), self.mixing)
    }
}
