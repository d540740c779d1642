//! Markov chains on a density, many at once: molecular dynamics and the exchange of temperatures.
//!
//! A kernel takes a state and gives the next state with an info, both plain records: `(new_state, info)`. Randomness
//! is handed in as tensors, so a kernel is a function and a resumed chain repeats to the bit.
//!
//! Units: nm, ps, dalton, kJ/mol, K (so that kJ/mol = dalton nm²/ps²). A density without units of its own counts as an
//! energy `-kT log_prob` at the temperature it is given. Chains on discrete states are in [`lattice`].

pub mod exchange;
pub mod langevin;
pub mod lattice;
pub mod replicas;
pub mod verlet;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

pub use exchange::Ladder;
use langevin::{LangevinConfig, LangevinMiddle};
use verlet::{VelocityVerlet, VerletConfig};

use crate::targets::Target;
pub use crate::targets::molecule::GAS_CONSTANT;

/// Positions and velocities of `N` replicas.
pub struct State {
    /// `[N, D]`, nm.
    pub x: Tensor,
    /// `[N, D]`, nm/ps.
    pub v: Tensor,
}

impl State {
    /// Rows `from .. from + count`.
    pub fn narrow(&self, from: i64, count: i64) -> Self {
        Self { x: self.x.narrow(0, from, count), v: self.v.narrow(0, from, count) }
    }

    /// The rows of several states, in order.
    pub fn join(parts: &[State]) -> Self {
        let rows = |f: fn(&State) -> &Tensor| Tensor::cat(&parts.iter().map(f).collect::<Vec<_>>(), 0);
        Self { x: rows(|s| &s.x), v: rows(|s| &s.v) }
    }
}

/// What a stretch of dynamics tells besides the state.
pub struct Info {
    /// Kinetic energy at the end, `[N]` f64, kJ/mol.
    pub kinetic: Tensor,
    /// Points at which the score was evaluated.
    pub target_calls: u64,
}

/// A density as a mechanical system: particles with masses and the energy `-kt log_prob`.
pub struct Mechanics {
    /// kT that belongs to the target's log_prob, kJ/mol.
    pub kt: f64,
    /// Mass of the particle that each coordinate belongs to, `[D]`, dalton.
    pub masses: Tensor,
}

impl Mechanics {
    pub fn shallow_clone(&self) -> Self {
        Self { kt: self.kt, masses: self.masses.shallow_clone() }
    }

    /// What the score is multiplied by to give an acceleration, `[D]`.
    pub fn acceleration_of_score(&self) -> Tensor {
        self.masses.reciprocal() * self.kt
    }

    /// Kinetic energy of velocities `[N, D]`, `[N]` f64, kJ/mol.
    pub fn kinetic(&self, v: &Tensor) -> Tensor {
        let energy = v.to_kind(Kind::Double).square() * self.masses.to_kind(Kind::Double) * 0.5;
        energy.sum_dim_intlist(-1, false, Kind::Double)
    }

    /// Velocities of the Maxwell distribution made of standard normals `[N, D]`, at `kts` `[N]` kJ/mol.
    pub fn maxwell(&self, kts: &Tensor, noise: &Tensor) -> Tensor {
        noise * kts.unsqueeze(1).sqrt() / self.masses.sqrt()
    }

    /// The state seen from its centre of mass: centre at the origin, at rest. `space` is the number of dimensions.
    pub fn centered(&self, state: &State, space: i64) -> State {
        let weights = (&self.masses / self.masses.sum(None) * space as f64).view([-1, space]); // [A, space]
        let center = |t: &Tensor| {
            let by_particle = t.view([t.size()[0], -1, space]); // [N, A, space]
            let mean = (&by_particle * &weights).sum_dim_intlist(1, true, None); // [N, 1, space]
            (by_particle - mean).view_as(t)
        };
        State { x: center(&state.x), v: center(&state.v) }
    }
}

/// Equations of motion, discretised.
pub trait Dynamics: Send {
    /// Advances by as many steps as `noise` `[S, N, D]` has slices: standard normals (their values do not matter to
    /// deterministic dynamics).
    fn advance(&self, target: &dyn Target, state: State, noise: &Tensor) -> (State, Info);

    /// How far the velocities of a state lag behind its positions, in ps: the half step of a leap-frog.
    fn velocity_lag(&self) -> f64;
}

/// Every integrator that a YAML can name, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum IntegratorConfig {
    LangevinMiddle(LangevinConfig),
    Verlet(VerletConfig),
}

impl IntegratorConfig {
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::LangevinMiddle(config) => config.validate(),
            Self::Verlet(_) => Ok(()),
        }
    }

    /// Whether the dynamics keep a temperature (rather than the energy).
    pub fn is_thermal(&self) -> bool {
        matches!(self, Self::LangevinMiddle(_))
    }

    /// Dynamics of steps of `step` ps for replicas at `kts` `[N]` kJ/mol.
    pub fn build(&self, step: f64, mechanics: &Mechanics, kts: &Tensor) -> Box<dyn Dynamics> {
        match self {
            Self::LangevinMiddle(config) => Box::new(LangevinMiddle::new(step, config.friction, mechanics, kts)),
            Self::Verlet(_) => Box::new(VelocityVerlet::new(step, mechanics)),
        }
    }
}
