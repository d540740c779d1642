//! What is kept of chains, and the loop over a kernel that keeps it.

use tch::{Kind, Tensor};

use super::{Kernel, Noise};
use crate::torch::seed::{Stream, reseed};

/// How long chains run, and what is kept of them.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub iterations: u64,
    pub burn_in: u64,
    pub thin: u64,
    /// Iterations, in order, at which the mean of the chains is kept.
    pub snapshots: Vec<u64>,
    /// Modes of which every iteration after `burn_in` is kept, in order.
    pub traced: Vec<i64>,
    /// Chains, the first ones, that are traced.
    pub traced_chains: i64,
}

/// What was kept of `N` chains.
#[derive(Debug)]
pub struct Record {
    /// The point `[D]` about which moments are taken, so that large means cancel nothing.
    pub center: Tensor,
    /// Each chain's average of `x - center`, `[N, D]`.
    pub first: Tensor,
    /// And of its square, `[N, D]`.
    pub second: Tensor,
    /// Means over the chains at the plan's snapshots, `[S, D]`.
    pub snapshots: Tensor,
    /// `[T, N', iterations - burn_in]`.
    pub traces: Tensor,
    /// Where the chains ended, `[N, D]`.
    pub last: Tensor,
    /// Share of accepted proposals, of a Metropolis chain.
    pub acceptance: Option<f64>,
}

impl Plan {
    /// Whether averages take iteration `n`, counted from 1.
    pub fn takes(&self, n: u64) -> bool {
        n > self.burn_in && (n - self.burn_in).is_multiple_of(self.thin)
    }

    /// Number of iterations that averages take.
    pub fn taken(&self) -> u64 {
        (self.iterations - self.burn_in) / self.thin
    }
}

impl Record {
    /// Averages over time and chains, `[D]`.
    pub fn mean(&self) -> Tensor {
        &self.center + average(&self.first)
    }

    /// Variances over time and chains, `[D]`.
    pub fn variance(&self) -> Tensor {
        average(&self.second) - average(&self.first).square()
    }

    /// Standard errors of [`mean`](Self::mean) from the scatter of the chains, `[D]`; NaN for one chain.
    pub fn mean_error(&self) -> Tensor {
        standard_error(&self.first)
    }

    /// Standard errors of the second moment about the centre, which are those of the variance where the centre is near the
    /// mean.
    pub fn variance_error(&self) -> Tensor {
        standard_error(&self.second)
    }
}

fn average(rows: &Tensor) -> Tensor {
    rows.mean_dim(&[0i64][..], false, Kind::Double)
}

fn standard_error(rows: &Tensor) -> Tensor {
    if rows.size()[0] < 2 {
        return rows.full_like(f64::NAN).squeeze_dim(0);
    }
    rows.std_dim(&[0i64][..], true, false) / (rows.size()[0] as f64).sqrt()
}

/// Runs `kernel` from `start` `[N, D]`. The noise of an iteration is that of its number.
pub fn run(kernel: &dyn Kernel, start: &Tensor, center: &Tensor, plan: &Plan) -> Record {
    let (chains, options) = (start.size()[0], (Kind::Double, start.device()));
    let mut x = start.copy();
    let (mut first, mut second) = (start.zeros_like(), start.zeros_like());
    let (mut snapshots, mut traces, mut acceptance) = (Vec::new(), Vec::new(), (0.0, 0u64));
    let traced = Tensor::from_slice(&plan.traced);
    for n in 1..=plan.iterations {
        reseed(plan.seed, Stream::Train, n);
        let z = Tensor::randn([chains, kernel.width()], options);
        let u = Tensor::rand([chains], options);
        let (next, info) = kernel.step(&x, &Noise { z, u });
        x = next;

        if let Some(share) = info.accepted {
            acceptance = (acceptance.0 + share, acceptance.1 + 1);
        }
        if plan.takes(n) {
            let off = &x - center;
            second += off.square();
            first += off;
        }
        if plan.snapshots.contains(&n) {
            snapshots.push(average(&x));
        }
        if n > plan.burn_in && !plan.traced.is_empty() {
            traces.push(x.narrow(0, 0, plan.traced_chains.min(chains)).index_select(1, &traced).tr());
        }
    }
    let taken = plan.taken() as f64;
    let stacked = |rows: &[Tensor], dim: i64| match rows {
        [] => Tensor::zeros([0, start.size()[1]], options),
        rows => Tensor::stack(rows, dim),
    };
    Record {
        center: center.shallow_clone(),
        first: first / taken,
        second: second / taken,
        snapshots: stacked(&snapshots, 0),
        traces: stacked(&traces, 2),
        last: x,
        acceptance: (acceptance.1 > 0).then(|| acceptance.0 / acceptance.1 as f64),
    }
}

/// Runs `kernel` under given noise `z` `[I, N, W]` and `u` `[I, N]`; every state, the start first: `[I + 1, N, D]`.
pub fn replay(kernel: &dyn Kernel, start: &Tensor, z: &Tensor, u: &Tensor) -> Tensor {
    let mut states = vec![start.shallow_clone()];
    for n in 0..z.size()[0] {
        let noise = Noise { z: z.get(n), u: u.get(n) };
        states.push(kernel.step(&states[n as usize], &noise).0);
    }
    Tensor::stack(&states, 0)
}
