//! Newtonian dynamics at constant energy.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Dynamics, Info, Mechanics, State};
use crate::targets::Target;

/// Nothing to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerletConfig {}

/// Velocity Verlet (Swope, Andersen, Berens and Wilson, J. Chem. Phys. 76 (1982) 637): half a kick, a drift, half a
/// kick. Symplectic and reversible; the energy's error stays bounded and is of second order in the step.
pub struct VelocityVerlet {
    kick: Tensor,      // [D]: score -> change of velocity in a whole step
    half_kick: Tensor, // [D]
    step: Tensor,      // []
    mechanics: Mechanics,
}

impl VelocityVerlet {
    /// Steps of `step` ps.
    pub fn new(step: f64, mechanics: &Mechanics) -> Self {
        let acceleration = mechanics.acceleration_of_score();
        Self {
            kick: &acceleration * step,
            half_kick: acceleration * (0.5 * step),
            step: Tensor::full([], step, (mechanics.masses.kind(), mechanics.masses.device())),
            mechanics: mechanics.shallow_clone(),
        }
    }
}

impl Dynamics for VelocityVerlet {
    fn advance(&self, target: &dyn Target, state: State, noise: &Tensor) -> (State, Info) {
        let _guard = tch::no_grad_guard();
        let steps = noise.size()[0];
        let State { mut x, mut v } = state;
        // Within a stretch the two half kicks between drifts are one, so it costs one evaluation more than steps.
        for step in 0..steps {
            let kick = if step == 0 { &self.half_kick } else { &self.kick };
            v = v.addcmul(kick, &target.score(&x));
            x = x.addcmul(&v, &self.step);
        }
        if steps > 0 {
            v = v.addcmul(&self.half_kick, &target.score(&x));
        }
        let evaluations = if steps > 0 { steps + 1 } else { 0 };
        let info = Info { kinetic: self.mechanics.kinetic(&v), target_calls: (evaluations * x.size()[0]) as u64 };
        (State { x, v }, info)
    }

    fn velocity_lag(&self) -> f64 {
        0.0
    }
}
