//! A topology seen as an uncapped peptide: checked, and under the names that tokens are made of.

use anyhow::Result;

use super::amino_acids::AminoAcid;
use super::refuse_many;
use crate::bad_input;
use crate::targets::molecule::residues::Template;
use crate::targets::molecule::topology::Topology;

/// Histidines, however they are protonated; their hydrogens tell.
const HISTIDINES: [&str; 4] = ["HIS", "HIE", "HID", "HIP"];

/// An uncapped chain of the twenty amino acids, every atom of which is there.
#[derive(Debug, Clone)]
pub struct Peptide {
    pub(super) residues: Vec<Link>,
    atoms: usize,
}

/// One residue: its standard names in the topology's order, each with the atom's index.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub acid: &'static AminoAcid,
    pub atoms: Vec<(&'static str, usize)>,
}

impl Link {
    /// Index of the atom of that standard name.
    pub fn atom(&self, name: &str) -> Option<usize> {
        self.atoms.iter().find(|(own, _)| *own == name).map(|(_, index)| *index)
    }
}

impl Peptide {
    /// Checks a topology, in whatever order its atoms are. `H1` of a chain's first residue is `H`.
    ///
    /// Errors: several chains, caps and other residues, missing and further atoms, more than 178 atoms.
    pub fn of(topology: &Topology) -> Result<Self> {
        let source = &topology.source;
        refuse_many(topology.atoms.len(), source)?;
        let count = topology.residues.len();
        if let Some(other) = topology.residues.iter().find(|residue| residue.chain != topology.residues[0].chain) {
            let line = topology.atoms[other.atoms.start].line;
            return Err(bad_input!(
                "{source}:{line}: residue {} {} begins a second chain, expected one peptide",
                other.name,
                other.number
            ));
        }
        let links = (0..count).map(|k| link(topology, k, k == 0, k + 1 == count));
        Ok(Self { residues: links.collect::<Result<_>>()?, atoms: topology.atoms.len() })
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.atoms
    }

    pub fn is_empty(&self) -> bool {
        self.atoms == 0
    }

    /// One-letter codes.
    pub fn sequence(&self) -> String {
        self.residues.iter().map(|link| link.acid.letter).collect()
    }

    /// Standard names of the residues.
    pub fn residue_names(&self) -> Vec<&'static str> {
        self.residues.iter().map(|link| link.acid.name).collect()
    }

    /// Standard names of the atoms, in the topology's order.
    pub fn atom_names(&self) -> Vec<&'static str> {
        let mut names = vec![""; self.atoms];
        for (name, index) in self.residues.iter().flat_map(|link| &link.atoms) {
            names[*index] = name;
        }
        names
    }
}

fn link(topology: &Topology, k: usize, first: bool, last: bool) -> Result<Link> {
    let (residue, source) = (&topology.residues[k], &topology.source);
    let shown = format!("residue {} {}", residue.name, residue.number);
    let line = topology.atoms[residue.atoms.start].line;
    let standard = if HISTIDINES.contains(&residue.name.as_str()) { "HIS" } else { &residue.name };
    let Some(acid) = AminoAcid::named(standard) else {
        let remedy = match residue.name.as_str() {
            "ACE" | "NME" | "NH2" => "remove the caps, so that the chain ends in an ammonium group and a carboxylate",
            _ => "expected the 20 amino acids in their forms at pH 7, without caps",
        };
        return Err(bad_input!("{source}:{line}: {shown} has no tokens; {remedy}"));
    };

    let expected = acid.atoms(first, last);
    let mut atoms: Vec<(&'static str, usize)> = Vec::new();
    for i in residue.atoms.clone() {
        let (own, line) = (&topology.atoms[i].name, topology.atoms[i].line);
        let canonical = Template::named(&residue.name).map_or(own.as_str(), |template| template.canonical(own));
        let Some(name) = expected.iter().find(|name| **name == canonical) else {
            return Err(bad_input!("{source}:{line}: {shown} has an atom {own}; {}", remedy(acid, canonical)));
        };
        if atoms.iter().any(|(other, _)| other == name) {
            return Err(bad_input!("{source}:{line}: {shown} has atom {name} twice (as {own} too); keep one"));
        }
        atoms.push((name, i));
    }
    if let Some(missing) = expected.iter().find(|name| !atoms.iter().any(|(own, _)| own == *name)) {
        return Err(bad_input!("{source}:{line}: {shown} lacks atom {missing}; {}", remedy(acid, missing)));
    }
    Ok(Link { acid, atoms })
}

/// What to do about an atom too many or too few.
fn remedy(acid: &AminoAcid, atom: &str) -> String {
    let expected = match (acid.letter, atom) {
        (_, "OXT" | "HXT") => "the last residue, and no other, ends in O and OXT without hydrogen",
        ('P', "H" | "H2" | "H3") => "a proline has H2 and H3 where it begins the chain, and no hydrogen at N elsewhere",
        (_, "H" | "H2" | "H3") => "the first residue has H, H2 and H3 at N, every other has H",
        ('H', "HD1" | "HE2") => "histidines have one hydrogen, HE2 at NE2 (HIE)",
        ('C', "HG") => "cysteines have HG and form no bridges",
        _ => "every residue is in its form at pH 7, with all hydrogens under their PDB names",
    };
    format!("expected that {expected}")
}
