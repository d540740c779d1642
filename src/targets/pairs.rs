//! Differences between all unordered pairs of particles, and forces back from them, as matrix products.

use tch::Tensor;

use super::Options;
use super::support::constant;

/// The pairs `i < j` of `n` particles in `dim` spatial dimensions; coordinates are particle-major.
///
/// The incidence matrix has one +1 and one -1 a column, so the products are exact differences and exact sums of
/// opposite forces; both directions differentiate to any order.
pub struct Pairs {
    pub particles: i64,
    pub space: i64,
    incidence: Tensor,  // [n, P]
    transposed: Tensor, // [P, n]
}

impl Pairs {
    pub fn new(particles: i64, space: i64, options: Options) -> Self {
        let pairs: Vec<_> = (0..particles).flat_map(|i| (i + 1..particles).map(move |j| (i, j))).collect();
        let mut entries = vec![0.0; pairs.len() * particles as usize];
        for (p, (i, j)) in pairs.iter().enumerate() {
            entries[*i as usize * pairs.len() + p] = 1.0;
            entries[*j as usize * pairs.len() + p] = -1.0;
        }
        let incidence = constant(&entries, &[particles, pairs.len() as i64], options);
        let transposed = incidence.tr().contiguous();
        Self { particles, space, incidence, transposed }
    }

    /// `[N, n * dim]` -> `[N, dim, n]`.
    pub fn split(&self, x: &Tensor) -> Tensor {
        x.reshape([-1, self.particles, self.space]).transpose(1, 2)
    }

    /// `[N, dim, n]` -> `[N, n * dim]`.
    pub fn join(&self, x: &Tensor) -> Tensor {
        x.transpose(1, 2).reshape([-1, self.particles * self.space])
    }

    /// `x_i - x_j` of every pair: `[N, dim, n]` -> `[N, dim, P]`.
    pub fn differences(&self, split: &Tensor) -> Tensor {
        split.matmul(&self.incidence)
    }

    /// Adds a vector of every pair to `i` and subtracts it from `j`: `[N, dim, P]` -> `[N, dim, n]`.
    pub fn gather(&self, pair_vectors: &Tensor) -> Tensor {
        pair_vectors.matmul(&self.transposed)
    }
}
