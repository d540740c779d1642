//! Molecules as a task's target: what is measured of their samples, and what their energies cost.

pub mod bench;
pub mod check;
pub mod openmm;
pub mod pictures;
pub mod reference;
pub mod torsions;

pub use torsions::{TorsionConfig, Torsions};
