//! Ideal geometry of the side chains: every heavy atom beyond CB relative to three atoms before it.
//!
//! Lengths (nm) and angles (degrees) are the equilibrium values of Amber's force fields (Cornell et al., JACS 117,
//! 1995), but for angles inside five-membered rings, which no such ring can have; those are of crystals of small
//! molecules. Branches have the hand of the natural amino acids (IUPAC-IUBMB recommendations 1998).

/// An atom at `length` from the last of `from`, at `angle` with the one before, turned about that bond by the torsion
/// `chi` (from 0) plus `offset`, or by `offset` alone.
pub struct Heavy {
    pub name: &'static str,
    /// Three names, of which the last is bonded to this atom.
    pub from: [&'static str; 3],
    pub length: f64,
    pub angle: f64,
    pub chi: Option<usize>,
    pub offset: f64,
}

const fn turning(name: &'static str, from: [&'static str; 3], bond: (f64, f64), chi: usize, offset: f64) -> Heavy {
    Heavy { name, from, length: bond.0, angle: bond.1, chi: Some(chi), offset }
}

const fn rigid(name: &'static str, from: [&'static str; 3], bond: (f64, f64), offset: f64) -> Heavy {
    Heavy { name, from, length: bond.0, angle: bond.1, chi: None, offset }
}

const BETA: [&str; 3] = ["N", "CA", "CB"];
const GAMMA: [&str; 3] = ["CA", "CB", "CG"];
const DELTA: [&str; 3] = ["CB", "CG", "CD"];
const CARBON: f64 = 0.1526;
const AROMATIC: f64 = 0.1400;

/// A six-membered ring on CG, as in phenylalanine and tyrosine.
const fn benzene<const N: usize>(further: [Heavy; N]) -> ([Heavy; 6], [Heavy; N]) {
    let ring = [
        turning("CG", BETA, (0.1510, 113.8), 0, 0.0),
        turning("CD1", GAMMA, (AROMATIC, 120.0), 1, 0.0),
        turning("CD2", GAMMA, (AROMATIC, 120.0), 1, 180.0),
        rigid("CE1", ["CB", "CG", "CD1"], (AROMATIC, 120.0), 180.0),
        rigid("CE2", ["CB", "CG", "CD2"], (AROMATIC, 120.0), 180.0),
        rigid("CZ", ["CG", "CD1", "CE1"], (AROMATIC, 120.0), 0.0),
    ];
    (ring, further)
}

const PHE: ([Heavy; 6], [Heavy; 0]) = benzene([]);
const TYR: ([Heavy; 6], [Heavy; 1]) = benzene([rigid("OH", ["CD1", "CE1", "CZ"], (0.1364, 120.0), 180.0)]);

const ARG: [Heavy; 6] = [
    turning("CG", BETA, (CARBON, 111.0), 0, 0.0),
    turning("CD", GAMMA, (CARBON, 111.0), 1, 0.0),
    turning("NE", DELTA, (0.1463, 111.2), 2, 0.0),
    turning("CZ", ["CG", "CD", "NE"], (0.1340, 123.2), 3, 0.0),
    rigid("NH1", ["CD", "NE", "CZ"], (0.1340, 120.0), 0.0),
    rigid("NH2", ["CD", "NE", "CZ"], (0.1340, 120.0), 180.0),
];
const ASN: [Heavy; 3] = [
    turning("CG", BETA, (0.1522, 111.1), 0, 0.0),
    turning("OD1", GAMMA, (0.1229, 120.4), 1, 0.0),
    turning("ND2", GAMMA, (0.1335, 116.6), 1, 180.0),
];
const ASP: [Heavy; 3] = [
    turning("CG", BETA, (0.1522, 111.1), 0, 0.0),
    turning("OD1", GAMMA, (0.1250, 117.0), 1, 0.0),
    turning("OD2", GAMMA, (0.1250, 117.0), 1, 180.0),
];
const CYS: [Heavy; 1] = [turning("SG", BETA, (0.1810, 110.0), 0, 0.0)];
const GLN: [Heavy; 4] = [
    turning("CG", BETA, (CARBON, 111.0), 0, 0.0),
    turning("CD", GAMMA, (0.1522, 111.1), 1, 0.0),
    turning("OE1", DELTA, (0.1229, 120.4), 2, 0.0),
    turning("NE2", DELTA, (0.1335, 116.6), 2, 180.0),
];
const GLU: [Heavy; 4] = [
    turning("CG", BETA, (CARBON, 111.0), 0, 0.0),
    turning("CD", GAMMA, (0.1522, 111.1), 1, 0.0),
    turning("OE1", DELTA, (0.1250, 117.0), 2, 0.0),
    turning("OE2", DELTA, (0.1250, 117.0), 2, 180.0),
];
const HIS: [Heavy; 5] = [
    turning("CG", BETA, (0.1504, 113.1), 0, 0.0),
    turning("ND1", GAMMA, (0.1394, 121.5), 1, 0.0),
    turning("CD2", GAMMA, (0.1375, 129.3), 1, 180.0),
    rigid("CE1", ["CB", "CG", "ND1"], (0.1335, 105.6), 180.0),
    rigid("NE2", ["CB", "CG", "CD2"], (0.1381, 106.1), 180.0),
];
const ILE: [Heavy; 3] = [
    turning("CG1", BETA, (CARBON, 110.5), 0, 0.0),
    turning("CG2", BETA, (CARBON, 110.5), 0, -122.0),
    turning("CD1", ["CA", "CB", "CG1"], (CARBON, 112.5), 1, 0.0),
];
const LEU: [Heavy; 3] = [
    turning("CG", BETA, (CARBON, 114.5), 0, 0.0),
    turning("CD1", GAMMA, (CARBON, 110.5), 1, 0.0),
    turning("CD2", GAMMA, (CARBON, 110.5), 1, 122.0),
];
const LYS: [Heavy; 4] = [
    turning("CG", BETA, (CARBON, 111.0), 0, 0.0),
    turning("CD", GAMMA, (CARBON, 111.0), 1, 0.0),
    turning("CE", DELTA, (CARBON, 111.0), 2, 0.0),
    turning("NZ", ["CG", "CD", "CE"], (0.1471, 111.2), 3, 0.0),
];
const MET: [Heavy; 3] = [
    turning("CG", BETA, (CARBON, 111.0), 0, 0.0),
    turning("SD", GAMMA, (0.1810, 113.0), 1, 0.0),
    turning("CE", ["CB", "CG", "SD"], (0.1810, 99.5), 2, 0.0),
];
/// The pucker that closes the ring to 0.0001 nm when phi is -70 degrees.
const PRO: [Heavy; 2] =
    [rigid("CD", ["CB", "CA", "N"], (0.1470, 112.0), -10.0), rigid("CG", BETA, (0.1515, 104.0), 28.0)];
const SER: [Heavy; 1] = [turning("OG", BETA, (0.1410, 110.0), 0, 0.0)];
const THR: [Heavy; 2] =
    [turning("OG1", BETA, (0.1410, 109.5), 0, 0.0), turning("CG2", BETA, (CARBON, 110.5), 0, -121.0)];
/// Both rings are planar; the angles of either add up.
const TRP: [Heavy; 9] = [
    turning("CG", BETA, (0.1495, 114.5), 0, 0.0),
    turning("CD1", GAMMA, (0.1352, 125.0), 1, 0.0),
    turning("CD2", GAMMA, (0.1459, 128.6), 1, 180.0),
    rigid("NE1", ["CB", "CG", "CD1"], (0.1381, 108.7), 180.0),
    rigid("CE2", ["CB", "CG", "CD2"], (0.1419, 108.8), 180.0),
    rigid("CE3", ["CD1", "CG", "CD2"], (0.1404, 132.8), 180.0),
    rigid("CZ2", ["CG", "CD2", "CE2"], (AROMATIC, 122.4), 180.0),
    rigid("CZ3", ["CE2", "CD2", "CE3"], (AROMATIC, 118.6), 0.0),
    rigid("CH2", ["CD2", "CE2", "CZ2"], (AROMATIC, 117.6), 0.0),
];
const VAL: [Heavy; 2] =
    [turning("CG1", BETA, (CARBON, 110.5), 0, 0.0), turning("CG2", BETA, (CARBON, 110.5), 0, 122.0)];

/// Heavy atoms beyond CB in an order in which each finds the atoms it stands on, for a three-letter name.
pub fn heavy_atoms(name: &str) -> Vec<&'static Heavy> {
    let (ring, further): (&[Heavy], &[Heavy]) = match name {
        "ARG" => (&ARG, &[]),
        "ASN" => (&ASN, &[]),
        "ASP" => (&ASP, &[]),
        "CYS" => (&CYS, &[]),
        "GLN" => (&GLN, &[]),
        "GLU" => (&GLU, &[]),
        "HIS" => (&HIS, &[]),
        "ILE" => (&ILE, &[]),
        "LEU" => (&LEU, &[]),
        "LYS" => (&LYS, &[]),
        "MET" => (&MET, &[]),
        "PHE" => (&PHE.0, &PHE.1),
        "PRO" => (&PRO, &[]),
        "SER" => (&SER, &[]),
        "THR" => (&THR, &[]),
        "TRP" => (&TRP, &[]),
        "TYR" => (&TYR.0, &TYR.1),
        "VAL" => (&VAL, &[]),
        _ => (&[], &[]),
    };
    ring.iter().chain(further).collect()
}

/// Torsions chi 2, 3 and 4 (degrees) of a staggered side chain: rings and amides stand across, the rest stretches out.
pub fn outer_torsions(name: &str) -> [f64; 3] {
    match name {
        "PHE" | "TYR" | "TRP" | "HIS" => [90.0, 180.0, 180.0],
        "ASN" | "ASP" => [-20.0, 180.0, 180.0],
        "GLN" | "GLU" => [180.0, 0.0, 180.0],
        _ => [180.0; 3],
    }
}
