//! Everything a person looks at: TensorBoard's event files, `metrics.jsonl`, the terminal with its `log.txt`, tables
//! and plots. This room sees numbers and plain tensors, never an algorithm.

pub mod jsonl;
pub mod plot;
pub mod progress;
pub mod table;
pub mod tensorboard;

use tch::{Device, Kind, Tensor};

/// All entries of a tensor of any shape, kind and device, row-major, in double precision.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}

/// Column `i` of a tensor `[N, D]`, for a histogram.
pub fn column(points: &Tensor, i: i64) -> Vec<f64> {
    values(&points.select(1, i))
}

/// Columns `i` and `j` of a tensor `[N, D]` as points of the plane, for a scatter plot.
pub fn plane(points: &Tensor, i: i64, j: i64) -> Vec<(f64, f64)> {
    column(points, i).into_iter().zip(column(points, j)).collect()
}
