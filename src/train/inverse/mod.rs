//! Inverse problems on function spaces as a task: exact laws, chains, studies against resolution, learned scores.

pub mod bench;
pub mod config;
pub mod exact;
pub mod learn;
mod pictures;
pub mod sample;
pub mod setup;
pub mod study;

pub use config::InverseConfig;
pub use setup::Setup;
