//! Exact simulation by uniformisation, with exact weights.
//!
//! Events come at Poisson times of a constant rate `M`; at an event a row makes one jump with probability `R / M` each,
//! or none. That *is* the jump process where its rates out of a state add up to less than M (A. Jensen, 1953), and the
//! reversed process lives on the same events. So the ratio of backward and forward probabilities at the events weighs
//! the samples exactly, with no sum over time that would have to be approximated, whatever the network.

use tch::{Kind, Tensor};

use super::config::UniformisedConfig;
use super::kernel::draw;
use super::noise::Noise;
use super::rollout::{Path, Simulation};
use crate::processes::ctmc::{backward_rates, forward_rates};

/// A row stays where it is with at least a tenth of the probability at every event: a certain jump could not be weighed
/// against a reversed process that stays.
const MOST: f64 = 0.9;

/// Simulates `rows` rows from the uniform law. Without gradients.
pub fn uniformised(sim: &Simulation, config: &UniformisedConfig, rows: i64, mut noise: Noise) -> Path {
    let _guard = tch::no_grad_guard();
    let path = sim.path();
    let rate = config.events * path.sites as f64;
    let times = event_times(rate, rows, &mut noise).to_device(sim.device); // [B, E]
    let mut x = noise.states(rows, path.sites, path.states).to_device(sim.device);
    let mut log_weight = Tensor::full([rows], path.log_states(), (Kind::Double, sim.device));
    let mut calls = 0;
    for e in 0..times.size()[1] {
        // Rows whose events are over have left the ranks.
        let t = times.select(1, e);
        let live = t.le(1.0).nonzero().squeeze_dim(1);
        let (here, t) = (x.index_select(0, &live), t.index_select(0, &live));
        let u = noise.uniform(&[here.size()[0]]).to_device(sim.device);
        let (moved, site, state, gain, looked) = event(sim, config.mixing, rate, &here, &t, &u);
        log_weight = log_weight.index_add(0, &live, &gain);
        let at = live.index_select(0, &moved);
        let _ = x.index_put_(&[Some(&at), Some(&site)], &state, false);
        calls += looked;
    }
    log_weight += sim.target.log_prob(&x).to_kind(Kind::Double);
    Path { x, log_weight, states: None, residuals: None, network_calls: calls, target_calls: calls + rows as u64 }
}

/// What one event does to rows `x` `[B, D]` at times `t` `[B]`: which of them jump, where and to what (`[J]` each), and
/// what it adds to the weights, `[B]`; and the number of network calls.
fn event(
    sim: &Simulation,
    mixing: f64,
    rate: f64,
    x: &Tensor,
    t: &Tensor,
    u: &Tensor,
) -> (Tensor, Tensor, Tensor, Tensor, u64) {
    let look = |x: &Tensor, t: &Tensor| sim.at_times(x, &t.to_kind(Kind::Float), &t.view([-1, 1, 1]));
    let at = look(x, t);
    let forward = probabilities(&forward_rates(&at.g, &at.log_ratios, mixing), x, rate);
    let backward = probabilities(&backward_rates(&at.g, &at.log_ratios, mixing), x, rate);
    let choice = draw(&forward.unsqueeze(1), &u.unsqueeze(1)); // [B, 1]

    // The last choice is to stay, which the reversed process weighs by its own rates here.
    let stay = forward.size()[1] - 1;
    let gain = backward.select(1, stay).log() - forward.gather(1, &choice, false).log().squeeze_dim(1);

    // A jump is weighed by the reversed process from where it leads.
    let moved = choice.squeeze_dim(1).ne(stay).nonzero().squeeze_dim(1); // [J]
    let choice = choice.index_select(0, &moved); // [J, 1]
    let states = sim.target.num_states();
    let (site, state) = (choice.floor_divide_scalar(states), choice.remainder(states));
    let jumps = moved.size()[0] as u64;
    let gain = if jumps == 0 {
        gain
    } else {
        let (from, t) = (x.index_select(0, &moved), t.index_select(0, &moved));
        let to = from.scatter(1, &site, &state);
        let there = look(&to, &t);
        let reversed = probabilities(&backward_rates(&there.g, &there.log_ratios, mixing), &to, rate);
        let back = &site * states + from.gather(1, &site, false);
        let back = reversed.gather(1, &back, false).log().squeeze_dim(1);
        gain.index_add(0, &moved, &(back - backward.select(1, stay).log().index_select(0, &moved)))
    };
    (moved, site.squeeze_dim(1), state.squeeze_dim(1), gain, x.size()[0] as u64 + jumps)
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

/// Probabilities of all jumps out of x and, last, of none: `[B, D, S]` -> `[B, D S + 1]`.
fn probabilities(rates: &Tensor, x: &Tensor, rate: f64) -> Tensor {
    let jumps = rates.scatter_value(2, &x.unsqueeze(2), 0.0).flatten(1, 2) / rate;
    let leaving = jumps.sum_dim_intlist(1, true, None::<Kind>); // [B, 1]
    let jumps = jumps * (leaving.reciprocal() * MOST).clamp_max(1.0);
    let stay: Tensor = 1.0 - jumps.sum_dim_intlist(1, true, None::<Kind>);
    Tensor::cat(&[jumps, stay], 1)
}
