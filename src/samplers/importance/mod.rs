//! Importance sampling with proposals of known density: weights, filters, resampling, sequential Monte Carlo.
//!
//! | file | what |
//! |---|---|
//! | [`snis`] | log-weights of proposals as they come, filtered and summed up |
//! | [`filter`] | what is done about the largest weights, by name |
//! | [`sums`] | log-sum-exp, ESS and weighted means in constant memory |
//! | [`resample`] | systematic and multinomial resampling |
//! | [`center`] | the centre of mass in `log q`, by name |
//! | [`energy`] | source and target as energies with gradients |
//! | [`smc`] | annealed Langevin from source to target, ULA and MALA |
//!
//! An energy that is not finite is a weight of zero, counted and reported; it ends nothing. `log w = E_source -
//! E_target` with `E_source = -log q` plus the centre's term; energies are in kT, log-weights f64.

pub mod center;
pub mod energy;
pub mod filter;
pub mod resample;
pub mod smc;
pub mod snis;
pub mod sums;

pub use center::CenterAdjustment;
pub use energy::{Energy, TargetEnergy};
pub use filter::WeightFilter;
pub use resample::Resampling;
pub use smc::SmcConfig;
pub use snis::{ReweightConfig, Reweighter, WeightSummary, Weights};
