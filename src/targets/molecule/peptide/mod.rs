//! Peptides from their sequences, and how the networks that know peptides see them.
//!
//! A chain is zwitterionic: an ammonium group at its beginning, a carboxylate at its end, no caps. Names are those that
//! OpenMM gives atoms when it reads a PDB file; histidines have their hydrogen at NE2.

mod amino_acids;
mod build;
mod chain;
mod hydrogens;
mod order;
mod side_chains;
mod tokens;
mod vector;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

pub use chain::Peptide;
pub use order::ORDERS;
pub use tokens::Tokens;

use super::residues::Template;
use super::topology::{Atom, Residue, Topology};
use crate::bad_input;
use amino_acids::AminoAcid;

/// Atoms of the largest peptide that PROSE has seen, and thus has token positions for.
pub const MOST_ATOMS: usize = 178;

/// The peptide that an argument of the command line means: a PDB file by its path, or a sequence such as `ARIP`.
pub fn read(argument: &str) -> Result<Topology> {
    let path = Path::new(argument);
    if path.is_file() || argument.contains(['.', '/']) { Topology::read(path) } else { topology(argument) }
}

/// The zwitterionic peptide of a sequence in one-letter code, all L, stretched out: atoms in the order of Amber's
/// library, with coordinates from ideal geometry (nm).
///
/// Errors: letters that are no amino acids, more than [`MOST_ATOMS`] atoms.
pub fn topology(sequence: &str) -> Result<Topology> {
    let acids = amino_acids::parse(sequence)?;
    let names: Vec<_> = (0..acids.len()).map(|k| acids[k].atoms(k == 0, k + 1 == acids.len())).collect();
    let count = names.iter().map(Vec::len).sum();
    refuse_many(count, &sequence.chars().take(40).collect::<String>())?;

    let places = build::conformation(&acids);
    let mut topology = Topology {
        atoms: Vec::new(),
        residues: Vec::new(),
        bonds: Vec::new(),
        positions: Vec::new(),
        source: sequence.to_string(),
    };
    for (k, (acid, names)) in acids.iter().zip(&names).enumerate() {
        let start = topology.atoms.len();
        let atoms = start..start + names.len();
        topology.residues.push(Residue { name: acid.name.to_string(), number: (k + 1).to_string(), chain: 0, atoms });
        for name in names {
            // Carbon, nitrogen, oxygen, sulphur and hydrogen are their names' first letters.
            let (name, element) = (name.to_string(), name[..1].to_string());
            topology.atoms.push(Atom { name, element, residue: k, line: topology.atoms.len() + 1 });
        }
        topology.positions.extend(names.iter().map(|name| places[k][name]));
    }
    topology.bonds = bonds(&acids, &topology);
    Ok(topology)
}

/// Bonds within the residues and between them, pairs `i < j`, sorted.
fn bonds(acids: &[&AminoAcid], topology: &Topology) -> Vec<(usize, usize)> {
    let mut bonds = BTreeSet::new();
    for (k, acid) in acids.iter().enumerate() {
        let within = Template::named(acid.name).into_iter().flat_map(Template::bonds);
        let within = within.map(|(a, b)| (topology.atom(k, a), topology.atom(k, b)));
        let before = k.checked_sub(1).and_then(|before| topology.atom(before, "C"));
        let pairs = within.chain([(before, topology.atom(k, "N"))]);
        bonds.extend(pairs.filter_map(|(a, b)| Some((a?, b?))).map(|(a, b)| (a.min(b), a.max(b))));
    }
    bonds.into_iter().collect()
}

fn refuse_many(atoms: usize, source: &str) -> Result<()> {
    if atoms > MOST_ATOMS {
        return Err(bad_input!("{source}: has {atoms} atoms, expected at most {MOST_ATOMS}; take a shorter peptide"));
    }
    Ok(())
}
