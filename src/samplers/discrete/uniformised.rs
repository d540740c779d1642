//! Exact simulation by uniformisation.
//!
//! Events come at Poisson times of a constant rate `M`; at an event a row makes one jump with probability `R / M` each,
//! or none. That *is* the jump process where its rates out of a state add up to less than M (A. Jensen, 1953). Weights
//! are the integral of `xi` by trapezoids between events, during which the state stands still, or the ratio of backward
//! and forward probabilities at the events. The latter is exact for any network and any M, for the reversed process
//! lives on the same events, but noisier: its variance falls with `1 / M`.

use tch::{Kind, Tensor};

use super::config::{UniformisedConfig, Weights};
use super::kernel::draw;
use super::noise::Noise;
use super::rollout::{Path, Point, Simulation};
use crate::processes::ctmc::{backward_rates, forward_rates};

/// A row stays where it is with at least a tenth of the probability at every event: a certain jump could not be weighed
/// against a reversed process that stays.
const MOST: f64 = 0.9;

/// Rows under way.
struct Walk<'a> {
    sim: &'a Simulation<'a>,
    config: &'a UniformisedConfig,
    /// Events in a unit of time, `M`.
    rate: f64,
    /// `[B, D]` i64
    x: Tensor,
    /// `[B]` f64
    log_weight: Tensor,
    /// When each row was last looked at, and its residual then; `[B]` both.
    seen: (Tensor, Tensor),
    calls: u64,
}

/// Simulates `rows` rows from the uniform law. Without gradients.
pub fn uniformised(sim: &Simulation, config: &UniformisedConfig, rows: i64, mut noise: Noise) -> Path {
    let _guard = tch::no_grad_guard();
    let path = sim.path();
    let rate = config.events * path.sites as f64;
    let times = event_times(rate, rows, &mut noise).to_device(sim.device); // [B, E]
    let x = noise.states(rows, path.sites, path.states).to_device(sim.device);
    let zeros = Tensor::zeros([rows], (Kind::Double, sim.device));
    let sums = config.weights == Weights::Trapezoid;
    let first = if sums { sim.residual(&sim.at(&x, 0.0), None) } else { zeros.copy() };
    let log_weight = if sums { zeros.copy() } else { zeros.full_like(path.log_states()) };
    let mut walk = Walk { sim, config, rate, x, log_weight, seen: (zeros, first), calls: rows as u64 };
    for e in 0..times.size()[1] {
        let t = times.select(1, e);
        let u = noise.uniform(&[rows]).to_device(sim.device);
        walk.event(&t, &u);
    }

    // The last stretch, or the density at its end.
    let Walk { x, mut log_weight, seen: (t, xi), calls, .. } = walk;
    let end = sim.at(&x, 1.0);
    log_weight += if sums { (xi + sim.residual(&end, None)) * (1.0 - t) * 0.5 } else { end.log_rho };
    let calls = calls + rows as u64;
    Path { x, log_weight, states: None, residuals: None, network_calls: calls, target_calls: calls }
}

impl Walk<'_> {
    /// One event at times `t` `[B]`, beyond 1 for rows whose events are over, with uniform numbers `u` `[B]`.
    fn event(&mut self, t: &Tensor, u: &Tensor) {
        let live = t.le(1.0).nonzero().squeeze_dim(1);
        let pick = |of: &Tensor| of.index_select(0, &live);
        let (here, t, u) = (pick(&self.x), pick(t), pick(u));
        if here.size()[0] == 0 {
            return;
        }
        let at = self.look(&here, &t);
        let forward = self.probabilities(&forward_rates(&at.g, &at.log_ratios, self.config.mixing), &here);
        let choice = draw(&forward.unsqueeze(1), &u.unsqueeze(1)); // [B, 1]
        let stay = forward.size()[1] - 1;
        let moved = choice.squeeze_dim(1).ne(stay).nonzero().squeeze_dim(1); // [J]
        let jump = (moved.size()[0] > 0).then(|| self.jump(&here, &t, &choice, &moved));
        let sums = self.config.weights == Weights::Trapezoid;
        let gain = if sums {
            let (since, before) = (pick(&self.seen.0), pick(&self.seen.1));
            let xi = self.sim.residual(&at, None);
            let gain = (before + &xi) * (&t - since) * 0.5;
            let after = jump.as_ref().map_or(xi.copy(), |jump| xi.index_copy(0, &moved, &jump.value));
            let _ = self.seen.0.index_copy_(0, &live, &t);
            let _ = self.seen.1.index_copy_(0, &live, &after);
            gain
        } else {
            let backward = self.probabilities(&backward_rates(&at.g, &at.log_ratios, self.config.mixing), &here);
            let back = backward.select(1, stay).log();
            let back = jump.as_ref().map_or(back.copy(), |jump| back.index_copy(0, &moved, &jump.value));
            back - forward.gather(1, &choice, false).log().squeeze_dim(1)
        };
        let _ = self.log_weight.index_add_(0, &live, &gain);
        if let Some(jump) = jump {
            let _ = self.x.index_copy_(0, &live.index_select(0, &moved), &jump.to);
        }
    }

    /// Where the `moved` rows go, and what weights need to know there.
    fn jump(&mut self, here: &Tensor, t: &Tensor, choice: &Tensor, moved: &Tensor) -> Jump {
        let pick = |of: &Tensor| of.index_select(0, moved);
        let (from, t, choice) = (pick(here), pick(t), pick(choice));
        let states = self.sim.target.num_states();
        let (site, state) = (choice.floor_divide_scalar(states), choice.remainder(states));
        let to = from.scatter(1, &site, &state);
        let there = self.look(&to, &t);
        let value = if self.config.weights == Weights::Trapezoid {
            self.sim.residual(&there, None)
        } else {
            let rates = backward_rates(&there.g, &there.log_ratios, self.config.mixing);
            let back = &site * states + from.gather(1, &site, false);
            self.probabilities(&rates, &to).gather(1, &back, false).log().squeeze_dim(1)
        };
        Jump { to, value }
    }

    fn look(&mut self, x: &Tensor, t: &Tensor) -> Point {
        self.calls += x.size()[0] as u64;
        self.sim.at_times(x, &t.to_kind(Kind::Float), &t.view([-1, 1, 1]))
    }

    /// Probabilities of all jumps out of x and, last, of none: `[B, D, S]` -> `[B, D S + 1]`.
    fn probabilities(&self, rates: &Tensor, x: &Tensor) -> Tensor {
        let jumps = rates.scatter_value(2, &x.unsqueeze(2), 0.0).flatten(1, 2) / self.rate;
        let leaving = jumps.sum_dim_intlist(1, true, None::<Kind>); // [B, 1]
        let jumps = jumps * (leaving.reciprocal() * MOST).clamp_max(1.0);
        let stay: Tensor = 1.0 - jumps.sum_dim_intlist(1, true, None::<Kind>);
        Tensor::cat(&[jumps, stay], 1)
    }
}

/// Jumps of some rows.
struct Jump {
    /// `[J, D]` i64
    to: Tensor,
    /// The residual there, or the log-probability of the way back; `[J]`.
    value: Tensor,
}

/// Sorted times of Poisson events in [0, 1], `[B, E]` f64; 2 where a row has fewer than the longest one's E.
fn event_times(rate: f64, rows: i64, noise: &mut Noise) -> Tensor {
    let counts: Vec<i64> = (0..rows).map(|_| noise.poisson(rate)).collect();
    let longest = counts.iter().copied().max().unwrap_or(0);
    let times = noise.uniform(&[rows, longest]);
    let place = Tensor::arange(longest, (Kind::Int64, times.device())).unsqueeze(0); // [1, E]
    let missing = place.ge_tensor(&Tensor::from_slice(&counts).unsqueeze(1)); // [B, E]
    times.masked_fill(&missing, 2.0).sort(1, false).0
}
