//! The only room that knows libtorch's gaps: everything here works around something its Rust binding lacks.

mod adam;
pub mod autograd;
pub mod device;
pub mod ema;
pub mod error;
pub mod gelu;
pub mod init;
mod mkl;
pub mod normal;
pub mod optim;
pub mod params;
pub mod seed;
pub mod threads;
mod vector;
