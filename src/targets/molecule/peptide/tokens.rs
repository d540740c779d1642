//! What an atom is to a network: classes of names and residues, and places in the sequence (PROSE, arXiv 2508.18175).

use anyhow::Result;

use super::amino_acids::AMINO_ACIDS;
use super::chain::Peptide;
use crate::targets::molecule::topology::Topology;

/// The classes of atom names, numbered from 1; 0 is padding.
const ATOM_TYPES: [&str; 54] = [
    "C", "CA", "CB", "CD", "CD1", "CD2", "CE", "CE1", "CE2", "CE3", "CG", "CG1", "CG2", "CH2", "CZ", "CZ2", "CZ3", "H",
    "HA", "HB", "HD", "HD1", "HD2", "HE", "HE1", "HE2", "HE3", "HG", "HG1", "HG2", "HH", "HH1", "HH2", "HZ", "HZ2",
    "HZ3", "N", "ND1", "ND2", "NE", "NE1", "NE2", "NH1", "NH2", "NZ", "O", "OD", "OE", "OG", "OG1", "OH", "OXT", "SD",
    "SG",
];

/// Residues whose ring hydrogens are told apart.
const RINGS: [&str; 5] = ["HIS", "HIE", "PHE", "TRP", "TYR"];

/// Integers from 1, one an atom in the topology's order; 0 is left to padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Class of the atom's name, 1 to 54: equivalent hydrogens share one.
    pub atom_type: Vec<i64>,
    /// The amino acid, 1 to 20.
    pub aa_type: Vec<i64>,
    /// Number of the residue in the chain.
    pub aa_pos: Vec<i64>,
    /// Number of residues.
    pub seq_len: i64,
}

impl Tokens {
    /// Errors as in [`Peptide::of`].
    pub fn of(topology: &Topology) -> Result<Self> {
        Ok(Peptide::of(topology)?.tokens())
    }
}

impl Peptide {
    pub fn tokens(&self) -> Tokens {
        let zeros = || vec![0; self.len()];
        let mut tokens =
            Tokens { atom_type: zeros(), aa_type: zeros(), aa_pos: zeros(), seq_len: self.residues.len() as i64 };
        for (k, link) in self.residues.iter().enumerate() {
            let aa_type = number(AMINO_ACIDS.iter().map(|acid| acid.name), link.acid.name);
            for (name, index) in &link.atoms {
                tokens.atom_type[*index] = number(ATOM_TYPES, class(link.acid.name, name));
                tokens.aa_type[*index] = aa_type;
                tokens.aa_pos[*index] = k as i64 + 1;
            }
        }
        tokens
    }
}

/// Place in a list, from 1.
fn number(list: impl IntoIterator<Item = &'static str>, name: &str) -> i64 {
    list.into_iter().position(|own| own == name).map_or(0, |place| place as i64 + 1)
}

/// The class of an atom: hydrogens lose the digit that tells equivalent ones apart, carboxylate and amide oxygens too.
fn class<'a>(residue: &str, atom: &'a str) -> &'a str {
    let ring = RINGS.contains(&residue) && ["HE", "HD", "HZ", "HH"].iter().any(|head| atom.starts_with(head));
    let numbered = atom.starts_with('H') && atom.ends_with(['1', '2', '3']) && !ring;
    if numbered || atom.starts_with("OE") || atom.starts_with("OD") { &atom[..atom.len() - 1] } else { atom }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hydrogens_share_classes_but_in_rings() {
        let classes = [
            ("ARG", "HH11", "HH1"),
            ("ARG", "HH21", "HH2"),
            ("THR", "HG1", "HG"),
            ("THR", "OG1", "OG1"),
            ("VAL", "HG11", "HG1"),
            ("ASN", "OD1", "OD"),
            ("TRP", "HH2", "HH2"),
            ("TRP", "HB2", "HB"),
            ("LYS", "HZ3", "HZ"),
            ("MET", "HE1", "HE"),
            ("ALA", "OXT", "OXT"),
        ];
        for (residue, atom, expected) in classes {
            assert_eq!(class(residue, atom), expected, "{residue} {atom}");
        }
    }

    /// Every atom of every residue has a class, and every class an atom.
    #[test]
    fn classes_cover_all_atoms() {
        let atoms = AMINO_ACIDS.iter().flat_map(|acid| {
            let ends = [acid.atoms(true, false), acid.atoms(false, true)].concat();
            ends.into_iter().map(|atom| number(ATOM_TYPES, class(acid.name, atom))).collect::<Vec<_>>()
        });
        let found: std::collections::BTreeSet<i64> = atoms.collect();
        assert_eq!(found, (1..=54).collect());
    }
}
