//! Sixteen orders in which a network goes through a peptide's atoms (PROSE, arXiv 2508.18175); names alone decide.

use anyhow::Result;

use super::chain::{Link, Peptide};
use crate::config::check;

/// `{direction}_{layout}_{side chains}[_flip]`: from the N or the C terminus; residue by residue or the backbone first;
/// side chains outwards or the other way round; `flip` is the whole order reversed.
pub const ORDERS: [&str; 16] = [
    "n2c_residue-by-residue_standard",
    "n2c_residue-by-residue_standard_flip",
    "n2c_residue-by-residue_variant",
    "n2c_residue-by-residue_variant_flip",
    "n2c_backbone-first_standard",
    "n2c_backbone-first_standard_flip",
    "n2c_backbone-first_variant",
    "n2c_backbone-first_variant_flip",
    "c2n_residue-by-residue_standard",
    "c2n_residue-by-residue_standard_flip",
    "c2n_residue-by-residue_variant",
    "c2n_residue-by-residue_variant_flip",
    "c2n_backbone-first_standard",
    "c2n_backbone-first_standard_flip",
    "c2n_backbone-first_variant",
    "c2n_backbone-first_variant_flip",
];

/// Backbone atoms on either side of the side chain; names that a residue lacks are left out.
const AMINE: [&str; 4] = ["N", "H", "H2", "H3"];
const ALPHA: [&str; 4] = ["CA", "HA", "HA2", "HA3"];
const CARBONYL: [&str; 3] = ["C", "O", "OXT"];
const CARBONYL_BACKWARDS: [&str; 3] = ["OXT", "C", "O"];

/// One residue's atoms in three groups.
struct Groups {
    before: Vec<usize>,
    side_chain: Vec<usize>,
    after: Vec<usize>,
    /// Hydrogens and heavy atoms of the backbone are told apart by the layouts.
    hydrogens: Vec<usize>,
}

impl Peptide {
    /// Atom indices in the order of that key (one of [`ORDERS`]): position `j` of the order is atom `order[j]`.
    pub fn order(&self, key: &str) -> Result<Vec<i64>> {
        check::one_of("order", key, &ORDERS)?;
        let backwards = key.starts_with("c2n");
        let groups = |link: &Link| link.groups(backwards, key.contains("variant"));
        let mut residues: Vec<Groups> = self.residues.iter().map(groups).collect();
        if backwards {
            residues.reverse();
        }

        let mut order: Vec<i64> = Vec::with_capacity(self.len());
        let mut push = |atoms: &[usize], keep: &dyn Fn(&usize) -> bool| {
            order.extend(atoms.iter().filter(|atom| keep(atom)).map(|atom| *atom as i64));
        };
        let backbone_first = key.contains("backbone-first");
        for residue in residues.iter().filter(|_| backbone_first) {
            let heavy = |atom: &usize| !residue.hydrogens.contains(atom);
            push(&residue.before, &heavy);
            push(&residue.after, &heavy);
        }
        for residue in &residues {
            let left = |atom: &usize| !backbone_first || residue.hydrogens.contains(atom);
            push(&residue.before, &left);
            push(&residue.side_chain, &|_| true);
            push(&residue.after, &left);
        }
        if key.ends_with("_flip") {
            order.reverse();
        }
        Ok(order)
    }
}

impl Link {
    fn groups(&self, backwards: bool, variant: bool) -> Groups {
        let pick = |names: &[&str]| names.iter().filter_map(|name| self.atom(name)).collect::<Vec<_>>();
        let (before, after) = if backwards {
            ([pick(&CARBONYL_BACKWARDS), pick(&ALPHA)].concat(), pick(&AMINE))
        } else {
            ([pick(&AMINE), pick(&ALPHA)].concat(), pick(&CARBONYL))
        };
        let side_chain: Vec<&str> =
            if variant { self.acid.variant_side_chain().collect() } else { self.acid.side_chain().collect() };
        let hydrogens = self.atoms.iter().filter(|(name, _)| name.starts_with('H')).map(|(_, index)| *index);
        Groups { before, side_chain: pick(&side_chain), after, hydrogens: hydrogens.collect() }
    }
}
