//! Atoms and bonds of the residues that peptides are made of, under their names in PDB files (version 3).

/// One residue: its bonds, and with them its atoms.
pub struct Template {
    pub name: &'static str,
    bonds: &'static [&'static str],
}

/// Bonds of every amino acid. A `?` marks an atom that may be absent: ends of a chain, protonation states, bridges.
const BACKBONE: &str = "N-CA CA-C C-O N-H2? N-H3? C-OXT? OXT-HXT?";
const AMIDE: &str = "N-H CA-HA";
const BETA: &str = "CA-CB CB-HB2 CB-HB3";
const GAMMA: &str = "CB-CG CG-HG2 CG-HG3";
const RING: &str = "CB-CG CG-CD1 CD1-HD1 CD1-CE1 CE1-HE1 CE1-CZ CZ-CE2 CE2-HE2 CE2-CD2 CD2-HD2 CD2-CG";

#[rustfmt::skip]
const TEMPLATES: &[Template] = &[
    Template { name: "ALA", bonds: &[BACKBONE, AMIDE, "CA-CB CB-HB1 CB-HB2 CB-HB3"] },
    Template { name: "ARG", bonds: &[BACKBONE, AMIDE, BETA, GAMMA, "CG-CD CD-HD2 CD-HD3 CD-NE NE-HE NE-CZ",
        "CZ-NH1 NH1-HH11 NH1-HH12 CZ-NH2 NH2-HH21 NH2-HH22"] },
    Template { name: "ASN", bonds: &[BACKBONE, AMIDE, BETA, "CB-CG CG-OD1 CG-ND2 ND2-HD21 ND2-HD22"] },
    Template { name: "ASP", bonds: &[BACKBONE, AMIDE, BETA, "CB-CG CG-OD1 CG-OD2 OD2-HD2?"] },
    Template { name: "CYS", bonds: &[BACKBONE, AMIDE, BETA, "CB-SG SG-HG?"] },
    Template { name: "GLN", bonds: &[BACKBONE, AMIDE, BETA, GAMMA, "CG-CD CD-OE1 CD-NE2 NE2-HE21 NE2-HE22"] },
    Template { name: "GLU", bonds: &[BACKBONE, AMIDE, BETA, GAMMA, "CG-CD CD-OE1 CD-OE2 OE2-HE2?"] },
    Template { name: "GLY", bonds: &[BACKBONE, "N-H CA-HA2 CA-HA3"] },
    Template { name: "HIS", bonds: &[BACKBONE, AMIDE, BETA,
        "CB-CG CG-ND1 ND1-HD1? ND1-CE1 CE1-HE1 CE1-NE2 NE2-HE2? NE2-CD2 CD2-HD2 CD2-CG"] },
    Template { name: "ILE", bonds: &[BACKBONE, AMIDE, "CA-CB CB-HB CB-CG2 CG2-HG21 CG2-HG22 CG2-HG23",
        "CB-CG1 CG1-HG12 CG1-HG13 CG1-CD1 CD1-HD11 CD1-HD12 CD1-HD13"] },
    Template { name: "LEU", bonds: &[BACKBONE, AMIDE, BETA, "CB-CG CG-HG CG-CD1 CD1-HD11 CD1-HD12 CD1-HD13",
        "CG-CD2 CD2-HD21 CD2-HD22 CD2-HD23"] },
    Template { name: "LYS", bonds: &[BACKBONE, AMIDE, BETA, GAMMA, "CG-CD CD-HD2 CD-HD3 CD-CE CE-HE2 CE-HE3",
        "CE-NZ NZ-HZ1? NZ-HZ2 NZ-HZ3"] },
    Template { name: "MET", bonds: &[BACKBONE, AMIDE, BETA, GAMMA, "CG-SD SD-CE CE-HE1 CE-HE2 CE-HE3"] },
    Template { name: "PHE", bonds: &[BACKBONE, AMIDE, BETA, RING, "CZ-HZ"] },
    Template { name: "PRO", bonds: &[BACKBONE, "N-H? CA-HA", BETA, GAMMA, "CG-CD CD-HD2 CD-HD3 CD-N"] },
    Template { name: "SER", bonds: &[BACKBONE, AMIDE, BETA, "CB-OG OG-HG"] },
    Template { name: "THR", bonds: &[BACKBONE, AMIDE, "CA-CB CB-HB CB-OG1 OG1-HG1 CB-CG2 CG2-HG21 CG2-HG22 CG2-HG23"] },
    Template { name: "TRP", bonds: &[BACKBONE, AMIDE, BETA, "CB-CG CG-CD1 CD1-HD1 CD1-NE1 NE1-HE1 NE1-CE2 CE2-CD2",
        "CD2-CG CE2-CZ2 CZ2-HZ2 CZ2-CH2 CH2-HH2 CH2-CZ3 CZ3-HZ3 CZ3-CE3 CE3-HE3 CE3-CD2"] },
    Template { name: "TYR", bonds: &[BACKBONE, AMIDE, BETA, RING, "CZ-OH OH-HH?"] },
    Template { name: "VAL", bonds: &[BACKBONE, AMIDE, "CA-CB CB-HB CB-CG1 CG1-HG11 CG1-HG12 CG1-HG13",
        "CB-CG2 CG2-HG21 CG2-HG22 CG2-HG23"] },
    Template { name: "ACE", bonds: &["CH3-H1 CH3-H2 CH3-H3 CH3-C C-O"] },
    Template { name: "NME", bonds: &["N-H N-C C-H1 C-H2 C-H3"] },
];

/// Names of protonation and bridge variants, as Amber's tools write them, and the residues they are variants of.
const VARIANTS: &[(&str, &str)] = &[
    ("HID", "HIS"),
    ("HIE", "HIS"),
    ("HIP", "HIS"),
    ("CYX", "CYS"),
    ("CYM", "CYS"),
    ("ASH", "ASP"),
    ("GLH", "GLU"),
    ("LYN", "LYS"),
];

impl Template {
    /// The template of a residue name, or of the residue it is a variant of.
    pub fn named(name: &str) -> Option<&'static Template> {
        let name = VARIANTS.iter().find(|(variant, _)| *variant == name).map_or(name, |(_, of)| of);
        TEMPLATES.iter().find(|template| template.name == name)
    }

    /// Pairs of atom names.
    pub fn bonds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let pairs = self.bonds.iter().flat_map(|group| group.split(' '));
        pairs.filter_map(|bond| bond.trim_end_matches('?').split_once('-'))
    }

    /// Atoms that must be there.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        let bonds = self.bonds.iter().flat_map(|group| group.split(' '));
        bonds.filter(|bond| !bond.ends_with('?')).filter_map(|bond| bond.split_once('-')).flat_map(|(a, b)| [a, b])
    }

    /// This file's name for an atom, under another convention's names for the same.
    pub fn canonical<'a>(&self, name: &'a str) -> &'a str {
        match (self.name, name) {
            (_, "HN") => "H",
            ("ACE" | "NME", "HH31") => "H1",
            ("ACE" | "NME", "HH32") => "H2",
            ("ACE" | "NME", "HH33") => "H3",
            ("NME", "CH3" | "CA") => "C",
            ("ACE", _) | ("NME", _) => name,
            (_, "H1") => "H",
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Valences: one bond a hydrogen, and every heavy atom bonded to the rest.
    #[test]
    fn every_template_is_one_connected_molecule_with_single_bonded_hydrogens() {
        for template in TEMPLATES {
            let mut degree: BTreeMap<&str, usize> = BTreeMap::new();
            for (a, b) in template.bonds() {
                *degree.entry(a).or_default() += 1;
                *degree.entry(b).or_default() += 1;
            }
            for (atom, bonds) in &degree {
                let most = if atom.starts_with('H') { 1 } else { 5 };
                assert!((1..=most).contains(bonds), "{} {atom}: {bonds} bonds", template.name);
            }
            let mut reached = vec![*degree.keys().next().unwrap()];
            for _ in 0..degree.len() {
                for (a, b) in template.bonds() {
                    let (has_a, has_b) = (reached.contains(&a), reached.contains(&b));
                    match (has_a, has_b) {
                        (true, false) => reached.push(b),
                        (false, true) => reached.push(a),
                        _ => {}
                    }
                }
            }
            assert_eq!(reached.len(), degree.len(), "{}", template.name);
        }
    }

    /// Atoms of the free residues within a chain, hydrogens included: textbook formulas.
    #[test]
    fn formulas_are_the_textbook_ones() {
        for (name, heavy, hydrogens) in
            [("ALA", 5, 5), ("ARG", 11, 13), ("GLY", 4, 3), ("ILE", 8, 11), ("LEU", 8, 11), ("MET", 8, 9)]
                .into_iter()
                .chain([("PHE", 11, 9), ("PRO", 7, 7), ("THR", 7, 7), ("TRP", 14, 10), ("TYR", 12, 8), ("VAL", 7, 9)])
        {
            let mut atoms: Vec<&str> = Template::named(name).unwrap().required().collect();
            atoms.sort();
            atoms.dedup();
            let found = atoms.iter().filter(|atom| !atom.starts_with('H')).count();
            assert_eq!((found, atoms.len() - found), (heavy, hydrogens), "{name}: {atoms:?}");
        }
    }
}
