//! Score-based sampling as a task: exact laws, samples, and studies of the error against the step.

pub mod config;
pub mod exact;
pub mod images;
pub mod learn;
pub mod measure;
pub mod order;
mod pictures;
pub mod sample;
pub mod study;

pub use config::ScoreConfig;
