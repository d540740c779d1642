//! Training normalizing flows on molecules, and drawing from them.

mod batch;
pub mod config;
pub mod data;
mod evaluate;
pub mod launch;
mod objective;
mod pictures;
pub mod proposals;
pub mod report;
pub mod subject;
pub mod team;

pub use config::FlowTrainConfig;
pub use objective::FlowObjective;
