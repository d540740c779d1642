//! What walks: algorithms as constructors of the common record, the rollout that runs them, and the gradients of losses
//! along its paths.

pub mod diffusion;
pub mod discrete;
pub mod gradient;
pub mod importance;
pub mod inverse;
pub mod mcmc;
pub mod path;
pub mod rollout;
pub mod score;
pub mod team;
pub mod tokens;

pub use diffusion::{DiffusionSampler, ProcessConfig};
