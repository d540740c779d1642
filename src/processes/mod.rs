//! How probability moves from a prior to a target, with no networks in sight.
//!
//! Time is the step index `k = 0 ..= T`: `x_0` comes from the prior and `x_T` is the sample. Where a formula wants
//! continuous time it is `t = k / T` in [0, 1], so `t = 0` is the prior everywhere in this crate. (The papers disagree;
//! "Rethinking Losses for Diffusion Bridge Samplers" counts the other way.)

pub mod ctmc;
pub mod record;
pub mod schedule;

pub use record::{Affine, Record, Rnd};
