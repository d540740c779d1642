//! Narrow tori by the matrix that leads from one row to the next.

use tch::{Device, Kind, Tensor};

use super::super::{Interaction, PairModel};
use super::{Exact, enumeration};

/// Most states of a row: a matrix of 8 MB, diagonalised in a second or two.
const MOST_ROWS: f64 = 1024.0;

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Whether [`solve`] may be asked.
pub fn fits(states: usize, side: usize) -> bool {
    (states as f64).powi(side as i32) <= MOST_ROWS
}

/// log Z, energy, magnetisation, `m²` and the two-point function of a torus whose couplings are all 1 and whose sites
/// all have the same bias.
///
/// `Z = tr T^L` with the symmetric `T = V^½ W V^½`, V a row's own weight and W that of the bonds to the next. In the
/// basis of T's eigenvectors, `<A_0 B_k> = sum over a, b of λ_a^(L-k) A_ab λ_b^k B_ba / Z` for functions of a row.
pub fn solve(model: &PairModel, side: usize) -> Exact {
    let rows = Rows::new(model, side);
    let basis = rows.diagonalise();

    // Chances of state a in column 0 of two rows at distance k, and of row counts, which sum to counts of the lattice.
    let q = model.states as f64;
    let order = |equal: f64| (q * equal - 1.0) / (q - 1.0);
    let in_state = |a: i64| rows.states.eq(a).to_kind(Kind::Double); // [R, L]
    let (mut equal, mut squares) = (vec![0.0; side / 2 + 1], 0.0);
    let mut magnetisation = 0.0;
    for a in 0..model.states as i64 {
        let site = basis.rotate(&in_state(a).select(1, 0));
        equal.iter_mut().enumerate().for_each(|(k, sum)| *sum += basis.correlation(&site, k));
        let count = basis.rotate(&in_state(a).sum_dim_intlist(1, false, None::<Kind>));
        squares += (0..side).map(|k| basis.correlation(&count, k)).sum::<f64>() / (side as f64).powi(3);
        magnetisation += if a == 0 { -basis.mean(&site) } else { basis.mean(&site) };
    }

    let two_point: Vec<f64> = equal.into_iter().map(order).collect();
    let neighbours = match model.interaction {
        Interaction::Product(_) => two_point[1],
        Interaction::Equal => (1.0 + (q - 1.0) * two_point[1]) / q,
    };
    Exact {
        method: "transfer matrix",
        log_z: basis.log_z + model.offset,
        energy: Some(-2.0 * (side * side) as f64 * neighbours),
        magnetisation: (model.states == 2).then_some(magnetisation),
        magnetisation2: Some(order(squares)),
        two_point: Some(two_point),
        ..Exact::default()
    }
}

/// The states of a row, `[R, L]` i64, and the log of the symmetric transfer matrix, `[R, R]`.
struct Rows {
    states: Tensor,
    log_matrix: Tensor,
    side: usize,
}

impl Rows {
    fn new(model: &PairModel, side: usize) -> Self {
        let (q, l) = (model.states as i64, side as i64);
        let states = enumeration::states(q, l);
        // g(a, b) = features(a) . features(b).
        let features = match &model.interaction {
            Interaction::Product(values) => {
                Tensor::from_slice(values).index_select(0, &states.reshape([-1])).view([-1, l, 1])
            }
            Interaction::Equal => states.one_hot(q).to_kind(Kind::Double),
        }; // [R, L, K]
        let flat = features.flatten(1, 2); // [R, L K]
        let between = flat.matmul(&flat.tr()) * model.beta; // [R, R]
        let within = (&features * features.roll(-1, 1)).sum_dim_intlist([1, 2].as_slice(), false, None::<Kind>);
        let bias = Tensor::from_slice(&model.bias[..model.states]).index_select(0, &states.reshape([-1]));
        let own = within * model.beta + bias.view([-1, l]).sum_dim_intlist(1, false, None::<Kind>); // [R]
        let log_matrix = between + (own.unsqueeze(0) + own.unsqueeze(1)) * 0.5;
        Self { states, log_matrix, side }
    }

    fn diagonalise(&self) -> Basis {
        let top = self.log_matrix.max();
        let (eigenvalues, vectors) = (&self.log_matrix - &top).exp().linalg_eigh("L");
        // Relative to the largest, so that powers stay in range; the other end may be negative but is smaller.
        let largest = eigenvalues.max();
        let ratios = eigenvalues / &largest;
        let sum = ratios.pow_tensor_scalar(self.side as i64).sum(Kind::Double).double_value(&[]);
        let log_z = self.side as f64 * (top.double_value(&[]) + largest.double_value(&[]).ln()) + sum.ln();
        Basis { ratios, vectors, side: self.side, sum, log_z }
    }
}

/// Eigenvalues over the largest, eigenvectors as columns.
struct Basis {
    ratios: Tensor,
    vectors: Tensor,
    side: usize,
    /// Sum of the L-th powers of the ratios.
    sum: f64,
    log_z: f64,
}

impl Basis {
    /// A function of a row `[R]` as a matrix between eigenvectors.
    fn rotate(&self, values: &Tensor) -> Tensor {
        (&self.vectors * values.unsqueeze(1)).tr().matmul(&self.vectors)
    }

    fn mean(&self, matrix: &Tensor) -> f64 {
        let powers = self.ratios.pow_tensor_scalar(self.side as i64);
        (powers * matrix.diagonal(0, 0, 1)).sum(Kind::Double).double_value(&[]) / self.sum
    }

    /// `<A_0 A_k>`.
    fn correlation(&self, matrix: &Tensor, distance: usize) -> f64 {
        let powers = |k: usize| {
            if k == 0 { Tensor::ones(self.ratios.size(), F64) } else { self.ratios.pow_tensor_scalar(k as i64) }
        };
        let (left, right) = (powers(self.side - distance), powers(distance));
        left.dot(&matrix.square().matmul(&right)).double_value(&[]) / self.sum
    }
}
