//! The only room that knows libtorch's gaps: everything here works around something its Rust binding lacks.

pub mod autograd;
pub mod error;
