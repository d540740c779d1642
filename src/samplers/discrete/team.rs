//! A rate network with its target, and replicas that share its parameters: one to a CPU thread.

use tch::{Device, Kind, Tensor};

use super::config::CtmcConfig;
use super::noise::Noise;
use super::rollout::{Keep, Path, Simulation, Times, rollout_on};
use super::uniformised::uniformised;
use crate::nets::RateNet;
use crate::nets::free_energy::FreeEnergy;
use crate::targets::lattice::DiscreteTarget;
use crate::torch::params::Params;
use crate::torch::threads;

/// One network and its own copy of the target.
pub struct Member {
    pub net: Box<dyn RateNet>,
    /// Where the loss has one.
    pub free_energy: Option<FreeEnergy>,
    pub target: Box<dyn DiscreteTarget>,
    pub params: Params,
}

/// Members with equal networks; the first one's parameters are *the* parameters.
pub struct Team {
    pub members: Vec<Member>,
}

impl Member {
    pub fn simulation(&self) -> Simulation<'_> {
        Simulation { net: &*self.net, target: &*self.target, device: self.params.device() }
    }
}

impl Team {
    pub fn new(first: Member) -> Self {
        Self { members: vec![first] }
    }

    /// Adds a member built from the same config; its parameters become views of the first one's.
    pub fn add(&mut self, replica: Member) {
        self.first().params.share_with(&replica.params);
        self.members.push(replica);
    }

    pub fn first(&self) -> &Member {
        &self.members[0]
    }

    /// Simulates `rows` rows in groups of the config's `particles`. Draws one number from libtorch's generator.
    pub fn rollout(&mut self, config: &CtmcConfig, rows: i64, keep: Keep) -> Path {
        self.rollout_on(config, None, rows, keep)
    }

    /// The same on given times instead of the config's own, where it has a grid.
    pub fn rollout_on(&mut self, config: &CtmcConfig, times: Option<&Times>, rows: i64, keep: Keep) -> Path {
        let seed = Tensor::randint_low(0, i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64;
        let size = config.particles();
        let groups: Vec<(u64, i64)> =
            (0..).zip((0..rows).step_by(size as usize)).map(|(i, from)| (i, size.min(rows - from))).collect();
        let job = |member: &Member, (index, count): (u64, i64)| {
            let (sim, noise) = (member.simulation(), Noise::new(seed.wrapping_add(index)));
            match config.grid() {
                Some((step, grid)) => {
                    let even = || Times::even(grid.num_steps);
                    let times = times.map_or_else(even, Times::clone);
                    rollout_on(&sim, step, grid, &times, count, keep, noise)
                }
                None => match config {
                    CtmcConfig::Uniformised(config) => uniformised(&sim, config, count, noise),
                    _ => unreachable!("every other scheme has a grid"),
                },
            }
        };
        let parts = self.shared(groups, job);
        join(parts)
    }

    /// Runs `job` on every item, contiguous shares of them by each member on a thread of its own; results in the
    /// items' order.
    pub fn shared<I: Send, T: Send>(&mut self, items: Vec<I>, job: impl Fn(&Member, I) -> T + Sync) -> Vec<T> {
        let (count, members) = (items.len(), self.members.len().min(items.len()).max(1));
        let mut items = items.into_iter();
        let share = |i: usize| (i + 1) * count / members - i * count / members;
        let work: Vec<(&mut Member, Vec<I>)> = self
            .members
            .iter_mut()
            .take(members)
            .enumerate()
            .map(|(i, member)| (member, items.by_ref().take(share(i)).collect()))
            .collect();
        let all = |(member, share): (&mut Member, Vec<I>)| -> Vec<T> {
            share.into_iter().map(|item| job(member, item)).collect()
        };
        threads::each(work, all, || ()).into_iter().flatten().collect()
    }

    /// Adds the replicas' gradients to the first member's, in order, and clears theirs.
    pub fn gather(&mut self) {
        let Some((first, replicas)) = self.members.split_first() else { return };
        replicas.iter().for_each(|replica| first.params.take_gradients(&replica.params));
    }
}

/// One path of several groups of rows.
fn join(parts: Vec<Path>) -> Path {
    let cat = |list: Vec<&Tensor>, axis: i64| (!list.is_empty()).then(|| Tensor::cat(&list, axis));
    let each = |part: fn(&Path) -> &Tensor| Tensor::cat(&parts.iter().map(part).collect::<Vec<_>>(), 0);
    Path {
        x: each(|path| &path.x),
        log_weight: each(|path| &path.log_weight),
        states: cat(parts.iter().filter_map(|path| path.states.as_ref()).collect(), 1),
        residuals: cat(parts.iter().filter_map(|path| path.residuals.as_ref()).collect(), 1),
        network_calls: parts.iter().map(|path| path.network_calls).sum(),
        target_calls: parts.iter().map(|path| path.target_calls).sum(),
    }
}
