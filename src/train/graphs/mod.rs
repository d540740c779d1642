//! Problems on random graphs: independent sets and cuts by one network for all graphs of a family (Ou, Zhang and Li,
//! "Discrete neural flow samplers", 2025, sec. 5.4).
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the YAML |
//! | [`data`] | graphs to train and to test on, with exact answers |
//! | [`objective`] | rollouts on a few graphs at once, batches from a buffer of them |
//! | [`tempered`] | one network for all temperatures |
//! | [`measure`] | sizes against exact ones, with the network and without it |
//! | [`launch`] | from the command line to runs |

pub mod config;
pub mod data;
pub mod launch;
pub mod measure;
pub mod objective;
pub mod tempered;

pub use config::GraphsConfig;
pub use objective::{GraphsObjective, build};
