//! Replicas of one system at all temperatures of a ladder, divided among CPU threads.
//!
//! All noise comes from the caller, for the whole batch at once, so trajectories do not depend on the number of
//! threads.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::exchange::{Ladder, Swaps, energies};
use super::{Dynamics, Info, IntegratorConfig, Mechanics, State};
use crate::targets::{Calls, Counted, Target};
use crate::torch::threads;

/// A share of the rows, with its own copy of the target.
struct Member {
    target: Counted,
    dynamics: Box<dyn Dynamics>,
    from: i64,
    count: i64,
}

/// Replicas and what moves them.
pub struct Replicas {
    pub mechanics: Mechanics,
    pub ladder: Ladder,
    members: Vec<Member>,
}

impl Replicas {
    /// Replicas of the density that `target` builds, in steps of `step` ps, a share of them to each of `workers`.
    pub fn new(
        target: impl Fn() -> Result<Box<dyn Target>>,
        integrator: &IntegratorConfig,
        step: f64,
        mechanics: Mechanics,
        ladder: Ladder,
        workers: usize,
    ) -> Result<Self> {
        let (n, workers) = (ladder.replicas(), (workers as i64).clamp(1, ladder.replicas()));
        let (kind, device) = (mechanics.masses.kind(), mechanics.masses.device());
        let kts = Tensor::from_slice(&ladder.row_kts()).to_kind(kind).to_device(device);
        let member = |i: i64| {
            let from = i * n / workers;
            let count = (i + 1) * n / workers - from;
            let dynamics = integrator.build(step, &mechanics, &kts.narrow(0, from, count));
            Ok(Member { target: Counted::new(target()?), dynamics, from, count })
        };
        let members = (0..workers).map(member).collect::<Result<Vec<_>>>()?;
        Ok(Self { mechanics, ladder, members })
    }

    pub fn target(&self) -> &dyn Target {
        &self.members[0].target
    }

    /// kT of each row, `[N]`.
    pub fn row_kts(&self) -> Tensor {
        let masses = &self.mechanics.masses;
        Tensor::from_slice(&self.ladder.row_kts()).to_kind(masses.kind()).to_device(masses.device())
    }

    pub fn calls(&self) -> Calls {
        let all = self.members.iter().map(|member| member.target.calls());
        all.fold(Calls::default(), |a, b| Calls { log_prob: a.log_prob + b.log_prob, score: a.score + b.score })
    }

    /// Advances all rows by as many steps as `noise` `[S, N, D]` has slices.
    pub fn advance(&mut self, state: State, noise: &Tensor) -> (State, Info) {
        if let [only] = self.members.as_mut_slice() {
            return only.dynamics.advance(&only.target, state, noise);
        }
        let share = |member: &Member| {
            let part = state.narrow(member.from, member.count);
            (part, noise.narrow(1, member.from, member.count))
        };
        let work: Vec<_> = self.members.iter_mut().map(|member| (share(member), member)).collect();
        let advance = |((state, noise), member): ((State, Tensor), &mut Member)| {
            member.dynamics.advance(&member.target, state, &noise)
        };
        let (states, infos): (Vec<State>, Vec<Info>) = threads::each(work, advance, || ()).into_iter().unzip();
        let kinetic = Tensor::cat(&infos.iter().map(|info| &info.kinetic).collect::<Vec<_>>(), 0);
        (State::join(&states), Info { kinetic, target_calls: infos.iter().map(|info| info.target_calls).sum() })
    }

    /// Energy of each row in kJ/mol.
    pub fn energies(&self, x: &Tensor) -> Vec<f64> {
        energies(self.target(), x, self.mechanics.kt)
    }

    /// One sweep of exchanges, with a uniform number a row; see [`Ladder::sweep`].
    pub fn exchange(&self, state: &State, uniforms: &Tensor, odd: bool) -> (State, Swaps) {
        let uniforms = uniforms.to_device(Device::Cpu).to_kind(Kind::Double).contiguous();
        let mut numbers = vec![0.0; uniforms.numel()];
        uniforms.copy_data(&mut numbers, uniforms.numel());
        let swaps = self.ladder.sweep(&self.energies(&state.x), &numbers, odd);
        let lag = self.members[0].dynamics.velocity_lag();
        (self.ladder.apply(&swaps, state, self.target(), &self.mechanics, lag), swaps)
    }
}
