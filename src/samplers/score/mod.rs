//! Samplers that run the reverse of a diffusion under a score, one discretisation a file.
//!
//! Forward, `dX = -X/2 dt + dB` on `[0, T]`: `X_t = e^{-t/2} X_0 + sqrt(1 - e^{-t}) Z`, with density `p_t`. Time `t` is
//! forward time everywhere: 0 is the data, the horizon `T` the prior. Samplers go from `T` down, through
//! `dX = (X/2 + grad log p_t) dτ + dW` with `τ = T - t` (Yu and Yu, arXiv 2502.04849, section 2), or through the
//! probability flow `dX = (X + grad log p_t)/2 dτ`.
//!
//! | file | order | source |
//! |---|---|---|
//! | [`euler`] | 1 | Euler-Maruyama |
//! | [`exponential`] | 1 | exponential integrator |
//! | [`randomized_midpoint`] | 2 | Shen and Lee 2019; Yu and Yu 2025 |
//! | [`exponential_randomized_midpoint`] | 2 | Yu and Yu 2025 |
//! | [`local_linearization`] | 2 | Shoji and Ozaki 1998; "SO" of Yu and Yu 2025 |
//! | [`ddim`] (`ddim`, `ddpm`) | 1 | Song, Meng and Ermon 2021; Ho, Jain and Abbeel 2020 |
//! | [`probability_flow`] | 1 | Song et al. 2021 |
//! | [`heun`] | 2 | Karras et al. 2022 (EDM) |
//! | [`dpm_solver`] | 2 | Lu et al. 2022, DPM-Solver++(2M) |
//!
//! Randomness is handed to a step as tensors, so a step is a function and a run repeats to the bit.

pub mod config;
pub mod ddim;
pub mod density;
pub mod dpm_solver;
pub mod euler;
pub mod exponential;
pub mod exponential_randomized_midpoint;
pub mod heun;
pub mod local_linearization;
pub mod matrix_functions;
pub mod models;
pub mod moments;
pub mod probability_flow;
mod quadrature;
pub mod randomized_midpoint;
pub mod simulate;
pub mod time_grid;

use tch::Tensor;

pub use config::IntegratorConfig;
pub use models::{ModelConfig, ScoreModel};
pub use simulate::simulate;
pub use time_grid::{Step, TimeGrid, TimeGridConfig};

/// Where `N` particles are, and what a multistep method remembers.
#[derive(Debug)]
pub struct State {
    /// `[N, D]`.
    pub x: Tensor,
    pub memory: Option<Memory>,
}

/// The denoised points of an earlier step.
#[derive(Debug)]
pub struct Memory {
    pub t: f64,
    /// `E[X_0 | X_t]`, `[N, D]`.
    pub denoised: Tensor,
}

impl State {
    /// A state without a past.
    pub fn new(x: Tensor) -> Self {
        Self { x, memory: None }
    }
}

/// Random numbers of one step. Those that an integrator does not ask for ([`Integrator::randomness`]) are not read.
pub struct Draws {
    /// Standard normals `[N, D]`.
    pub xi: Tensor,
    /// Further standard normals `[N, D]`.
    pub extra: Tensor,
    /// Uniform on `[0, 1]`, one a particle, shared by its coordinates: `[N, 1]`.
    pub u: Tensor,
}

/// Which of the [`Draws`] a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Randomness {
    /// Normal tensors: none, `xi`, or `xi` and `extra`.
    pub normals: usize,
    pub uniform: bool,
}

impl Randomness {
    pub const NONE: Self = Self { normals: 0, uniform: false };
    pub const NORMAL: Self = Self { normals: 1, uniform: false };
    pub const MIDPOINT: Self = Self { normals: 2, uniform: true };
}

/// Evaluations that one step makes at each particle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepCost {
    pub score_calls: u64,
    /// Products of the score's Jacobian with a vector.
    pub hvp_calls: u64,
    /// Whole Jacobians.
    pub hessian_calls: u64,
}

/// A discretisation of the reverse process.
pub trait Integrator: Send {
    /// Order in the step size of the W2 error on smooth targets that are not stiff. The proven upper bounds are half an
    /// order to an order lower (Yu and Yu, theorems 1 to 5).
    fn order(&self) -> u32;

    /// Work of one step; methods of the probability flow may save some in the step that ends at t = 0.
    fn cost(&self) -> StepCost;

    fn randomness(&self) -> Randomness;

    /// Goes from `step.from` down to `step.to`.
    fn step(&self, model: &dyn ScoreModel, step: Step, state: State, draws: &Draws) -> State;
}
