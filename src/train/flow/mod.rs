//! Transferable flows of peptides: what the verbs of `flow` do.

pub mod anneal;
mod batch;
pub mod bench;
pub mod comparison;
pub mod config;
pub mod data;
pub mod evaluate;
pub mod info;
pub mod launch;
pub mod measure;
mod objective;
pub mod open;
mod pictures;
pub mod proposals;
pub mod reference;
pub mod report;
mod report_pictures;
pub mod sample;
pub mod sample_args;
mod sample_smc;
pub mod subject;
pub mod team;
pub mod topology;
pub mod transform;
pub mod tune;
pub mod weights_file;

pub use config::FlowTrainConfig;
pub use objective::FlowObjective;
