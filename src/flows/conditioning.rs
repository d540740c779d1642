//! What a flow is told about molecules, and what a network makes of it before it sees any coordinates.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::block::BlockTerms;
use super::config::FlowConfig;
use crate::bad_input;

/// Molecules as tokens: one row for the molecule of a whole batch, or one row a sample for a mixed batch.
///
/// Shorter molecules of a mixed batch are padded at the end, to the longest one at least: with 0 in types and
/// positions, with the identity (`n, n + 1, …`) in orders.
#[derive(Debug)]
pub struct Conditioning {
    /// Class of the atom's name, from 1, `[U, L]` i64.
    pub atom_type: Tensor,
    /// Class of its residue, from 1, `[U, L]` i64.
    pub aa_type: Tensor,
    /// Place of its residue in the chain, from 1, `[U, L]` i64.
    pub aa_pos: Tensor,
    /// Number of residues, `[U, 1]` i64.
    pub seq_len: Tensor,
    /// One order of atoms a block, `[U, L]` i64: place `j` is taken by atom `order[j]`.
    pub orders: Vec<Tensor>,
    /// 1 (or true) for atoms, 0 for padding, `[U, L]`; `None` where nothing is padded.
    pub mask: Option<Tensor>,
}

impl Conditioning {
    /// Number of rows and of tokens.
    pub fn size(&self) -> (i64, i64) {
        let size = self.atom_type.size();
        (size.first().copied().unwrap_or(0), size.get(1).copied().unwrap_or(0))
    }

    /// The same on a device; shares memory where it is there already.
    pub fn to_device(&self, device: Device) -> Self {
        let on = |t: &Tensor| t.to_device(device);
        Self {
            atom_type: on(&self.atom_type),
            aa_type: on(&self.aa_type),
            aa_pos: on(&self.aa_pos),
            seq_len: on(&self.seq_len),
            orders: self.orders.iter().map(on).collect(),
            mask: self.mask.as_ref().map(on),
        }
    }

    /// Refuses shapes that disagree, classes outside the network's tables, orders that are none, padding in between.
    pub fn check(&self, config: &FlowConfig) -> Result<()> {
        let (rows, tokens) = self.size();
        let network = config.network();
        if tokens < 1 || tokens > network.max_num_tokens {
            let most = network.max_num_tokens;
            return Err(bad_input!("the molecule has {tokens} atoms, expected between 1 and {most} for this flow"));
        }
        let whole = [rows, tokens];
        let bounded = [
            ("atom_type", &self.atom_type, whole, network.cond_embed.num_atom_emb),
            ("aa_type", &self.aa_type, whole, network.cond_embed.num_residue_emb),
            ("aa_pos", &self.aa_pos, whole, i64::MAX),
            ("seq_len", &self.seq_len, [rows, 1], i64::MAX),
        ];
        for (name, tensor, shape, classes) in bounded {
            shaped(name, tensor, shape)?;
            let (least, most) = (tensor.min().int64_value(&[]), tensor.max().int64_value(&[]));
            if least < 0 || most >= classes {
                let bad = if least < 0 { least } else { most };
                return Err(bad_input!("{name}: found {bad}, expected between 0 and {}", classes - 1));
            }
        }
        self.check_orders(network.num_blocks)?;
        self.check_mask()
    }

    fn check_orders(&self, blocks: i64) -> Result<()> {
        let (rows, tokens) = self.size();
        if self.orders.len() as i64 != blocks {
            return Err(bad_input!("{} orders of atoms, expected {blocks}, one a block", self.orders.len()));
        }
        for (b, order) in self.orders.iter().enumerate() {
            shaped(&format!("order {b}"), order, [rows, tokens])?;
            let sorted = order.sort(-1, false).0;
            if !sorted.equal(&Tensor::arange(tokens, (Kind::Int64, order.device())).expand_as(&sorted)) {
                return Err(bad_input!("order {b}: is not a permutation of 0 to {}", tokens - 1));
            }
        }
        Ok(())
    }

    fn check_mask(&self) -> Result<()> {
        let Some(mask) = &self.mask else { return Ok(()) };
        let (rows, tokens) = self.size();
        if mask.size() != [rows, tokens] {
            return Err(bad_input!("mask: has shape {:?}, expected [{rows}, {tokens}]", mask.size()));
        }
        let mask = mask.to_kind(Kind::Int64);
        let sorted = mask.sort(-1, true).0;
        if !sorted.equal(&mask) || mask.max().int64_value(&[]) > 1 || mask.select(1, 0).min().int64_value(&[]) < 1 {
            return Err(bad_input!("mask: expected ones, one at least, then zeros in every row"));
        }
        // A pad that came before an atom in some order would be seen by that atom.
        let padded_last = self.orders.iter().all(|order| mask.gather(1, order, false).equal(&mask));
        if padded_last { Ok(()) } else { Err(bad_input!("orders: padding must stay behind the atoms in every order")) }
    }
}

fn shaped(name: &str, tensor: &Tensor, shape: [i64; 2]) -> Result<()> {
    if tensor.kind() == Kind::Int64 && tensor.size() == shape {
        return Ok(());
    }
    Err(bad_input!("{name}: is {:?} of shape {:?}, expected Int64 of shape {shape:?}", tensor.kind(), tensor.size()))
}

/// Everything of a network that depends on the molecules alone: made once, used by every sample.
#[derive(Debug)]
pub struct Prepared {
    /// `[U, L]` in the network's kind; `None` where nothing is padded.
    pub(super) mask: Option<Tensor>,
    /// Number of coordinates, `[U]` in f64.
    pub(super) dims: Tensor,
    pub(super) blocks: Vec<BlockTerms>,
    /// The embedder's output, `[U, L, C]`.
    pub(super) embedded: Tensor,
}

impl Prepared {
    /// Number of coordinates of each molecule, `[U]` in f64.
    pub fn dims(&self) -> Tensor {
        self.dims.shallow_clone()
    }

    /// What the embedder says of each atom, `[U, L, C]`; zero at padding.
    pub fn embedded(&self) -> &Tensor {
        &self.embedded
    }

    /// `x` `[B, L, 3]` with zeros at padding.
    pub(super) fn masked(&self, x: &Tensor) -> Tensor {
        match &self.mask {
            Some(mask) => x * mask.unsqueeze(-1),
            None => x.shallow_clone(),
        }
    }

    /// Number of rows and of tokens.
    pub fn size(&self) -> (i64, i64) {
        let size = self.embedded.size();
        (size[0], size[1])
    }
}
