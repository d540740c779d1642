//! What a molecule is made of, from a PDB file: atoms, residues, bonds, chiral centres, backbone torsions.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;
use tch::Tensor;

use super::pdb;
use super::residues::Template;
use crate::bad_input;
use crate::io::text::read_text;

/// A PDB file of 10 000 atoms has less than 1 MiB.
const MOST_BYTES: u64 = 16 << 20;
/// A peptide bond is 0.133 nm long; what is longer than this (nm) is a gap in the chain.
const LONGEST_PEPTIDE_BOND: f64 = 0.25;
/// A disulfide bridge is 0.205 nm long.
const LONGEST_DISULFIDE: f64 = 0.3;

/// One atom, in the file's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Atom {
    pub name: String,
    /// Chemical symbol, as `C` or `Cl`.
    pub element: String,
    /// Index of its residue.
    pub residue: usize,
    /// Line of the file, from 1.
    pub line: usize,
}

/// One residue: atoms that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Residue {
    pub name: String,
    /// Number in the file, with the insertion code where there is one.
    pub number: String,
    /// Index of its chain.
    pub chain: usize,
    pub atoms: Range<usize>,
}

/// Four bonded atoms about which a chain turns; the residue is that of the second atom for psi, of the third for phi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torsion {
    pub residue: usize,
    pub atoms: [usize; 4],
}

/// A tetrahedral carbon with four different neighbours: the alpha carbon of every residue but glycine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChiralCentre {
    pub residue: usize,
    /// CA, N, C, CB.
    pub atoms: [usize; 4],
}

/// Atoms, residues and bonds of a molecule with one conformation.
#[derive(Debug, Clone)]
pub struct Topology {
    pub atoms: Vec<Atom>,
    pub residues: Vec<Residue>,
    /// Pairs `i < j`, sorted.
    pub bonds: Vec<(usize, usize)>,
    /// The file's coordinates in nm.
    pub positions: Vec<[f64; 3]>,
    /// The file's path, for messages.
    pub source: String,
}

impl Topology {
    /// Reads the first model of a PDB file as OpenMM writes it: all hydrogens, one location an atom.
    ///
    /// Refuses alternate locations, missing, unknown, repeated or scattered atoms and gaps in a chain, by line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_BYTES, "a PDB file")?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The same from a text; `source` stands for the file's name in messages.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        let records = pdb::parse(text, source)?;
        let mut topology = Self {
            atoms: records.atoms,
            residues: records.residues,
            bonds: Vec::new(),
            positions: records.positions,
            source: source.to_string(),
        };
        let mut bonds = BTreeSet::new();
        for residue in 0..topology.residues.len() {
            topology.bonds_within(residue, &records.bonds, &mut bonds)?;
        }
        for residue in 1..topology.residues.len() {
            topology.bond_to_previous(residue, &mut bonds)?;
        }
        topology.bridges(&mut bonds);
        bonds.extend(records.bonds);
        topology.bonds = bonds.into_iter().collect();
        Ok(topology)
    }

    /// The file's conformation, `[1, 3 A]` f64 on the CPU.
    pub fn flat_positions(&self) -> Tensor {
        let flat: Vec<f64> = self.positions.iter().flatten().copied().collect();
        Tensor::from_slice(&flat).view([1, -1])
    }

    /// The atom `name` (by its name in the templates) of a residue.
    pub fn atom(&self, residue: usize, name: &str) -> Option<usize> {
        let residue = self.residues.get(residue)?;
        let template = Template::named(&residue.name);
        let mut atoms = residue.atoms.clone();
        atoms.find(|i| {
            let own = self.atoms[*i].name.as_str();
            template.map_or(own, |template| template.canonical(own)) == name
        })
    }

    /// `ALA 2 CB`, for messages.
    pub fn describe(&self, atom: usize) -> String {
        let residue = &self.residues[self.atoms[atom].residue];
        format!("{} {} {}", residue.name, residue.number, self.atoms[atom].name)
    }

    /// phi: C of the residue before, N, CA, C, for every residue that has them.
    pub fn phi(&self) -> Vec<Torsion> {
        self.torsions(|residue| {
            let c_before = self.atom(residue.checked_sub(1)?, "C")?;
            let own = [self.atom(residue, "N")?, self.atom(residue, "CA")?, self.atom(residue, "C")?];
            Some([c_before, own[0], own[1], own[2]]).filter(|_| self.bonded(c_before, own[0]))
        })
    }

    /// psi: N, CA, C, N of the residue after, for every residue that has them.
    pub fn psi(&self) -> Vec<Torsion> {
        self.torsions(|residue| {
            let n_after = self.atom(residue + 1, "N")?;
            let own = [self.atom(residue, "N")?, self.atom(residue, "CA")?, self.atom(residue, "C")?];
            Some([own[0], own[1], own[2], n_after]).filter(|_| self.bonded(own[2], n_after))
        })
    }

    /// phi and psi of every residue that has both.
    pub fn ramachandran(&self) -> Vec<(Torsion, Torsion)> {
        let psi = self.psi();
        let both = |phi: Torsion| psi.iter().find(|psi| psi.residue == phi.residue).map(|psi| (phi, *psi));
        self.phi().into_iter().filter_map(both).collect()
    }

    /// Alpha carbons with a side chain.
    pub fn chiral_centres(&self) -> Vec<ChiralCentre> {
        let centre = |residue| {
            let atom = |name| self.atom(residue, name);
            Some(ChiralCentre { residue, atoms: [atom("CA")?, atom("N")?, atom("C")?, atom("CB")?] })
        };
        (0..self.residues.len()).filter_map(centre).collect()
    }

    fn torsions(&self, atoms: impl Fn(usize) -> Option<[usize; 4]>) -> Vec<Torsion> {
        let one = |residue| atoms(residue).map(|atoms| Torsion { residue, atoms });
        (0..self.residues.len()).filter_map(one).collect()
    }

    fn bonded(&self, a: usize, b: usize) -> bool {
        self.bonds.binary_search(&(a.min(b), a.max(b))).is_ok()
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (self.positions[a], self.positions[b]);
        (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>().sqrt()
    }

    /// Bonds of a residue by its template, after checking that all its atoms are there and known.
    fn bonds_within(
        &self,
        residue: usize,
        stated: &BTreeSet<(usize, usize)>,
        bonds: &mut BTreeSet<(usize, usize)>,
    ) -> Result<()> {
        let Residue { name, number, atoms, .. } = &self.residues[residue];
        let (first, last) = (self.atoms[atoms.start].line, self.atoms[atoms.end - 1].line);
        let source = &self.source;
        let Some(template) = Template::named(name) else {
            // An unknown residue must say itself what is bonded in it.
            let free = atoms.clone().find(|i| !stated.iter().any(|(a, b)| a == i || b == i));
            return match free {
                None => Ok(()),
                Some(_) if atoms.len() == 1 => Ok(()),
                Some(_) => Err(bad_input!(
                    "{source}:{first}: residue {name} {number} is unknown and has no CONECT records; add them, or use \
                     the 20 amino acids, ACE and NME under their PDB names"
                )),
            };
        };

        let known: BTreeSet<&str> = template.bonds().flat_map(|(a, b)| [a, b]).collect();
        for i in atoms.clone() {
            let (own, line) = (&self.atoms[i].name, self.atoms[i].line);
            if !known.contains(template.canonical(own)) {
                return Err(bad_input!(
                    "{source}:{line}: residue {name} {number} has no atom {own}; expected the names of PDB version 3, \
                     as OpenMM writes them"
                ));
            }
        }
        if let Some(missing) = template.required().find(|atom| self.atom(residue, atom).is_none()) {
            return Err(bad_input!(
                "{source}:{last}: residue {name} {number} lacks atom {missing}; add missing atoms and hydrogens \
                 (OpenMM's Modeller.addHydrogens) and make system.xml anew"
            ));
        }
        let pairs = template.bonds().filter_map(|(a, b)| Some((self.atom(residue, a)?, self.atom(residue, b)?)));
        bonds.extend(pairs.map(|(a, b)| (a.min(b), a.max(b))));
        Ok(())
    }

    /// The peptide bond between a residue and the one before, where both are of one chain.
    fn bond_to_previous(&self, residue: usize, bonds: &mut BTreeSet<(usize, usize)>) -> Result<()> {
        let (before, own) = (&self.residues[residue - 1], &self.residues[residue]);
        if before.chain != own.chain {
            return Ok(());
        }
        let (Some(c), Some(n)) = (self.atom(residue - 1, "C"), self.atom(residue, "N")) else { return Ok(()) };
        let length = self.distance(c, n);
        if [before, own].iter().any(|residue| Template::named(&residue.name).is_none()) {
            return Ok(());
        }
        if length > LONGEST_PEPTIDE_BOND {
            let (line, source) = (self.atoms[n].line, &self.source);
            return Err(bad_input!(
                "{source}:{line}: {} {} lies {length:.2} nm from {} {}; residues are missing between them or stand in \
                 the wrong order (a TER record would start a new chain)",
                own.name,
                own.number,
                before.name,
                before.number
            ));
        }
        bonds.insert((c.min(n), c.max(n)));
        Ok(())
    }

    /// Disulfides: sulphurs of cysteines without hydrogen that lie next to each other.
    fn bridges(&self, bonds: &mut BTreeSet<(usize, usize)>) {
        let free = |r: &usize| self.atom(*r, "HG").is_none() && Template::named(&self.residues[*r].name).is_some();
        let sulphurs: Vec<usize> = (0..self.residues.len()).filter(free).filter_map(|r| self.atom(r, "SG")).collect();
        for (k, a) in sulphurs.iter().enumerate() {
            let near = sulphurs[k + 1..].iter().filter(|b| self.distance(*a, **b) < LONGEST_DISULFIDE);
            bonds.extend(near.map(|b| (*a, *b)));
        }
    }
}
