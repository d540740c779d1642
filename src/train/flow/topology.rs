//! `flow topology`: a peptide as the networks see it.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::log::table::Table;
use crate::targets::molecule::chirality::stereocentres;
use crate::targets::molecule::peptide::{ORDERS, Peptide, Tokens};
use crate::targets::molecule::topology::Topology;

/// Atoms of an order that a line of the table shows.
const SHOWN: usize = 10;

/// A peptide with its tokens and its orders.
pub struct Described<'a> {
    topology: &'a Topology,
    peptide: Peptide,
    tokens: Tokens,
    /// Key and atoms.
    orders: Vec<(&'static str, Vec<i64>)>,
}

impl<'a> Described<'a> {
    /// Errors: what is no uncapped peptide of up to 178 atoms.
    pub fn of(topology: &'a Topology) -> Result<Self> {
        let peptide = Peptide::of(topology)?;
        let tokens = peptide.tokens();
        let orders = ORDERS.iter().map(|key| Ok((*key, peptide.order(key)?)));
        let orders = orders.collect::<Result<Vec<_>>>()?;
        Ok(Self { topology, peptide, tokens, orders })
    }

    /// One object: `sequence`, `n_atoms`, `atoms` ([residue, residue name, name, element], residues from 0), `bonds`,
    /// `encodings`, `permutations` by key, `stereocentres` (centre and three neighbours) and `positions` in nm.
    pub fn to_json(&self) -> Value {
        let (names, residues) = (self.peptide.atom_names(), self.peptide.residue_names());
        let atom = |(name, place): (&&str, usize)| {
            let atom = &self.topology.atoms[place];
            json!([atom.residue, residues[atom.residue], name, atom.element])
        };
        let atoms: Vec<Value> = names.iter().zip(0..).map(atom).collect();
        let orders: Map<String, Value> =
            self.orders.iter().map(|(key, order)| (key.to_string(), json!(order))).collect();
        json!({
            "sequence": self.peptide.sequence(),
            "n_atoms": self.peptide.len(),
            "atoms": atoms,
            "bonds": self.topology.bonds,
            "encodings": {
                "atom_type": self.tokens.atom_type,
                "aa_type": self.tokens.aa_type,
                "aa_pos": self.tokens.aa_pos,
                "seq_len": [self.tokens.seq_len],
            },
            "permutations": orders,
            "stereocentres": stereocentres(self.topology),
            "positions": self.topology.positions,
        })
    }

    /// A line on the whole, a table of atoms, and where each order begins.
    pub fn to_text(&self) -> String {
        let (names, residues) = (self.peptide.atom_names(), self.peptide.residue_names());
        let mut atoms = Table::new(["atom", "residue", "name", "element", "atom type", "residue type", "position"]);
        for (i, name) in names.iter().enumerate() {
            let (tokens, atom) = (&self.tokens, &self.topology.atoms[i]);
            let numbers = [tokens.atom_type[i], tokens.aa_type[i], tokens.aa_pos[i]].map(|token| token.to_string());
            let head = [i.to_string().as_str(), residues[atom.residue], name, &atom.element].map(str::to_string);
            atoms.row(head.into_iter().chain(numbers));
        }
        let mut orders = Table::new(["order", "begins with atoms"]);
        for (key, order) in &self.orders {
            let shown = order.iter().take(SHOWN).map(|atom| names[*atom as usize]).collect::<Vec<_>>().join(" ");
            orders.row([*key, shown.as_str()]);
        }
        format!(
            "{}: {} residues, {} atoms, {} bonds, {} stereocentres\n\n{}\n{}",
            self.peptide.sequence(),
            self.tokens.seq_len,
            names.len(),
            self.topology.bonds.len(),
            stereocentres(self.topology).len(),
            atoms.to_text(),
            orders.to_text()
        )
    }
}
