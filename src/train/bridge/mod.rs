//! Training diffusion-bridge samplers.

pub mod objective;
