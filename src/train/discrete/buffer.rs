//! States of past rollouts, from which batches are drawn, and `c_t` of the newest one.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::config::check;
use crate::samplers::discrete::Path;

/// The `buffer:` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BufferConfig {
    /// Rows of a rollout.
    pub walkers: i64,
    /// Rollouts kept, the newest ones.
    pub rollouts: usize,
    /// Updates between two rollouts.
    pub every: u64,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { walkers: 256, rollouts: 4, every: 100 }
    }
}

impl BufferConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("buffer.walkers", self.walkers, 2, 1 << 24)?;
        check::in_range("buffer.rollouts", self.rollouts, 1, 1 << 16)?;
        check::at_least("buffer.every", self.every, 1)
    }
}

/// Rollouts on one time grid, or each on its own.
#[derive(Default)]
pub struct Buffer {
    /// `[K + 1, M, D]` u8 each, the newest last.
    rollouts: VecDeque<Tensor>,
    /// Their times, `[K + 1]` f32 each, where these are not `0, 1/K, .., 1`.
    times: VecDeque<Tensor>,
    /// Mean residual at each time of the newest rollout, `[K + 1]` f64.
    pub c: Option<Tensor>,
}

/// States with the times they belong to.
pub struct Batch {
    /// `[B, D]` i64
    pub x: Tensor,
    /// `[B]` f32
    pub t: Tensor,
    /// `c_t`, `[B]` f64
    pub c: Tensor,
}

impl Batch {
    /// Rows `from ..`, at most `count` of them.
    pub fn narrow(&self, from: i64, count: i64) -> Self {
        let count = count.min(self.x.size()[0] - from);
        let part = |t: &Tensor| t.narrow(0, from, count);
        Self { x: part(&self.x), t: part(&self.t), c: part(&self.c) }
    }
}

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.rollouts.is_empty()
    }

    /// Takes a rollout with its states in, and lets the oldest beyond `most` go.
    pub fn push(&mut self, path: Path, most: usize) -> Result<()> {
        self.push_at(path, None, most)
    }

    /// The same with `times` `[K + 1]` for rollouts that have their own: all of a buffer, each with at least as many
    /// times as those before.
    pub fn push_at(&mut self, path: Path, times: Option<Tensor>, most: usize) -> Result<()> {
        let states = path.states.context("a rollout for training keeps its states")?;
        let residuals = path.residuals.context("a rollout for training keeps its residuals")?;
        self.c = Some(residuals.nan_to_num(0.0, 1.0, -1.0).mean_dim(1, false, Kind::Double));
        self.times.extend(times.map(|times| times.to_kind(Kind::Float).to_device(states.device())));
        self.rollouts.push_back(states);
        while self.rollouts.len() > most {
            self.rollouts.pop_front();
            self.times.pop_front();
        }
        Ok(())
    }

    /// Uniform draws with replacement, `rows` of them in a row at one time. Draws from libtorch's generator.
    pub fn draw(&self, batch: i64, rows: i64) -> Result<Batch> {
        let (newest, c) = self.rollouts.back().zip(self.c.as_ref()).context("no rollout to draw from")?;
        let (times, walkers) = (newest.size()[0], newest.size()[1]);
        let index = |most: i64, count: i64| Tensor::randint(most, [count], (Kind::Int64, Device::Cpu));
        let k = index(times, batch / rows).unsqueeze(1).expand([-1, rows], false).reshape([-1]); // [B]
        let (walker, age) = (index(walkers, batch), index(self.rollouts.len() as i64, batch));
        let mut x = Tensor::zeros([batch, newest.size()[2]], (Kind::Uint8, newest.device()));
        let mut t = k.to_kind(Kind::Float).to_device(newest.device()) / (times - 1) as f64;
        for (i, states) in self.rollouts.iter().enumerate() {
            let of_this = age.eq(i as i64).nonzero().squeeze_dim(1);
            let pick = |t: &Tensor| t.index_select(0, &of_this);
            // An older rollout may have fewer times than the newest.
            let k = (pick(&k) * states.size()[0]).divide_scalar_mode(times, "floor").to_device(newest.device());
            if let Some(own) = self.times.get(i) {
                t = t.index_copy(0, &of_this.to_device(newest.device()), &own.index_select(0, &k));
            }
            let flat = k * walkers + pick(&walker).to_device(newest.device());
            x = x.index_copy(0, &of_this.to_device(newest.device()), &states.flatten(0, 1).index_select(0, &flat));
        }
        let k = k.to_device(newest.device());
        Ok(Batch { x: x.to_kind(Kind::Int64), t, c: c.index_select(0, &k) })
    }

    /// Everything, under names for a checkpoint.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let mut named: Vec<_> =
            self.rollouts.iter().enumerate().map(|(i, t)| (format!("buffer.{i}"), t.shallow_clone())).collect();
        named.extend(self.times.iter().enumerate().map(|(i, t)| (format!("buffer.times.{i}"), t.shallow_clone())));
        named.extend(self.c.as_ref().map(|c| ("buffer.c".to_string(), c.shallow_clone())));
        named
    }

    /// The buffer that [`named`](Self::named) wrote, for `sites` sites.
    pub fn restored(named: &[(String, Tensor)], sites: i64, device: Device) -> Result<Self> {
        let find = |key: &str| named.iter().find(|(name, _)| name == key).map(|(_, t)| t.to_device(device));
        let rollouts: VecDeque<Tensor> = (0..).map_while(|i| find(&format!("buffer.{i}"))).collect();
        for (i, states) in rollouts.iter().enumerate() {
            let size = states.size();
            if !matches!(size.as_slice(), [k, m, d] if *k > 1 && *m > 0 && *d == sites) {
                return Err(bad_input!("tensor 'buffer.{i}' has shape {size:?}, expected [times, walkers, {sites}]"));
            }
        }
        let times: VecDeque<Tensor> = (0..).map_while(|i| find(&format!("buffer.times.{i}"))).collect();
        let fits = |(states, times): (&Tensor, &Tensor)| times.size() == [states.size()[0]];
        if !times.is_empty() && (times.len() != rollouts.len() || !rollouts.iter().zip(&times).all(fits)) {
            return Err(bad_input!("tensors 'buffer.times.*' are not one for each time of each 'buffer.*'"));
        }
        let c = find("buffer.c");
        let newest = rollouts.back().map(|states| states.size()[0]);
        if let Some(count) = newest.filter(|count| c.as_ref().map(Tensor::size) != Some(vec![*count])) {
            return Err(bad_input!("tensor 'buffer.c' is not there or not of shape [{count}]"));
        }
        Ok(Self { rollouts, times, c })
    }
}
