//! Couplings of pairs and biases of sites, as plain numbers: what enumeration and Markov chains run on.

use anyhow::Result;

use super::torus::Bond;
use crate::bad_input;

/// How the states of two coupled sites enter: `g(a, b)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Interaction {
    /// `v_a v_b` for the value that each of two states stands for: spins -1 and +1, or occupations 0 and 1.
    Product([f64; 2]),
    /// 1 if the states are equal, else 0 (Potts).
    Equal,
}

/// `log_prob(x) = offset + beta sum over bonds of J_ij g(x_i, x_j) + sum over sites of bias_i[x_i]`.
///
/// The energy is that of the bonds, `-sum of J_ij g(x_i, x_j)`; beta is in its inverse units, biases are in nats.
#[derive(Debug, Clone)]
pub struct PairModel {
    pub sites: usize,
    pub states: usize,
    pub interaction: Interaction,
    pub beta: f64,
    pub bonds: Vec<Bond>,
    /// `[sites, states]`, row-major.
    pub bias: Vec<f64>,
    /// 0 but for laws of which something was integrated out.
    pub offset: f64,
    /// Neighbours of site `i` are `neighbours[starts[i] .. starts[i + 1]]`, with their couplings.
    starts: Vec<usize>,
    neighbours: Vec<(u32, f64)>,
    /// `g`, `[states, states]`.
    table: Vec<f64>,
}

impl PairModel {
    /// # Errors
    /// If a bond leads from a site to itself or beyond the last site, or a number is not finite.
    pub fn new(states: usize, interaction: Interaction, beta: f64, bonds: Vec<Bond>, bias: Vec<f64>) -> Result<Self> {
        let sites = bias.len() / states;
        for (i, j, coupling) in &bonds {
            if i == j || (*i).max(*j) as usize >= sites {
                return Err(bad_input!("bond {i}-{j}: expected two different sites below {sites}"));
            }
            if !coupling.is_finite() {
                return Err(bad_input!("bond {i}-{j}: its coupling is {coupling}, expected a finite number"));
            }
        }
        if let Some(k) = bias.iter().position(|b| !b.is_finite()) {
            return Err(bad_input!("the bias of site {} is {}, expected a finite number", k / states, bias[k]));
        }
        let (starts, neighbours) = adjacency(sites, &bonds);
        let table = table(states, &interaction);
        Ok(Self { sites, states, interaction, beta, bonds, bias, offset: 0.0, starts, neighbours, table })
    }

    /// Neighbours of a site with their couplings.
    pub fn neighbours(&self, i: usize) -> &[(u32, f64)] {
        &self.neighbours[self.starts[i]..self.starts[i + 1]]
    }

    /// `g(a, b)`.
    pub fn g(&self, a: u8, b: u8) -> f64 {
        self.table[a as usize * self.states + b as usize]
    }

    /// Energy of the bonds.
    pub fn energy(&self, x: &[u8]) -> f64 {
        -self.bonds.iter().map(|(i, j, coupling)| coupling * self.g(x[*i as usize], x[*j as usize])).sum::<f64>()
    }

    /// What the biases give.
    pub fn field(&self, x: &[u8]) -> f64 {
        x.iter().enumerate().map(|(i, state)| self.bias[i * self.states + *state as usize]).sum()
    }

    pub fn log_prob(&self, x: &[u8]) -> f64 {
        self.offset + self.field(x) - self.beta * self.energy(x)
    }

    /// Minus the energy of site `i`'s bonds for each state that it could be in: `[states]`.
    pub fn local(&self, x: &[u8], i: usize, out: &mut [f64]) {
        out.fill(0.0);
        for (j, coupling) in self.neighbours(i) {
            let column = x[*j as usize] as usize;
            for (state, sum) in out.iter_mut().enumerate() {
                *sum += coupling * self.table[state * self.states + column];
            }
        }
    }

    /// `log_prob` for each state that site `i` could be in, up to a constant: `[states]`.
    pub fn logits(&self, x: &[u8], i: usize, out: &mut [f64]) {
        self.local(x, i, out);
        let bias = &self.bias[i * self.states..][..self.states];
        for (logit, bias) in out.iter_mut().zip(bias) {
            *logit = self.beta * *logit + bias;
        }
    }
}

/// All bonds from both of their ends, sorted by site.
fn adjacency(sites: usize, bonds: &[Bond]) -> (Vec<usize>, Vec<(u32, f64)>) {
    let mut starts = vec![0; sites + 1];
    for (i, j, _) in bonds {
        starts[*i as usize + 1] += 1;
        starts[*j as usize + 1] += 1;
    }
    for i in 0..sites {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut neighbours = vec![(0, 0.0); 2 * bonds.len()];
    for (i, j, coupling) in bonds {
        for (from, to) in [(*i, *j), (*j, *i)] {
            neighbours[next[from as usize]] = (to, *coupling);
            next[from as usize] += 1;
        }
    }
    (starts, neighbours)
}

fn table(states: usize, interaction: &Interaction) -> Vec<f64> {
    let g = |a: usize, b: usize| match interaction {
        Interaction::Product(values) => values[a] * values[b],
        Interaction::Equal => f64::from(u8::from(a == b)),
    };
    (0..states * states).map(|k| g(k / states, k % states)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_differences_of_log_prob() {
        let bonds = vec![(0, 1, 0.7), (1, 2, -0.4), (0, 2, 1.3), (0, 1, 0.1)];
        for (states, interaction) in [(2, Interaction::Product([0.0, 1.0])), (3, Interaction::Equal)] {
            let bias: Vec<f64> = (0..3 * states).map(|k| (k as f64).sin()).collect();
            let model = PairModel::new(states, interaction, 0.9, bonds.clone(), bias).unwrap();
            let (x, mut logits) = ([1, 0, 1], vec![0.0; states]);
            for i in 0..3 {
                model.logits(&x, i, &mut logits);
                for state in 0..states {
                    let mut y = x;
                    y[i] = state as u8;
                    let expected = model.log_prob(&y) - model.log_prob(&x);
                    assert!((logits[state] - logits[x[i] as usize] - expected).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn impossible_bonds_are_refused() {
        let build = |bonds| PairModel::new(2, Interaction::Equal, 1.0, bonds, vec![0.0; 6]).unwrap_err().to_string();
        assert!(build(vec![(1, 1, 1.0)]).contains("bond 1-1"));
        assert!(build(vec![(0, 3, 1.0)]).contains("below 3"));
        assert!(build(vec![(0, 2, f64::NAN)]).contains("NaN"));
    }
}
