//! Energy models of bits learned together with the jump process that samples them (Ou, Zhang and Li, "Discrete neural flow
//! samplers", 2025, sec. 5.2).
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the YAML |
//! | [`data`] | points of the plane in Gray code, images, chains on known laws |
//! | [`objective`] | updates of the process, and an update of the model now and then |
//! | [`measure`] | likelihood by importance sampling, discrepancies, errors of couplings, pictures |
//! | [`launch`] | from the command line to runs |

pub mod config;
pub mod data;
pub mod launch;
pub mod measure;
pub mod objective;

pub use config::EbmConfig;
pub use objective::{EbmObjective, build};
