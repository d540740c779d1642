//! Sequential Monte Carlo from a flow to the energy of its molecule.

use std::cell::RefCell;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::proposals::{Proposals, shares};
use super::subject::Subject;
use super::team::FlowTeam;
use crate::bad_input;
use crate::flows::Flow;
use crate::samplers::importance::CenterAdjustment;
use crate::samplers::importance::energy::Energy;
use crate::samplers::importance::smc::{self, SmcConfig, SmcOutcome};
use crate::torch::autograd::value_and_grad;

/// Moves proposals of a flow to the Boltzmann distribution of their molecule; all randomness follows from `seed`.
///
/// The outcome's `x` are equally weighted conformations `[M, A, 3]` in units of the flow's scale, on the CPU, and its
/// `target` their energies in kT. The two numbers of calls count points of each energy, gradients along with them: as
/// many passes of the network, forth and back.
///
/// Errors: a molecule without an energy; no proposal that passes the filters; no particle left.
pub fn anneal(
    team: &mut FlowTeam,
    subject: &Subject,
    proposals: &Proposals,
    config: &SmcConfig,
    center: CenterAdjustment,
    seed: u64,
) -> Result<SmcOutcome> {
    let Some(energy) = &subject.energy else {
        return Err(bad_input!("{}: annealing needs the molecule's energy; give an OpenMM System file", subject.name));
    };
    let (n, atoms) = (proposals.x.size()[0], subject.atoms());
    let target = |x: &Tensor| {
        let (energy, gradient) = energy.reduced_and_gradient(&x.view([-1, atoms, 3]));
        (energy, gradient.flatten(1, 2))
    };
    let source = FlowEnergy::new(team, subject, center);
    let outcome = smc::run(config, &source, &target, &proposals.x.view([n, 3 * atoms]), seed)?;
    Ok(SmcOutcome { x: outcome.x.view([-1, atoms, 3]), ..outcome })
}

/// The source's energy `-log q(x)`, with the centre's term, over flat conformations `[B, 3 A]` on the CPU.
pub struct FlowEnergy<'a> {
    /// Members are lent out as mutable, though none of them changes.
    team: RefCell<&'a mut FlowTeam>,
    subject: &'a Subject,
    center: CenterAdjustment,
}

impl<'a> FlowEnergy<'a> {
    pub fn new(team: &'a mut FlowTeam, subject: &'a Subject, center: CenterAdjustment) -> Self {
        Self { team: RefCell::new(team), subject, center }
    }

    /// `log q` `[B]` in f64 and its gradient `[B, 3 A]`; the rows are divided among the team.
    fn log_q_and_score(&self, x: &Tensor) -> (Tensor, Tensor) {
        let mut team = self.team.borrow_mut();
        let (kind, device) = (team.params().kind(), team.device());
        let x = x.detach().to_kind(kind).to_device(device).view([-1, self.subject.atoms(), 3]);
        let molecule = || self.subject.conditioning.to_device(device);
        let items = shares(&x, team.len()).into_iter().map(|x| (x, molecule())).collect();
        let found = team.each(items, |flow, (x, molecule)| {
            let prepared = tch::no_grad(|| flow.prepare(&molecule));
            flow.log_q_and_score(&x, &prepared)
        });
        let (log_q, score): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let score = Tensor::cat(&score, 0).flatten(1, 2);
        (Tensor::cat(&log_q, 0).to_device(Device::Cpu), score.to_device(Device::Cpu))
    }
}

impl Energy for FlowEnergy<'_> {
    fn value_and_gradient(&self, x: &Tensor) -> (Tensor, Tensor) {
        let (log_q, score) = self.log_q_and_score(x);
        let (value, gradient) = (-log_q, -score.to_kind(Kind::Double));
        if self.center == CenterAdjustment::None {
            return (value, gradient);
        }
        let (term, slope) = value_and_grad(&x.detach().to_kind(Kind::Double), |x| self.center.energy(x));
        (value + term, gradient + slope)
    }
}
