//! Checkpoints, weight files, run folders, tables: everything that opens a file or leaves one behind.
//!
//! Tensor files are recognised by content; see [`weights::read_weights`]. Whatever is written appears whole or not at
//! all; see [`atomic`].

pub mod assign;
pub mod atomic;
pub mod checkpoint;
pub mod csv;
pub mod environment;
pub mod images;
pub mod run_dir;
pub mod stream;
pub mod table;
pub mod tensors;
pub mod text;
pub mod weights;

mod blob;
mod npy;
mod pickle;
mod pickle_machine;
mod safetensors_file;
mod torch_file;
mod torch_storage;
mod zip;
