//! Transferable flows of peptides: what the verbs of `flow` do.

pub mod topology;
