//! A [`PairModel`] in tensors.

use tch::{Kind, Tensor};

use super::super::Options;
use super::super::support::constant;
use super::DiscreteTarget;
use super::pair::{Interaction, PairModel};

/// Up to so many sites the couplings are kept as a full matrix: one matrix product beats gathering neighbours.
const DENSE: usize = 1024;

/// Couplings times beta.
enum Couplings {
    /// `[D, D]`, symmetric, zero diagonal.
    Dense(Tensor),
    /// Every bond from both ends: `from`, `to` `[2E]` i64 and strengths `[2E]`.
    Sparse { from: Tensor, to: Tensor, strength: Tensor },
}

/// The law of a pair model: closed forms for all single-site ratios from one product with the couplings.
pub struct PairTarget {
    model: PairModel,
    couplings: Couplings,
    /// `[D, S]`.
    bias: Tensor,
    options: Options,
    values: Vec<i64>,
    shape: Option<(i64, i64)>,
}

impl PairTarget {
    /// `values` are what files hold for states `0 .. S-1`; `shape` is that of a lattice.
    pub fn new(model: PairModel, values: Vec<i64>, shape: Option<(i64, i64)>, options: Options) -> Self {
        let (d, s) = (model.sites as i64, model.states as i64);
        let bias = constant(&model.bias, &[d, s], options);
        let couplings = couplings(&model, options);
        Self { model, couplings, bias, options, values, shape }
    }

    /// Sum over neighbours of what stands there: `[B, D, K]` -> `[B, D, K]`.
    fn neighbour_sum(&self, field: &Tensor) -> Tensor {
        match &self.couplings {
            Couplings::Dense(matrix) => matrix.matmul(field),
            Couplings::Sparse { from, to, strength } => {
                let told = field.index_select(1, from) * strength.view([1, -1, 1]); // [B, 2E, K]
                field.zeros_like().index_add(1, to, &told)
            }
        }
    }

    /// `beta sum_j J_ij g(tau, x_j)` for every site and state: `[B, D]` -> `[B, D, S]`.
    fn local(&self, x: &Tensor) -> Tensor {
        match &self.model.interaction {
            Interaction::Product(values) => {
                let values = constant(values, &[2], self.options);
                let own = values.index_select(0, &x.reshape([-1])).view([-1, self.sites(), 1]); // [B, D, 1]
                self.neighbour_sum(&own) * values
            }
            Interaction::Equal => {
                self.neighbour_sum(&x.one_hot(self.num_states()).to_kind(self.options.0)) // [B, D, S]
            }
        }
    }
}

fn couplings(model: &PairModel, options: Options) -> Couplings {
    let ends = model.bonds.iter().flat_map(|(i, j, w)| [(*i, *j, *w), (*j, *i, *w)]);
    let d = model.sites;
    if d <= DENSE {
        let mut matrix = vec![0.0; d * d];
        ends.for_each(|(i, j, w)| matrix[i as usize * d + j as usize] += model.beta * w);
        return Couplings::Dense(constant(&matrix, &[d as i64, d as i64], options));
    }
    let (mut from, mut to, mut strength) = (Vec::new(), Vec::new(), Vec::new());
    for (i, j, w) in ends {
        from.push(i64::from(i));
        to.push(i64::from(j));
        strength.push(model.beta * w);
    }
    let index = |sites: &[i64]| Tensor::from_slice(sites).to_device(options.1);
    Couplings::Sparse { from: index(&from), to: index(&to), strength: constant(&strength, &[-1], options) }
}

impl DiscreteTarget for PairTarget {
    fn sites(&self) -> i64 {
        self.model.sites as i64
    }

    fn num_states(&self) -> i64 {
        self.model.states as i64
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        // Every bond is seen from both ends.
        let site = self.local(x) * 0.5 + &self.bias; // [B, D, S]
        let own = site.gather(2, &x.unsqueeze(2), false).squeeze_dim(2); // [B, D]
        own.sum_dim_intlist(1, false, None::<Kind>) + self.model.offset
    }

    fn log_ratios(&self, x: &Tensor) -> Tensor {
        let logits = self.local(x) + &self.bias; // [B, D, S]
        let own = logits.gather(2, &x.unsqueeze(2), false); // [B, D, 1]
        logits - own
    }

    fn values(&self) -> Vec<i64> {
        self.values.clone()
    }

    fn shape(&self) -> Option<(i64, i64)> {
        self.shape
    }

    fn pairs(&self) -> Option<&PairModel> {
        Some(&self.model)
    }
}
