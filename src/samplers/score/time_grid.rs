//! Where the steps of a reverse process begin and end.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;

/// One step, in forward time: `from > to >= 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub from: f64,
    pub to: f64,
}

impl Step {
    /// Length of the step.
    pub fn h(&self) -> f64 {
        self.from - self.to
    }
}

/// `e^{-t/2}`: what is left of the data at time `t`.
pub fn alpha(t: f64) -> f64 {
    (-0.5 * t).exp()
}

/// `sqrt(1 - e^{-t})`: deviation of the noise at time `t`.
pub fn sigma(t: f64) -> f64 {
    (-(-t).exp_m1()).sqrt()
}

/// `sigma/alpha = sqrt(e^t - 1)`: the noise level of EDM (Karras et al. 2022), in which the process is `X_0 + level Z`.
pub fn noise_level(t: f64) -> f64 {
    t.exp_m1().sqrt()
}

/// How the times are spaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeGridConfig {
    /// Steps of one length from the horizon down.
    Uniform(UniformConfig),
    /// Karras et al. 2022, equation 5: noise levels evenly spaced after the power 1/rho, then one step to 0.
    Karras(KarrasConfig),
}

impl Default for TimeGridConfig {
    fn default() -> Self {
        Self::Uniform(UniformConfig::default())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniformConfig {
    /// Length of a step; horizon / num_steps where left out. A shorter one stops above t = 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KarrasConfig {
    /// The last noise level before 0.
    pub sigma_min: f64,
    pub rho: f64,
}

impl Default for KarrasConfig {
    fn default() -> Self {
        Self { sigma_min: 0.002, rho: 7.0 }
    }
}

impl TimeGridConfig {
    /// `num_steps` steps from `horizon`. Errors: values that give no falling, non-negative times.
    pub fn build(&self, horizon: f64, num_steps: usize) -> Result<TimeGrid> {
        check::in_range("horizon", horizon, 1e-6, 700.0)?;
        check::in_range("num_steps", num_steps, 1, 10_000_000)?;
        match self {
            Self::Uniform(config) => config.build(horizon, num_steps),
            Self::Karras(config) => config.build(horizon, num_steps),
        }
    }
}

impl UniformConfig {
    fn build(&self, horizon: f64, num_steps: usize) -> Result<TimeGrid> {
        let Some(step) = self.step else { return Ok(TimeGrid::uniform(horizon, num_steps)) };
        check::positive("time_grid.step", step)?;
        let end = horizon - num_steps as f64 * step;
        // A horizon that is a multiple of the step but for rounding ends at 0.
        if end < -1e-9 * horizon {
            return Err(bad_input!(
                "'time_grid.step' must be at most horizon / num_steps = {}, found {step}",
                horizon / num_steps as f64
            ));
        }
        let end = if end < 1e-9 * horizon { 0.0 } else { end };
        let time = |n| if n == num_steps { end } else { horizon - n as f64 * step };
        Ok(TimeGrid { times: (0..=num_steps).map(time).collect() })
    }
}

impl KarrasConfig {
    fn build(&self, horizon: f64, num_steps: usize) -> Result<TimeGrid> {
        check::at_least("num_steps", num_steps, 2)?;
        check::positive("time_grid.sigma_min", self.sigma_min)?;
        check::in_range("time_grid.rho", self.rho, 0.1, 100.0)?;
        let (high, low) = (noise_level(horizon), self.sigma_min);
        check::ordered("time_grid.sigma_min", low, "noise level of the horizon", high)?;
        let (a, b) = (high.powf(1.0 / self.rho), low.powf(1.0 / self.rho));
        let level = |i: usize| (a + i as f64 / (num_steps - 1) as f64 * (b - a)).powf(self.rho);
        let mut times: Vec<f64> = (0..num_steps).map(|i| level(i).powi(2).ln_1p()).collect();
        times[0] = horizon;
        times.push(0.0);
        Ok(TimeGrid { times })
    }
}

/// Times from the horizon down, `num_steps + 1` of them.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeGrid {
    times: Vec<f64>,
}

impl TimeGrid {
    /// Steps of one length from `horizon` to 0.
    pub fn uniform(horizon: f64, num_steps: usize) -> Self {
        Self::between(horizon, 0.0, num_steps)
    }

    /// Steps of one length from `from` to `to`.
    pub fn between(from: f64, to: f64, num_steps: usize) -> Self {
        let h = (from - to) / num_steps as f64;
        let time = |n| if n == num_steps { to } else { from - n as f64 * h };
        Self { times: (0..=num_steps).map(time).collect() }
    }

    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.times.windows(2).map(|pair| Step { from: pair[0], to: pair[1] })
    }

    pub fn num_steps(&self) -> usize {
        self.times.len() - 1
    }

    /// The first time.
    pub fn horizon(&self) -> f64 {
        self.times[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fall_from_the_horizon_to_their_end() {
        let karras = TimeGridConfig::Karras(KarrasConfig::default());
        let short = TimeGridConfig::Uniform(UniformConfig { step: Some(0.3) });
        for (config, num_steps, end) in [(TimeGridConfig::default(), 7, 0.0), (karras, 12, 0.0), (short, 33, 0.1)] {
            let grid = config.build(10.0, num_steps).unwrap();
            let steps: Vec<Step> = grid.steps().collect();
            assert_eq!((steps.len(), grid.num_steps(), grid.horizon()), (num_steps, num_steps, 10.0));
            assert!(steps.iter().all(|step| step.h() > 0.0));
            assert!((steps.last().unwrap().to - end).abs() < 1e-12);
        }
    }

    #[test]
    fn a_grid_below_zero_is_refused() {
        let long = TimeGridConfig::Uniform(UniformConfig { step: Some(0.5) });
        let error = long.build(10.0, 21).unwrap_err().to_string();
        assert!(error.contains("'time_grid.step'") && error.contains("0.5"), "{error}");
    }
}
