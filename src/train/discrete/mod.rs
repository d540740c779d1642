//! What the `discrete` binary does: exact figures, Markov chains, values at given states.

pub mod config;
pub mod evaluate;
pub mod exact;
pub mod mcmc;
mod pictures;

pub use config::{DiscreteConfig, McmcConfig};
