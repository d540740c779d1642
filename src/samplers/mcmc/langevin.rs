//! Langevin dynamics with the thermostat in the middle of the step.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Dynamics, Info, Mechanics, State};
use crate::config::check;
use crate::targets::Target;

/// How strongly the heat bath couples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LangevinConfig {
    /// Collision rate, 1/ps.
    #[serde(default = "one")]
    pub friction: f64,
}

fn one() -> f64 {
    1.0
}

impl LangevinConfig {
    pub fn validate(&self) -> Result<()> {
        check::non_negative("dynamics.integrator.friction", self.friction)
    }
}

/// The LFMiddle scheme (Zhang, Liu, Yan, Tuckerman and Liu, J. Phys. Chem. A 123 (2019) 6056), which OpenMM
/// calls LangevinMiddle: kick, half a drift, friction and noise, half a drift; one force evaluation a step.
///
/// Positions follow the same law as those of BAOAB (Leimkuhler and Matthews, AMRX 2013): they are exactly canonical in
/// a harmonic well at every stable step, and so are the velocities, which lag half a step behind.
pub struct LangevinMiddle {
    step: f64,
    kick: Tensor,        // [D]: score -> change of velocity
    half_step: Tensor,   // []
    decay: f64,          // exp(-friction step)
    noise_scale: Tensor, // [N, D]
    mechanics: Mechanics,
}

impl LangevinMiddle {
    /// Steps of `step` ps under `friction` 1/ps, each replica at its own of `kts` `[N]` (kJ/mol).
    pub fn new(step: f64, friction: f64, mechanics: &Mechanics, kts: &Tensor) -> Self {
        let masses = &mechanics.masses;
        let kept = (-2.0 * friction * step).exp();
        Self {
            step,
            kick: mechanics.acceleration_of_score() * step,
            half_step: Tensor::full([], 0.5 * step, (masses.kind(), masses.device())),
            decay: (-friction * step).exp(),
            noise_scale: (kts.unsqueeze(1) * (1.0 - kept)).sqrt() / masses.sqrt(),
            mechanics: mechanics.shallow_clone(),
        }
    }
}

impl Dynamics for LangevinMiddle {
    fn advance(&self, target: &dyn Target, state: State, noise: &Tensor) -> (State, Info) {
        let _guard = tch::no_grad_guard();
        let State { mut x, mut v } = state;
        for step in 0..noise.size()[0] {
            let kicked = v.addcmul(&self.kick, &target.score(&x));
            v = (&kicked * self.decay).addcmul(&self.noise_scale, &noise.get(step));
            // The two half drifts, before and after the thermostat.
            x = x.addcmul(&(kicked + &v), &self.half_step);
        }
        let target_calls = (noise.size()[0] * x.size()[0]) as u64;
        let info = Info { kinetic: self.mechanics.kinetic(&v), target_calls };
        (State { x, v }, info)
    }

    fn velocity_lag(&self) -> f64 {
        0.5 * self.step
    }
}
