//! A laboratory for neural samplers on libtorch.
//!
//! | room | what it defines |
//! |---|---|
//! | [`torch`] | what libtorch's binding lacks: devices, derivatives, seeds, initialisation, optimisers, EMA |
//! | [`targets`] | what is sampled: unnormalised densities with scores |
//! | [`processes`] | how probability moves: schedules, time grids, the record of a diffusion sampler |
//! | [`nets`] | what learns: control networks and their time features |
//! | [`flows`] | normalizing flows: invertible networks with their log-determinants |
//! | [`samplers`] | what walks: rollouts of a process under a network |
//! | [`losses`] | what is minimised: divergences on log-RNDs |
//! | [`metrics`] | what is measured: ELBO, ESS, log Z, Sinkhorn, MMD, EMC |
//! | [`train`] | what runs the show: objectives, the trainer, learning-rate schedules |
//! | [`claims`] | claims written down before they are tested: statistics, verdicts, reports |
//! | [`io`] | checkpoints, weight files, run folders, data files |
//! | [`log`] | TensorBoard, JSON lines, progress, plots |
//! | [`config`] | YAML with inheritance and overrides, one-line errors |

pub mod claims;
pub mod config;
pub mod flows;
pub mod io;
pub mod log;
pub mod losses;
pub mod metrics;
pub mod nets;
pub mod processes;
pub mod samplers;
pub mod targets;
pub mod torch;
pub mod train;
