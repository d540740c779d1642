//! See the table in the crate's documentation.

pub mod table;
pub mod tensors;
