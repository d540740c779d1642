//! Everything a person looks at.

pub mod jsonl;
pub mod plot;
pub mod progress;
pub mod table;
pub mod tensorboard;

use tch::{Device, Kind, Tensor};

/// All entries of a tensor, row-major, in double precision.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    let mut out = vec![0.0; flat.numel()];
    flat.copy_data(&mut out, flat.numel());
    out
}
