//! Squared Euclidean distances between two sets of points, whole or in blocks of rows.

use tch::{Kind, Tensor};

/// `|x_i - y_j|²` in f64 on the points' device: `[N, D]`, `[M, D]` -> `[N, M]`.
///
/// One matrix product instead of a difference tensor of N·M·D numbers. Both sets are first shifted by the mean of
/// `y`, so that clouds far from the origin lose no digits; rounding below zero is clamped.
pub fn squared_distances(x: &Tensor, y: &Tensor) -> Tensor {
    let (x, y) = (x.to_kind(Kind::Double), y.to_kind(Kind::Double));
    let centre = y.mean_dim([0i64].as_slice(), true, Kind::Double); // [1, D]
    let (x, y) = (x - &centre, y - &centre);

    let x_norm = x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Double); // [N, 1]
    let y_norm = y.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Double); // [M]
    let mut cost = x.matmul(&y.tr()); // [N, M]
    let _ = cost.g_mul_scalar_(-2.0);
    let _ = cost.g_add_(&x_norm);
    let _ = cost.g_add_(&y_norm);
    cost.clamp_min_(0.0)
}

/// Distances held at a time by blockwise sums: 32 MiB.
pub const BLOCK: i64 = 1 << 22;

/// Calls `f` with the squared distances of consecutive blocks of `x`'s rows to all of `y`, at most [`BLOCK`] at a time.
pub fn for_each_block(x: &Tensor, y: &Tensor, mut f: impl FnMut(Tensor)) {
    let rows = (BLOCK / y.size()[0].max(1)).max(1);
    for block in x.split(rows, 0) {
        f(squared_distances(&block, y));
    }
}
