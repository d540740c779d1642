//! Transferable flows of peptides: what the verbs of `flow` do.

pub mod anneal;
mod batch;
pub mod config;
pub mod data;
mod evaluate;
pub mod launch;
mod objective;
mod pictures;
pub mod proposals;
pub mod reference;
pub mod report;
mod report_pictures;
pub mod subject;
pub mod team;
pub mod topology;
pub mod tune;

pub use config::FlowTrainConfig;
pub use objective::FlowObjective;
