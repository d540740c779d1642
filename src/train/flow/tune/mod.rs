//! Fine-tuning of a flow to one molecule without data: it learns from its own reweighted proposals, round by round
//! ("self-improvement", Tan et al., "Amortized Sampling with Transferable Normalizing Flows", 2025).

pub mod buffer;
pub mod config;
mod evaluate;
pub mod launch;
mod objective;

pub use config::FlowTuneConfig;
pub use objective::{Loss, TuneObjective};
