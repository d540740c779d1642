//! Molecular dynamics: the reference data of Boltzmann samplers, made here.

pub mod bench;
pub mod compare;
pub mod config;
pub mod ensemble;
pub mod observables;
pub mod pictures;
pub mod simulate;
pub mod system;
pub mod trajectory;

pub use config::MdConfig;
