//! The twenty amino acids: letters, and the orders in which the atoms of their side chains are told.

use anyhow::Result;

use crate::bad_input;

/// One of the twenty.
#[derive(Debug, PartialEq, Eq)]
pub struct AminoAcid {
    pub letter: char,
    /// Three letters, as PDB files have it.
    pub name: &'static str,
    standard: &'static str,
    variant: Option<&'static str>,
}

const fn plain(letter: char, name: &'static str, standard: &'static str) -> AminoAcid {
    AminoAcid { letter, name, standard, variant: None }
}

const fn branched(letter: char, name: &'static str, standard: &'static str, variant: &'static str) -> AminoAcid {
    AminoAcid { letter, name, standard, variant: Some(variant) }
}

/// In the order of their names, which is that of the residue types of PROSE (arXiv 2508.18175). Branches and rings have
/// a second way round.
#[rustfmt::skip]
pub const AMINO_ACIDS: [AminoAcid; 20] = [
    plain('A', "ALA", "CB HB1 HB2 HB3"),
    plain('R', "ARG", "CB HB2 HB3 CG HG2 HG3 CD HD2 HD3 NE HE CZ NH1 HH11 HH12 NH2 HH21 HH22"),
    plain('N', "ASN", "CB HB2 HB3 CG OD1 ND2 HD21 HD22"),
    plain('D', "ASP", "CB HB2 HB3 CG OD1 OD2"),
    plain('C', "CYS", "CB HB2 HB3 SG HG"),
    plain('Q', "GLN", "CB HB2 HB3 CG HG2 HG3 CD OE1 NE2 HE21 HE22"),
    plain('E', "GLU", "CB HB2 HB3 CG HG2 HG3 CD OE1 OE2"),
    plain('G', "GLY", ""),
    branched('H', "HIS", "CB HB2 HB3 CG ND1 CE1 HE1 NE2 HE2 CD2 HD2", "CB HB2 HB3 CG CD2 HD2 NE2 HE2 CE1 HE1 ND1"),
    branched('I', "ILE", "CB HB CG2 HG21 HG22 HG23 CG1 HG12 HG13 CD1 HD11 HD12 HD13",
        "CB HB CG1 HG12 HG13 CD1 HD11 HD12 HD13 CG2 HG21 HG22 HG23"),
    branched('L', "LEU", "CB HB2 HB3 CG HG CD1 HD11 HD12 HD13 CD2 HD21 HD22 HD23",
        "CB HB2 HB3 CG HG CD2 HD21 HD22 HD23 CD1 HD11 HD12 HD13"),
    plain('K', "LYS", "CB HB2 HB3 CG HG2 HG3 CD HD2 HD3 CE HE2 HE3 NZ HZ1 HZ2 HZ3"),
    plain('M', "MET", "CB HB2 HB3 CG HG2 HG3 SD CE HE1 HE2 HE3"),
    branched('F', "PHE", "CB HB2 HB3 CG CD1 HD1 CE1 HE1 CZ HZ CE2 HE2 CD2 HD2",
        "CB HB2 HB3 CG CD2 HD2 CE2 HE2 CZ HZ CE1 HE1 CD1 HD1"),
    branched('P', "PRO", "CB HB2 HB3 CG HG2 HG3 CD HD2 HD3", "CD HD2 HD3 CG HG2 HG3 CB HB2 HB3"),
    plain('S', "SER", "CB HB2 HB3 OG HG"),
    branched('T', "THR", "CB HB OG1 HG1 CG2 HG21 HG22 HG23", "CB HB CG2 HG21 HG22 HG23 OG1 HG1"),
    branched('W', "TRP", "CB HB2 HB3 CG CD1 HD1 NE1 HE1 CE2 CZ2 HZ2 CH2 HH2 CZ3 HZ3 CE3 HE3 CD2",
        "CB HB2 HB3 CG CD2 CE3 HE3 CZ3 HZ3 CH2 HH2 CZ2 HZ2 CE2 NE1 HE1 CD1 HD1"),
    branched('Y', "TYR", "CB HB2 HB3 CG CD1 HD1 CE1 HE1 CZ OH HH CE2 HE2 CD2 HD2",
        "CB HB2 HB3 CG CD2 HD2 CE2 HE2 CZ OH HH CE1 HE1 CD1 HD1"),
    branched('V', "VAL", "CB HB CG1 HG11 HG12 HG13 CG2 HG21 HG22 HG23", "CB HB CG2 HG21 HG22 HG23 CG1 HG11 HG12 HG13"),
];

impl AminoAcid {
    pub fn named(name: &str) -> Option<&'static Self> {
        AMINO_ACIDS.iter().find(|acid| acid.name == name)
    }

    pub fn lettered(letter: char) -> Option<&'static Self> {
        AMINO_ACIDS.iter().find(|acid| acid.letter == letter)
    }

    /// The side chain outwards.
    pub fn side_chain(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.standard.split_whitespace()
    }

    /// The side chain the other way round, or the same where there is one way only.
    pub fn variant_side_chain(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.variant.unwrap_or(self.standard).split_whitespace()
    }

    /// All atoms of a residue in the order of Amber's library: outwards, but for proline (round the ring from N) and
    /// threonine (the methyl group first).
    ///
    /// A chain begins with an ammonium group, `first`, and ends with a carboxylate, `last`. Histidine has its hydrogen
    /// at NE2.
    pub fn atoms(&self, first: bool, last: bool) -> Vec<&'static str> {
        let proline = self.letter == 'P';
        let amine: &[&str] = match (proline, first) {
            (true, true) => &["N", "H2", "H3"],
            (true, false) => &["N"],
            (false, true) => &["N", "H", "H2", "H3"],
            (false, false) => &["N", "H"],
        };
        let alpha: &[&str] = if self.letter == 'G' { &["CA", "HA2", "HA3"] } else { &["CA", "HA"] };
        let carbonyl: &[&str] = if last { &["C", "O", "OXT"] } else { &["C", "O"] };

        let mut atoms = amine.to_vec();
        if proline {
            atoms.extend(self.variant_side_chain());
        }
        atoms.extend(alpha);
        match self.letter {
            'P' => {}
            'T' => atoms.extend(self.variant_side_chain()),
            _ => atoms.extend(self.side_chain()),
        }
        atoms.extend(carbonyl);
        atoms
    }
}

/// The amino acids of a sequence in one-letter code.
pub fn parse(sequence: &str) -> Result<Vec<&'static AminoAcid>> {
    let letters: String = AMINO_ACIDS.iter().map(|acid| acid.letter).collect();
    if sequence.is_empty() {
        return Err(bad_input!("the sequence is empty, expected one-letter codes as in 'ARIP'"));
    }
    let one = |(at, letter): (usize, char)| {
        AminoAcid::lettered(letter).ok_or_else(|| {
            let case = if AminoAcid::lettered(letter.to_ascii_uppercase()).is_some() { " in capitals" } else { "" };
            let shown: String = sequence.chars().take(40).filter(|c| !c.is_control()).collect();
            bad_input!(
                "sequence '{shown}': '{letter}' at position {} is no amino acid, expected {letters}{case}",
                at + 1
            )
        })
    };
    sequence.chars().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::molecule::residues::Template;
    use std::collections::BTreeSet;

    /// The lists hold the atoms of the bond templates, both ways round.
    #[test]
    fn orders_have_the_atoms_of_the_templates() {
        for acid in &AMINO_ACIDS {
            let sorted = |atoms: Vec<&'static str>| atoms.into_iter().collect::<BTreeSet<_>>();
            let (outwards, back) =
                (acid.side_chain().collect::<Vec<_>>(), acid.variant_side_chain().collect::<Vec<_>>());
            assert_eq!(sorted(outwards.clone()), sorted(back.clone()), "{}", acid.name);
            assert_eq!(outwards.len(), back.len(), "{}", acid.name);

            let inner = acid.atoms(false, false);
            let template: BTreeSet<&str> = Template::named(acid.name).unwrap().required().collect();
            // The templates leave open which hydrogens a histidine and the ends of side chains have.
            let optional = BTreeSet::from(["HE2", "HZ1", "HG", "HH"]);
            let missing: Vec<_> = template.difference(&sorted(inner.clone())).copied().collect();
            let further: Vec<_> =
                sorted(inner).difference(&template).copied().filter(|a| !optional.contains(a)).collect();
            assert!(missing.is_empty() && further.is_empty(), "{}: {missing:?} {further:?}", acid.name);
        }
    }

    #[test]
    fn letters_that_are_none_are_named() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("AXB").contains("'X' at position 2"));
        assert!(message("arip").contains("expected ARNDCQEGHILKMFPSTWYV in capitals"));
        assert!(message("").contains("empty"));
        assert!(!message(&"é".repeat(5000)).contains('\n') && message(&"é".repeat(5000)).len() < 300);
        let names: Vec<&str> = parse("ARIP").unwrap().iter().map(|acid| acid.name).collect();
        assert_eq!(names, ["ALA", "ARG", "ILE", "PRO"]);
    }
}
