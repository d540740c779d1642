//! What runs the show: objectives and the loop that minimises them.

pub mod bridge;
pub mod config;
pub mod curves;
pub mod denoiser;
pub mod discrete;
pub mod ebm;
pub mod flow;
pub mod graphs;
pub mod inverse;
pub mod lr_schedule;
pub mod md;
pub mod molecule;
pub mod objective;
mod resume;
pub mod run;
pub mod score;
pub mod stop;
pub mod trainer;

pub use config::TrainConfig;
pub use objective::{Cost, Evaluation, Objective};
pub use run::Run;
pub use trainer::train;
