//! A batch of conformations as the forces see it: differences along a list of pairs, and all distances.

use std::cell::OnceCell;

use tch::{Kind, Tensor};

use crate::targets::Options;
use crate::targets::support::constant;

/// Squared distances (nm^2) are held from here: far below any that matters, and large enough that the twelfth power
/// of its inverse, its gradient and their sums stay finite.
pub fn least_square(kind: Kind) -> f64 {
    if kind == Kind::Double { 1e-18 } else { 4e-6 }
}

/// Added under square roots and denominators that vanish for coinciding or collinear atoms; the inverse's power 3/2,
/// which derivatives hold, must stay finite too.
pub fn tiny(kind: Kind) -> f64 {
    if kind == Kind::Double { 1e-60 } else { 1e-24 }
}

/// `x_b - x_a` for a list of pairs `(a, b)`, as a product with a matrix of one +1 and one -1 a column: exact, and on
/// every device summed in the same order in both directions.
pub struct Arrows {
    incidence: Tensor, // [A, M]
}

impl Arrows {
    pub fn new(pairs: &[[usize; 2]], atoms: usize, options: Options) -> Self {
        let mut entries = vec![0.0; pairs.len() * atoms];
        for (m, [from, to]) in pairs.iter().enumerate() {
            entries[from * pairs.len() + m] -= 1.0;
            entries[to * pairs.len() + m] += 1.0;
        }
        Self { incidence: constant(&entries, &[atoms as i64, pairs.len() as i64], options) }
    }

    /// `[N, 3, A]` -> `[N, 3, M]`.
    pub fn of(&self, batch: &Batch) -> Tensor {
        batch.columns.matmul(&self.incidence)
    }
}

/// Coordinates of a batch and what several forces need of them.
pub struct Batch {
    /// `[N, 3, A]`.
    pub columns: Tensor,
    distances: OnceCell<Distances>,
}

/// Distances between all ordered pairs.
pub struct Distances {
    pub square: Tensor,  // [N, A, A], 1 on the diagonal
    pub inverse: Tensor, // [N, A, A]
    pub plain: Tensor,   // [N, A, A]
}

impl Batch {
    /// From `[N, 3 A]`, atom by atom.
    pub fn new(x: &Tensor) -> Self {
        let atoms = x.size()[1] / 3;
        Self { columns: x.reshape([-1, atoms, 3]).transpose(1, 2), distances: OnceCell::new() }
    }

    pub fn kind(&self) -> Kind {
        self.columns.kind()
    }

    pub fn distances(&self) -> &Distances {
        self.distances.get_or_init(|| {
            let difference = self.columns.unsqueeze(3) - self.columns.unsqueeze(2); // [N, 3, A, A]
            let atoms = self.columns.size()[2];
            let diagonal = Tensor::eye(atoms, (self.kind(), self.columns.device()));
            let square = difference.square().sum_dim_intlist(1, false, None).clamp_min(least_square(self.kind()));
            let square: Tensor = square * (1.0 - &diagonal) + diagonal;
            let inverse = square.rsqrt();
            let plain = &square * &inverse;
            Distances { square, inverse, plain }
        })
    }
}

/// Sums all axes but the first in f64: `[N, ...]` -> `[N]`.
pub fn total(terms: &Tensor) -> Tensor {
    let axes: Vec<i64> = (1..terms.dim() as i64).collect();
    terms.sum_dim_intlist(axes.as_slice(), false, Kind::Double)
}
