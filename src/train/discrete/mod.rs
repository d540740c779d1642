//! What the `discrete` binary does: exact figures, Markov chains, values at given states, learned samplers.

pub mod bench;
pub mod buffer;
pub mod chains;
pub mod config;
pub mod evaluate;
pub mod exact;
pub mod horizon;
pub mod launch;
pub mod mcmc;
pub mod measure;
pub mod objective;
mod pictures;
pub mod stored;

pub use config::{DiscreteConfig, McmcConfig};
pub use objective::{DiscreteObjective, build};
