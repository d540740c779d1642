//! Jump processes on discrete states under a rate network, with importance weights.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | which scheme, how many steps, which sum for the weights |
//! | [`kernel`] | transition probabilities of one step, and draws from them |
//! | [`rollout`] | Euler steps and tau-leaping on a time grid |
//! | [`uniformised`] | single jumps at Poisson times: no discretisation at all |
//! | [`correct`] | resampling and heat-bath updates between steps |
//! | [`dmala`] | Langevin-like moves of all sites at once |
//! | [`team`] | a network and its replicas, which divide the rows among themselves |
//!
//! Rows are simulated in groups of `particles`, each with a random generator of its own, so samples do not depend on the
//! number of threads. Time runs from the uniform law at `t = 0` to the target at `t = 1`.

pub mod config;
pub mod correct;
pub mod dmala;
pub mod kernel;
pub mod noise;
pub mod rollout;
pub mod team;
pub mod uniformised;

pub use config::{CtmcConfig, GridConfig, UniformisedConfig, Weights};
pub use rollout::{Keep, Path};
pub use team::{Member, Team};
