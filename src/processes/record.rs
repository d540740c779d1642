//! The one record in which all diffusion samplers are written.
//!
//! A sampler is a chain of diagonal Gaussian kernels whose means are affine in the state, the target's score and a
//! learned control. What distinguishes PIS, DDS, DIS, CMCD and DBS is the tables of coefficients, so a sampler is a
//! short constructor that fills them and one rollout serves all.

use tch::Tensor;

/// A Gaussian kernel a step: mean `x·state + constant + score·∇log γ(x) + control·u`, standard deviation `std`.
///
/// Each table is `[T, 1, D]` or `[T, 1, 1]` and broadcasts over the batch `[T, N, D]`; row `k` belongs to step `k`.
#[derive(Debug)]
pub struct Affine {
    pub state: Tensor,
    /// Absent where the kernel pulls towards nothing.
    pub constant: Option<Tensor>,
    /// Coefficient of the *target's* score; absent where the drift does not contain it.
    pub score: Option<Tensor>,
    /// Coefficient of the control; absent in an uncontrolled kernel.
    pub control: Option<Tensor>,
    pub std: Tensor,
}

/// What the gain head of a network multiplies: `x·state + constant + score·∇log γ(x)` at each state `0 ..= T`.
#[derive(Debug)]
pub struct Guide {
    pub state: Option<Tensor>,
    pub constant: Option<Tensor>,
    pub score: Option<Tensor>,
}

/// How the Radon-Nikodym derivative of the two path laws is summed.
#[derive(Debug)]
pub enum Rnd {
    /// Forward kernels against backward kernels: exact for the discrete chain, so importance weights are unbiased.
    Kernels,
    /// Forward kernels against uncontrolled ones (Girsanov), as continuous time would have it.
    ///
    /// `log_volume` `[T]` is the reference's change of volume a step; `terminal_std`, where present, is the deviation
    /// of the uncontrolled law at the end of a chain that starts from a point (PIS).
    Girsanov { reference: Affine, log_volume: Option<Tensor>, terminal_std: Option<Tensor> },
}

/// Where the chain starts: a Gaussian with these `[D]` tables, or the origin.
#[derive(Debug)]
pub enum Start {
    Gaussian { mean: Tensor, std: Tensor },
    Origin,
}

/// Everything that distinguishes one diffusion sampler from its sisters.
#[derive(Debug)]
pub struct Record {
    pub num_steps: i64,
    pub start: Start,
    /// Kernel `k` moves `x_k` to `x_{k+1}` and sees score and control at `x_k`.
    pub forward: Affine,
    /// Kernel `k` moves `x_{k+1}` back to `x_k` and sees score and control at `x_{k+1}`.
    pub backward: Affine,
    pub guide: Option<Guide>,
    pub rnd: Rnd,
    /// Share of the prior in the annealed density at each state, `[T + 1]`, for plots and partial energies.
    pub prior_share: Tensor,
}

impl Affine {
    /// Means for steps `from .. from + x.size(0)`: `x`, `score`, `control` are `[J, N, D]`.
    pub fn mean(&self, from: i64, x: &Tensor, score: Option<&Tensor>, control: Option<&Tensor>) -> Tensor {
        let rows = |table: &Tensor| table.narrow(0, from, x.size()[0]);
        let mut mean = match &self.constant {
            Some(constant) => rows(constant).addcmul(x, &rows(&self.state)),
            None => x * rows(&self.state),
        };
        for (table, value) in [(&self.score, score), (&self.control, control)] {
            if let (Some(table), Some(value)) = (table, value) {
                mean = mean.addcmul(value, &rows(table));
            }
        }
        mean
    }

    /// Standard deviations of the given steps, `[J, 1, D]` or `[J, 1, 1]`.
    pub fn std(&self, from: i64, count: i64) -> Tensor {
        self.std.narrow(0, from, count)
    }

    /// `Σ_d log σ_d + D/2 log 2π` for every step, `[T]`.
    pub fn log_normaliser(&self, dim: i64) -> Tensor {
        let log_std = self.std.log().expand([-1, -1, dim], false).sum_dim_intlist([1i64, 2].as_slice(), false, None);
        log_std + 0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln()
    }

    /// Whether the kernel's mean contains the target's score.
    pub fn sees_score(&self) -> bool {
        self.score.is_some()
    }

    fn tables_mut(&mut self) -> Vec<&mut Tensor> {
        let optional = [&mut self.constant, &mut self.score, &mut self.control];
        let mut tables = vec![&mut self.state, &mut self.std];
        tables.extend(optional.into_iter().filter_map(Option::as_mut));
        tables
    }
}

impl Guide {
    /// The guide at states `from ..`, `[J, N, D]`, detached: no gradient flows through the network's input.
    pub fn at(&self, from: i64, x: &Tensor, score: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let rows = |table: &Tensor| table.detach().narrow(0, from, x.size()[0]);
        let mut guide = match &self.score {
            Some(table) => score * rows(table),
            None => x.zeros_like(),
        };
        if let Some(table) = &self.state {
            guide = guide.addcmul(x, &rows(table));
        }
        match &self.constant {
            Some(table) => guide + rows(table),
            None => guide,
        }
    }
}

impl Record {
    /// Whether a rollout must evaluate the target's score at its states.
    pub fn needs_score(&self) -> bool {
        let guided = self.guide.as_ref().is_some_and(|g| g.score.is_some());
        guided || self.forward.sees_score() || self.backward.sees_score()
    }

    /// Whether the backward kernels depend on anything evaluated at the states (a control, a score).
    pub fn learns_backward(&self) -> bool {
        matches!(self.rnd, Rnd::Kernels) && self.backward.control.is_some()
    }

    /// log density of the start at `x_0` `[N, D]`, `[N]`; zero for a chain that starts from a point.
    pub fn log_prior(&self, x: &Tensor) -> Tensor {
        match &self.start {
            Start::Gaussian { mean, std } => diagonal_normal(x, mean, std),
            Start::Origin => Tensor::zeros([x.size()[0]], (x.kind(), x.device())),
        }
    }

    /// log density of the reference law at the end of the chain, `[N]`, where it takes the place of a prior (PIS).
    pub fn log_terminal(&self, x: &Tensor) -> Option<Tensor> {
        match &self.rnd {
            Rnd::Girsanov { terminal_std: Some(std), .. } => Some(diagonal_normal(x, &std.zeros_like(), std)),
            _ => None,
        }
    }

    /// All learned tables, for cutting the graph between them and the states.
    pub fn tables_mut(&mut self) -> Vec<&mut Tensor> {
        let mut tables = self.forward.tables_mut();
        tables.extend(self.backward.tables_mut());
        if let Start::Gaussian { mean, std } = &mut self.start {
            tables.extend([mean, std]);
        }
        match &mut self.rnd {
            Rnd::Girsanov { reference, log_volume, terminal_std } => {
                tables.extend(reference.tables_mut());
                tables.extend(log_volume.iter_mut().chain(terminal_std.iter_mut()));
            }
            Rnd::Kernels => {}
        }
        tables
    }
}

/// log N(x; mean, diag std²) summed over coordinates: `[N, D]` -> `[N]`.
pub fn diagonal_normal(x: &Tensor, mean: &Tensor, std: &Tensor) -> Tensor {
    let dim = x.size()[1];
    let z = (x - mean) / std;
    let constant = 0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln();
    let log_std = std.log().expand([dim], false).sum(x.kind());
    z.square().sum_dim_intlist(-1, false, x.kind()) * -0.5 - log_std - constant
}
