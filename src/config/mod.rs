//! Configuration: YAML with inheritance and `key=value` overrides, and error messages one can act on.
//!
//! A config file is a mapping. `extends: other.yaml` (relative to the file that says it) lays it over another;
//! `train.steps=100` on the command line lays single keys over both. What results is parsed into a typed struct,
//! so unknown keys and wrong types stop a run before any work, in one line that names file, line and key.

pub mod check;
pub mod cli;
mod flat;
pub mod load;
pub mod sweep;

pub use flat::{flat, to_yaml, yaml_to_json};

mod fault;
mod overrides;
mod source;
mod tree;
mod wording;
