//! Clusters of like sites, which are changed as one: no slowing down at a critical point.
//!
//! A bond that lowers the energy is kept with probability `1 - exp(-gap)`, where `gap` is what breaking it would cost
//! in log_prob: `2 |beta J|` for spins, `beta J` for Potts states. Spins in a cluster keep their relation, so couplings
//! of either sign are welcome. Biases act on whole clusters.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Info, Kernel, draw};
use crate::bad_input;
use crate::targets::lattice::{Interaction, PairModel};

/// Whether states are moved by a flip (spins) or set to a common state (Potts).
#[derive(Clone, Copy, PartialEq)]
enum Move {
    Flip,
    Set,
}

fn movement(model: &PairModel, key: &str) -> Result<Move> {
    match model.interaction {
        Interaction::Product(values) if values[0] == -values[1] => Ok(Move::Flip),
        Interaction::Equal if model.bonds.iter().all(|(_, _, coupling)| model.beta * coupling >= 0.0) => Ok(Move::Set),
        Interaction::Equal => Err(bad_input!("'{key}' moves clusters of equal states, which beta below 0 keeps apart")),
        Interaction::Product(_) => Err(bad_input!("'{key}' flips clusters of spins; expected 'gibbs' or 'metropolis'")),
    }
}

/// What breaking the bond between two sites would cost; at most 0 if it is broken already.
fn gap(model: &PairModel, movement: Move, coupling: f64, a: u8, b: u8) -> f64 {
    let strength = model.beta * coupling;
    match movement {
        Move::Flip => 2.0 * strength * model.g(a, b),
        Move::Set if a == b => strength,
        Move::Set => 0.0,
    }
}

fn keeps(gap: f64, random: &mut ChaCha8Rng) -> bool {
    gap > 0.0 && random.random::<f64>() < -(-gap).exp_m1()
}

/// All clusters at once (R. Swendsen and J.-S. Wang, Physical Review Letters 58, 1987).
pub struct SwendsenWang<'a> {
    model: &'a PairModel,
    movement: Move,
    /// Parents of a union-find forest; a root's is itself.
    parent: Vec<u32>,
    /// What the biases of a cluster say of each move, at its root: `[sites, moves]`.
    logits: Vec<f64>,
}

impl<'a> SwendsenWang<'a> {
    pub fn new(model: &'a PairModel, key: &str) -> Result<Self> {
        let movement = movement(model, key)?;
        Ok(Self { model, movement, parent: vec![0; model.sites], logits: vec![0.0; model.sites * model.states] })
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            // Every other node on the way is hung one higher.
            self.parent[i as usize] = self.parent[self.parent[i as usize] as usize];
            i = self.parent[i as usize];
        }
        i
    }

    fn join(&mut self, x: &[u8], random: &mut ChaCha8Rng) {
        self.parent.iter_mut().zip(0..).for_each(|(parent, i)| *parent = i);
        let model = self.model;
        for (i, j, coupling) in &model.bonds {
            if keeps(gap(model, self.movement, *coupling, x[*i as usize], x[*j as usize]), random) {
                let (a, b) = (self.root(*i), self.root(*j));
                self.parent[a.max(b) as usize] = a.min(b);
            }
        }
    }

    /// Move `k` of site `i`: stay or flip, or state `k`.
    fn moved(&self, state: u8, k: usize) -> usize {
        if self.movement == Move::Flip { state as usize ^ k } else { k }
    }
}

impl Kernel for SwendsenWang<'_> {
    fn sweep(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info {
        self.join(x, random);
        let (n, q) = (x.len(), self.model.states);
        self.logits.fill(0.0);
        for (i, state) in x.iter().enumerate() {
            let root = self.root(i as u32) as usize;
            for k in 0..q {
                self.logits[root * q + k] += self.model.bias[i * q + self.moved(*state, k)];
            }
        }

        // A root is its cluster's first site, so its move is drawn before the others look it up.
        let mut info = Info { changed: 0, visited: n as u64 };
        let mut moves = vec![0; n];
        for i in 0..n {
            let root = self.root(i as u32) as usize;
            if root == i {
                moves[i] = draw(&self.logits[i * q..][..q], random);
            }
            let state = self.moved(x[i], moves[root]) as u8;
            info.changed += u64::from(state != x[i]);
            x[i] = state;
        }
        info
    }
}

/// Single clusters grown from random sites (U. Wolff, Physical Review Letters 62, 1989); with biases, a cluster's move
/// is accepted as a Metropolis step.
pub struct Wolff<'a> {
    model: &'a PairModel,
    movement: Move,
    clusters: u32,
    inside: Vec<bool>,
    cluster: Vec<u32>,
}

impl<'a> Wolff<'a> {
    pub fn new(model: &'a PairModel, clusters: u32, key: &str) -> Result<Self> {
        let movement = movement(model, key)?;
        Ok(Self { model, movement, clusters, inside: vec![false; model.sites], cluster: Vec::new() })
    }

    fn grow(&mut self, x: &[u8], random: &mut ChaCha8Rng) {
        let seed = random.random_range(0..x.len());
        self.cluster.clear();
        self.cluster.push(seed as u32);
        self.inside[seed] = true;
        let mut next = 0;
        while let Some(i) = self.cluster.get(next).map(|i| *i as usize) {
            for (j, coupling) in self.model.neighbours(i) {
                let site = *j as usize;
                if !self.inside[site] && keeps(gap(self.model, self.movement, *coupling, x[i], x[site]), random) {
                    self.inside[site] = true;
                    self.cluster.push(*j);
                }
            }
            next += 1;
        }
    }

    fn step(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info {
        self.grow(x, random);
        let q = self.model.states;
        let shift = if q == 2 { 1 } else { random.random_range(1..q) };
        let moved = |state: u8| (state as usize + shift) % q;

        let change = |i: &u32| {
            let (bias, state) = (&self.model.bias[*i as usize * q..], x[*i as usize]);
            bias[moved(state)] - bias[state as usize]
        };
        let ratio: f64 = self.cluster.iter().map(change).sum();
        let accepted = ratio >= 0.0 || random.random::<f64>() < ratio.exp();
        for i in self.cluster.iter().map(|i| *i as usize) {
            self.inside[i] = false;
            if accepted {
                x[i] = moved(x[i]) as u8;
            }
        }
        let size = self.cluster.len() as u64;
        Info { changed: if accepted { size } else { 0 }, visited: size }
    }
}

impl Kernel for Wolff<'_> {
    fn sweep(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info {
        let mut info = Info::default();
        for _ in 0..self.clusters {
            info.add(self.step(x, random));
        }
        info
    }
}
