//! The embedding of an atom's name, its residue, the residue's place and the chain's length.

use tch::{Device, Kind, Tensor};

use super::conditioning::Conditioning;
use super::config::NetworkConfig;
use super::leaves::Leaves;
use crate::nets::linear::Linear;

pub struct Embedder {
    atoms: Tensor,
    residues: Tensor,
    first: Linear,
    second: Linear,
    base: f64,
}

impl Embedder {
    pub fn new(leaves: &Leaves, network: &NetworkConfig) -> Self {
        Self {
            atoms: leaves.tensor("cond_embed.atom_embed.weight"),
            residues: leaves.tensor("cond_embed.residue_embed.weight"),
            first: leaves.linear("cond_embed.mlp.0"),
            second: leaves.linear("cond_embed.mlp.2"),
            base: network.cond_embed.sinusoid_div_value,
        }
    }

    /// `[U, L, C]`; zero at padding, given the mask `[U, L]`.
    pub fn forward(&self, molecules: &Conditioning, mask: Option<&Tensor>) -> Tensor {
        let (kind, device) = (self.atoms.kind(), self.atoms.device());
        let width = self.atoms.size()[1];
        let (atoms, residues) = (molecules.atom_type.to_device(device), molecules.aa_type.to_device(device));
        let waves = |numbers: &Tensor| sinusoid(&numbers.to_device(device), width, self.base, kind);
        let parts = [
            Tensor::embedding(&self.atoms, &atoms, -1, false, false), // [U, L, H]
            Tensor::embedding(&self.residues, &residues, -1, false, false),
            waves(&molecules.aa_pos),
            waves(&molecules.seq_len).expand([atoms.size()[0], atoms.size()[1], width], false),
        ];
        let hidden = self.first.forward(&Tensor::cat(&parts, -1)).gelu("none"); // [U, L, 4 H] -> [U, L, H]
        let embedded = self.second.forward(&hidden); // [U, L, C]
        match mask {
            Some(mask) => embedded * mask.unsqueeze(-1),
            None => embedded,
        }
    }
}

/// `sin(v w_k), cos(v w_k)` side by side for `w_k = base^(-2 k / width)`: `[…]` integers to `[…, width]`.
pub fn sinusoid(numbers: &Tensor, width: i64, base: f64, kind: Kind) -> Tensor {
    let even = Tensor::arange_start_step(0, width, 2, (Kind::Int64, numbers.device())).to_kind(kind);
    let rates = (even * (-base.ln() / width as f64)).exp(); // [width / 2]
    let angles = numbers.to_kind(kind).unsqueeze(-1) * rates;
    Tensor::stack(&[angles.sin(), angles.cos()], -1).flatten(-2, -1)
}

/// Rows `0 .. count` of the position embedding, `[count, width]`.
pub fn positions(count: i64, width: i64, base: f64, (kind, device): (Kind, Device)) -> Tensor {
    sinusoid(&Tensor::arange(count, (Kind::Int64, device)), width, base, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_and_cosines_alternate() {
        let table = positions(5, 6, 1000.0, (Kind::Double, Device::Cpu));
        for (v, k) in [(3, 0), (4, 2)] {
            let angle = v as f64 * 1000f64.powf(-2.0 * k as f64 / 6.0);
            assert!((table.double_value(&[v, 2 * k]) - angle.sin()).abs() < 1e-14);
            assert!((table.double_value(&[v, 2 * k + 1]) - angle.cos()).abs() < 1e-14);
        }
    }
}
