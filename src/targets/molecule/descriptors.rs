//! The description of a conformation on which slow motions of peptides are sought (TICA): distances between heavy
//! atoms of the main chain and beyond, and torsions of the backbone. Coordinates are `[N, A, 3]` or `[N, 3 A]`.

use tch::Tensor;

use super::features;
use super::topology::{Topology, Torsion};

/// omega: CA and C of a residue, N and CA of the one after, for every peptide bond.
pub fn omega(topology: &Topology) -> Vec<Torsion> {
    let bond = |psi: Torsion| {
        let [_, ca, c, n] = psi.atoms;
        Some(Torsion { residue: psi.residue, atoms: [ca, c, n, topology.atom(psi.residue + 1, "CA")?] })
    };
    topology.psi().into_iter().filter_map(bond).collect()
}

/// Which distances and torsions describe a molecule, as PROSE does (arXiv 2508.18175).
pub struct Descriptors {
    /// All carbons, nitrogens and sulphurs, whose pairs are measured.
    pub atoms: Vec<usize>,
    pub phi: Vec<Torsion>,
    pub psi: Vec<Torsion>,
    pub omega: Vec<Torsion>,
}

impl Descriptors {
    pub fn of(topology: &Topology) -> Self {
        let heavy = |atom: &usize| ["C", "N", "S"].contains(&topology.atoms[*atom].element.as_str());
        Self {
            atoms: (0..topology.atoms.len()).filter(heavy).collect(),
            phi: topology.phi(),
            psi: topology.psi(),
            omega: omega(topology),
        }
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        let n = self.atoms.len();
        n * n.saturating_sub(1) / 2 + 2 * (self.phi.len() + self.psi.len() + self.omega.len())
    }

    /// `[N, dim]`: distances in nm (first atom outermost), then sin phi, cos phi, sin psi, cos psi, sin omega and
    /// cos omega, each for all residues.
    pub fn measure(&self, x: &Tensor) -> Tensor {
        let x = x.flatten(1, -1); // [N, 3 A]
        let n = self.atoms.len();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let pairs: Vec<_> = pairs.map(|(i, j)| (self.atoms[i], self.atoms[j])).collect();
        let mut blocks = vec![features::distances(&x, &pairs)];
        for torsions in [&self.phi, &self.psi, &self.omega] {
            let angles = features::torsions(&x, torsions);
            blocks.extend([angles.sin(), angles.cos()]);
        }
        Tensor::cat(&blocks, 1)
    }

    /// All phi, then all psi, `[N, 2 (residues - 1)]`, in (-pi, pi]: the torus of Ramachandran pictures.
    pub fn torus(&self, x: &Tensor) -> Tensor {
        let x = x.flatten(1, -1);
        Tensor::cat(&[features::torsions(&x, &self.phi), features::torsions(&x, &self.psi)], 1)
    }
}
