//! The jump process that is learned along, and how the model learns from its samples.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{ProcessConfig, WarmUp};
use crate::samplers::discrete::{Keep, Team};
use crate::targets::lattice::energy::Energy;
use crate::torch::optim::{Group, Moments, Optimizer, Rule};
use crate::train::discrete::buffer::Buffer;

/// What the process is trained on, and how the model learns from it.
pub struct Process {
    pub config: ProcessConfig,
    pub buffer: Buffer,
    ends: Option<Ends>,
    /// The model's.
    optimizer: Optimizer,
}

/// Where the newest rollouts ended, as many as the buffer keeps.
struct Ends {
    /// `[M, D]` i64
    x: Tensor,
    /// Log-weights without the `log_prob` that the model gave the end then, `[M]` f64.
    bare: Tensor,
}

impl Process {
    /// `params` are the model's.
    pub fn new(config: &ProcessConfig, params: Vec<(String, Tensor)>) -> Self {
        let group = Group { name: "energy".into(), learning_rate: config.energy_learning_rate, params };
        let optimizer = Optimizer::new(Rule::Adam(Moments::default()), vec![group]);
        Self { config: config.clone(), buffer: Buffer::default(), ends: None, optimizer }
    }

    /// What the model does at update `step` of the warm-up; `None` when it is over.
    pub fn warm_up(&self, step: u64) -> Option<WarmUp> {
        self.config.warm_up.filter(|warm_up| step < warm_up.updates)
    }

    /// Updates of the process itself before update `step`.
    pub fn age(&self, step: u64) -> u64 {
        step.saturating_sub(self.config.warm_up.map_or(0, |warm_up| warm_up.updates))
    }

    /// A rollout for buffer and model; returns its calls of network and target.
    pub fn explore(&mut self, team: &mut Team) -> Result<(u64, u64)> {
        let keep = Keep::States { clamp: self.config.loss.ratio_clamp() };
        let path = team.rollout(&self.config.rollout, self.config.buffer.walkers, keep);
        let calls = (path.network_calls, path.target_calls);
        let bare = &path.log_weight - team.first().target.log_prob(&path.x).to_kind(Kind::Double);
        let most = self.config.buffer.walkers * self.config.buffer.rollouts as i64;
        let newest = |before: Option<&Tensor>, new: &Tensor| {
            let all = before.map_or_else(|| new.shallow_clone(), |before| Tensor::cat(&[before, new], 0));
            let rows = all.size()[0];
            all.narrow(0, (rows - most).max(0), rows.min(most)).copy()
        };
        let before = self.ends.take();
        let x = newest(before.as_ref().map(|ends| &ends.x), &path.x);
        let bare = newest(before.as_ref().map(|ends| &ends.bare), &bare);
        self.ends = Some(Ends { x, bare });
        self.buffer.push(path, self.config.buffer.rollouts)?;
        Ok(calls)
    }

    /// States of the newest rollouts.
    pub fn samples(&self) -> i64 {
        self.ends.as_ref().map_or(0, |ends| ends.x.size()[0])
    }

    /// One step of contrastive divergence: data `[B, D]` f32 up, weighted samples down; returns their difference.
    ///
    /// The weights are those of the model as it is now: what it made of the ends when they were simulated is replaced,
    /// and that is all of a path's weight that depends on the law at its end.
    pub fn contrast(&mut self, energy: &Energy, data: &Tensor, rate_factor: f64) -> f64 {
        let Some(Ends { x, bare }) = &self.ends else { return 0.0 };
        let ends = energy.log_prob(&x.to_kind(Kind::Float)); // [M]
        let weights = (bare + ends.detach().to_kind(Kind::Double)).softmax(0, Kind::Double).to_kind(Kind::Float);
        let mut loss = (ends * weights).sum(Kind::Float) - energy.log_prob(data).mean(Kind::Float);
        let gap = loss.double_value(&[]);
        if let Some(couplings) = energy.couplings().filter(|_| self.config.l1 > 0.0) {
            loss += couplings.abs().mean(Kind::Float) * self.config.l1;
        }
        self.descend(&loss, rate_factor);
        gap
    }

    /// An update of the model; one that is not finite is left out.
    pub fn descend(&mut self, loss: &Tensor, rate_factor: f64) {
        self.optimizer.zero_grad();
        loss.backward();
        self.optimizer.step(rate_factor, None);
    }

    /// Everything that a checkpoint needs.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.buffer.named();
        state.extend(self.optimizer.state().into_iter().map(|(name, t)| (format!("energy_optimizer.{name}"), t)));
        if let Some(Ends { x, bare }) = &self.ends {
            state.push(("ends.x".into(), x.shallow_clone()));
            state.push(("ends.bare".into(), bare.shallow_clone()));
        }
        state
    }

    /// Takes what [`state`](Self::state) gave.
    pub fn restore(&mut self, state: &[(String, Tensor)], sites: i64, device: Device) -> Result<()> {
        let find = |name: &str| state.iter().find(|(known, _)| known == name).map(|(_, t)| t.to_device(device));
        self.buffer = Buffer::restored(state, sites, device)?;
        self.ends = find("ends.x").zip(find("ends.bare")).map(|(x, bare)| Ends { x, bare });
        let own = state
            .iter()
            .filter_map(|(name, t)| Some((name.strip_prefix("energy_optimizer.")?.to_string(), t.shallow_clone())));
        self.optimizer.load_state(&own.collect::<Vec<_>>())
    }
}
