//! What runs the show: objectives and the loop that minimises them.

pub mod bridge;
