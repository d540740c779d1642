//! Score-based sampling as a task: exact laws, samples, and studies of the error against the step.

pub mod bench;
pub mod classifier;
pub mod config;
pub mod digits;
pub mod digits_study;
pub mod exact;
pub mod images;
pub mod learn;
pub mod measure;
pub mod order;
mod pictures;
pub mod sample;
pub mod study;
pub mod subject;

pub use config::ScoreConfig;
pub use learn::LearnConfig;
