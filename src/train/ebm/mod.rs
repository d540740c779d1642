//! Energy models of bits learned together with the jump process that samples them (Ou, Zhang and Li, "Discrete neural flow
//! samplers", 2025, sec. 5.2).
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the YAML |
//! | [`data`] | points of the plane in Gray code, images, chains on known laws |
//! | [`alone`] | losses of a model without a sampler |
//! | [`process`] | the process that is learned along, and updates of the model from its samples |
//! | [`objective`] | one update of either kind |
//! | [`measure`] | likelihood by importance sampling, discrepancies, errors of couplings |
//! | [`pictures`] | densities, points, images |
//! | [`launch`] | from the command line to runs |

pub mod alone;
pub mod config;
pub mod data;
pub mod launch;
pub mod measure;
pub mod objective;
pub mod pictures;
pub mod process;

pub use config::EbmConfig;
pub use objective::{EbmObjective, build};
