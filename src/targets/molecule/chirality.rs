//! Which stereocentres of a conformation differ from a reference, and the mirror image that may repair them.
//!
//! The rule is PROSE's (arXiv 2508.18175): a centre has four bonds and three or four heavy neighbours; besides the
//! alpha carbons these are the beta carbons of isoleucine, threonine and valine and the gamma carbon of leucine.

use tch::{Kind, Tensor};

use super::topology::Topology;

/// A centre and three of its neighbours.
pub type Stereocentre = [usize; 4];

/// The stereocentres of a molecule, by index; the neighbours are the first three by name (C, CB and HA for an alpha
/// carbon), which is the order of OpenMM's bonds.
pub fn stereocentres(topology: &Topology) -> Vec<Stereocentre> {
    let mut neighbours = vec![Vec::new(); topology.atoms.len()];
    for (a, b) in &topology.bonds {
        neighbours[*a].push(*b);
        neighbours[*b].push(*a);
    }
    let centre = |(centre, mut around): (usize, Vec<usize>)| {
        let heavy = around.iter().filter(|atom| topology.atoms[**atom].element != "H").count();
        around.sort_by(|a, b| topology.atoms[*a].name.cmp(&topology.atoms[*b].name));
        (around.len() == 4 && heavy > 2).then(|| [centre, around[0], around[1], around[2]])
    };
    neighbours.into_iter().enumerate().filter_map(centre).collect()
}

/// +1 or -1 for the hand of every centre, 0 where its neighbours are coplanar with it: `[N, M]` in the kind of `x`,
/// which is `[N, A, 3]` or `[N, 3 A]`.
pub fn signs(x: &Tensor, centres: &[Stereocentre]) -> Tensor {
    let x = x.reshape([x.size()[0], -1, 3]);
    let pick = |k: usize| {
        let atoms: Vec<i64> = centres.iter().map(|centre| centre[k] as i64).collect();
        x.index_select(1, &Tensor::from_slice(&atoms).to_device(x.device())) // [N, M, 3]
    };
    let [a, b, c] = [1, 2, 3].map(|k| pick(k) - pick(0));
    (a * b.linalg_cross(&c, 2)).sum_dim_intlist(2, false, None).sign()
}

/// The hands that samples are to have.
pub struct Chirality {
    centres: Vec<Stereocentre>,
    /// `[M]`
    reference: Tensor,
}

/// Samples after [`Chirality::repair`].
pub struct Repaired {
    /// The shape of the samples; those that differed are mirrored.
    pub x: Tensor,
    /// Which samples differed in any centre, `[N]` bool.
    pub changed: Tensor,
    /// Which of them still differ, because they differed in some centres only, `[N]` bool.
    pub uncorrectable: Tensor,
}

impl Chirality {
    /// `reference` is one conformation, `[1, A, 3]` or `[1, 3 A]`.
    pub fn new(topology: &Topology, reference: &Tensor) -> Self {
        let centres = stereocentres(topology);
        let reference = signs(&reference.to_kind(Kind::Double), &centres).get(0);
        Self { centres, reference }
    }

    /// That of the topology's own conformation: all L where it was built from a sequence.
    pub fn of(topology: &Topology) -> Self {
        Self::new(topology, &topology.flat_positions())
    }

    pub fn centres(&self) -> &[Stereocentre] {
        &self.centres
    }

    /// Whether any centre of a sample differs from the reference, `[N]` bool. `x` is `[N, A, 3]` or `[N, 3 A]`.
    pub fn changed(&self, x: &Tensor) -> Tensor {
        self.differs(&signs(x, &self.centres))
    }

    /// Mirrors every sample that differs through the origin, whether or not this repairs all of its centres. Distances
    /// and energies do not change, but those of force fields with maps of two torsions (ff19SB).
    pub fn repair(&self, x: &Tensor) -> Repaired {
        let signs = signs(x, &self.centres);
        let changed = self.differs(&signs);
        let uncorrectable = changed.logical_and(&self.differs(&signs.neg()));
        let shape: Vec<i64> = std::iter::once(x.size()[0]).chain(vec![1; x.dim() - 1]).collect();
        let factor = (changed.to_kind(x.kind()) * -2.0 + 1.0).view(shape.as_slice());
        Repaired { x: x * factor, changed, uncorrectable }
    }

    fn differs(&self, signs: &Tensor) -> Tensor {
        let reference = self.reference.to_device(signs.device()).to_kind(signs.kind());
        signs.ne_tensor(&reference).any_dim(1, false)
    }
}
