//! What learns. A network keeps its parameters under PyTorch's names and starts as its reference code does.

pub mod classifier;
pub mod control;
pub mod conv;
pub mod denoiser;
pub mod free_energy;
pub mod hollow;
pub mod leconv;
pub mod legf;
pub mod letf;
pub mod linear;
pub mod log_flow;
pub mod pis_grad;
pub mod rates;
pub mod spectral;
pub mod time_embed;
pub mod vanilla;

pub use control::{Control, NetConfig};
pub use denoiser::{Denoiser, DenoiserConfig};
pub use rates::{Geometry, RateNet, RateNetConfig};
