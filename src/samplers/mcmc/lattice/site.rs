//! One site at a time.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Info, Kernel, draw};
use crate::targets::lattice::PairModel;

/// Heat bath: each site, in order, from its law given all others.
pub struct Gibbs<'a> {
    model: &'a PairModel,
    logits: Vec<f64>,
}

impl<'a> Gibbs<'a> {
    pub fn new(model: &'a PairModel) -> Self {
        Self { model, logits: vec![0.0; model.states] }
    }
}

impl Kernel for Gibbs<'_> {
    fn sweep(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info {
        let mut info = Info { changed: 0, visited: x.len() as u64 };
        for i in 0..x.len() {
            self.model.logits(x, i, &mut self.logits);
            let state = draw(&self.logits, random) as u8;
            info.changed += u64::from(state != x[i]);
            x[i] = state;
        }
        info
    }
}

/// Proposes another state for a random site (Metropolis et al., 1953). Sites in order would never mix at beta 0.
pub struct Metropolis<'a> {
    model: &'a PairModel,
    logits: Vec<f64>,
}

impl<'a> Metropolis<'a> {
    pub fn new(model: &'a PairModel) -> Self {
        Self { model, logits: vec![0.0; model.states] }
    }
}

impl Kernel for Metropolis<'_> {
    fn sweep(&mut self, x: &mut [u8], random: &mut ChaCha8Rng) -> Info {
        let mut info = Info { changed: 0, visited: x.len() as u64 };
        for _ in 0..x.len() {
            let i = random.random_range(0..x.len());
            let old = x[i] as usize;
            let new = (old + random.random_range(1..self.model.states)) % self.model.states;
            self.model.logits(x, i, &mut self.logits);
            let ratio = self.logits[new] - self.logits[old];
            if ratio >= 0.0 || random.random::<f64>() < ratio.exp() {
                x[i] = new as u8;
                info.changed += 1;
            }
        }
        info
    }
}
