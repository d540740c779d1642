//! Learning a score from samples of the data.

pub mod config;
pub mod evaluate;
pub mod launch;
mod objective;
mod source;

pub use config::LearnConfig;
pub use objective::LearnObjective;
pub use source::Source;
