//! A sampler and its replicas, which share parameters and divide a batch among themselves: one to a CPU thread.
//!
//! All noise is drawn by the calling thread, for the whole batch at once, so paths do not depend on the number of
//! members; sums of gradients do, in their last digits.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tch::{Kind, Tensor};

use super::diffusion::DiffusionSampler;
use super::gradient::{along_detached, through_path};
use super::path::{Path, Tables};
use super::rollout::{Keep, Simulation, rollback, rollout};
use crate::losses::PathWeights;
use crate::nets::log_flow::LogFlow;
use crate::targets::{Calls, Counted};
use crate::torch::threads;

/// Steps of noise drawn ahead of the slowest member.
const AHEAD: usize = 4;

/// One sampler with its own copy of the target.
pub struct Member {
    pub sampler: DiffusionSampler,
    pub target: Counted,
    pub flow: Option<LogFlow>,
}

/// Members with equal networks; the first one's parameters are *the* parameters.
pub struct Team {
    members: Vec<Member>,
}

impl Team {
    pub fn new(first: Member) -> Self {
        Self { members: vec![first] }
    }

    /// Adds a member built from the same config; its parameters become views of the first one's.
    pub fn add(&mut self, replica: Member) {
        self.first().sampler.params.share_with(&replica.sampler.params);
        self.members.push(replica);
    }

    pub fn first(&self) -> &Member {
        &self.members[0]
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Density and score calls of all members.
    pub fn calls(&self) -> Calls {
        let all = self.members.iter().map(|member| member.target.calls());
        all.fold(Calls::default(), |a, b| Calls { log_prob: a.log_prob + b.log_prob, score: a.score + b.score })
    }

    /// Continues a count.
    pub fn set_calls(&mut self, calls: Calls) {
        self.members.iter().for_each(|member| member.target.set_calls(Calls::default()));
        self.first().target.set_calls(calls);
    }

    /// Simulates `n` paths from the prior, a share by each member. Draws from libtorch's generator.
    pub fn rollout(&mut self, n: i64, keep: Keep) -> Vec<Path> {
        let draws = self.first().sampler.process.num_steps + 1;
        let nothing = vec![(); self.members.len()];
        self.simulate(n, draws, nothing, move |member, (), noise| {
            rollout(Simulation { tables: &Tables::new(&member.sampler), target: &member.target, noise }, keep)
        })
    }

    /// Simulates paths backwards from samples of the target `[N, D]`, a share by each member.
    pub fn rollback(&mut self, samples: &Tensor) -> Vec<Path> {
        let n = samples.size()[0];
        let draws = self.first().sampler.process.num_steps;
        let parts: Vec<_> =
            shares(n, self.members.len()).iter().map(|(from, count)| samples.narrow(0, *from, *count)).collect();
        self.simulate(n, draws, parts, |member, part, noise| {
            rollback(Simulation { tables: &Tables::new(&member.sampler), target: &member.target, noise }, &part)
        })
    }

    /// Runs `job` for every member with its item, while this thread draws `draws` sets of standard normals `[n, D]`
    /// and hands each member its rows.
    fn simulate<I: Send>(
        &mut self,
        n: i64,
        draws: i64,
        items: Vec<I>,
        job: impl Fn(&mut Member, I, &mut dyn FnMut() -> Tensor) -> Path + Sync,
    ) -> Vec<Path> {
        let (dim, like) = (self.first().sampler.dim, self.first().sampler.learned.prior_mean.shallow_clone());
        let draw = move || Tensor::randn([n, dim], (like.kind(), like.device()));
        if let [only] = self.members.as_mut_slice() {
            return items.into_iter().map(|item| job(only, item, &mut || draw())).collect();
        }
        let shares = shares(n, self.members.len());
        let (senders, receivers): (Vec<_>, Vec<_>) = shares.iter().map(|_| sync_channel(AHEAD)).unzip();
        let work: Vec<_> = self.members.iter_mut().zip(items).zip(receivers).collect();
        let with_noise = |((member, item), noise): ((&mut Member, I), Receiver<Tensor>)| {
            job(member, item, &mut || noise.recv().expect("the thread that draws noise outlives the simulation"))
        };
        threads::each(work, with_noise, || deal(draws, draw, &shares, senders))
    }

    /// Accumulates the gradient of the weighted log densities along detached paths; see [`along_detached`].
    pub fn along_detached(&mut self, paths: Vec<Path>, weights: &PathWeights, chunk_rows: i64) {
        let mut from = 0;
        let work = self.members.iter_mut().zip(paths).map(|(member, path)| {
            let count = path.log_prior.size()[0];
            let part = weights.columns(from, count);
            from += count;
            (member, path, part)
        });
        let gradient = |(member, path, weights): (&mut Member, Path, PathWeights)| {
            along_detached(Tables::new(&member.sampler), &path, &weights, member.flow.as_ref(), chunk_rows);
        };
        threads::each(work.collect(), gradient, || ());
        self.gather();
    }

    /// Accumulates the gradient of the mean log-RND through the paths; see [`through_path`].
    pub fn through_paths(&mut self, paths: Vec<Path>, segment: i64) {
        let total: i64 = paths.iter().map(|path| path.log_prior.size()[0]).sum();
        let work = self.members.iter_mut().zip(paths).collect();
        let gradient = |(member, path): (&mut Member, Path)| {
            through_path(&member.sampler, &member.target, &path, segment, total);
        };
        threads::each(work, gradient, || ());
        self.gather();
    }

    /// Adds the replicas' gradients to the first member's, in order, and clears theirs.
    fn gather(&mut self) {
        let Some((first, replicas)) = self.members.split_first() else { return };
        replicas.iter().for_each(|replica| first.sampler.params.take_gradients(&replica.sampler.params));
    }
}

/// Contiguous shares of `n` rows: (first row, number of rows).
fn shares(n: i64, members: usize) -> Vec<(i64, i64)> {
    let members = members as i64;
    let start = |i: i64| i * n / members;
    (0..members).map(|i| (start(i), start(i + 1) - start(i))).collect()
}

/// Draws for everybody until all have what they need, or somebody has gone.
fn deal(draws: i64, draw: impl Fn() -> Tensor, shares: &[(i64, i64)], members: Vec<SyncSender<Tensor>>) {
    let _guard = tch::no_grad_guard();
    for _ in 0..draws {
        let noise = draw();
        let rows = shares.iter().map(|(from, count)| noise.narrow(0, *from, *count));
        if members.iter().zip(rows).any(|(member, rows)| member.send(rows).is_err()) {
            return; // a member panicked; its panic is reported when it is joined
        }
    }
}

/// The log-RNDs of all paths in order, `[N]` f64.
pub fn log_rnd(paths: &[Path]) -> Tensor {
    Tensor::cat(&paths.iter().map(Path::log_rnd).collect::<Vec<_>>(), 0).to_kind(Kind::Double)
}
