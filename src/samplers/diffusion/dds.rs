//! Denoising diffusion sampler: a chain that leaves the prior invariant, plus a control (exponential integrator).

use super::config::Process;
use super::learned::{Learned, free_kernel};
use crate::processes::record::Guide;
use crate::processes::{Record, Rnd, schedule};
use tch::{Kind, Tensor};

/// Forward `√(1-β_k²) x + β_k² u`, backward `√(1-β_k²) x'`, deviation `β_k σ_0` (Vargas et al., 2023, section 3).
///
/// The uncontrolled chain is reversible under `N(0, σ_0²)`, so the kernels' ratio *is* the published cost
/// `Σ ½ β² |u|²/σ_0² + β u·ε/σ_0` with terminal term `log N(x_T; 0, σ_0²)`. The guide is the target's score at all times.
pub fn record(process: &Process, learned: &Learned) -> Record {
    let variance = learned.table(&schedule::cosine_fourth(process.num_steps, process.noise)) * learned.log_noise.exp();
    let variance = variance.clamp_max(1.0 - 1e-6);
    let keep = (1.0f64 - &variance).sqrt();
    let std = variance.sqrt() * learned.prior_log_std.exp();
    let options = (Kind::Double, variance.device());
    let ones = Tensor::ones([process.num_steps + 1, 1, 1], options).to_kind(variance.kind());
    Record {
        num_steps: process.num_steps,
        start: learned.start(),
        forward: free_kernel(keep.shallow_clone(), Some(variance), std.shallow_clone()),
        backward: free_kernel(keep, None, std),
        guide: Some(Guide { state: None, constant: None, score: Some(ones) }),
        rnd: Rnd::Kernels,
        prior_share: learned.prior_share().detach(),
    }
}
