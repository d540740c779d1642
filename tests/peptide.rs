//! Peptides built from sequences: geometry and energy beside those of real force fields.

mod molecules;

use std::collections::HashMap;
use std::path::PathBuf;

use molecules::F64;
use rand::{RngExt, SeedableRng};
use sampler::targets::molecule::chirality::{signs, stereocentres};
use sampler::targets::molecule::descriptors::omega;
use sampler::targets::molecule::features::{distances, l_fraction, torsions};
use sampler::targets::molecule::force_field::ForceField;
use sampler::targets::molecule::peptide::{self, MOST_ATOMS, Peptide};
use sampler::targets::molecule::system::{Force, System};
use sampler::targets::molecule::topology::Topology;
use tch::Tensor;

const LETTERS: [char; 20] =
    ['A', 'R', 'N', 'D', 'C', 'Q', 'E', 'G', 'H', 'I', 'L', 'K', 'M', 'F', 'P', 'S', 'T', 'W', 'Y', 'V'];

fn prose(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose").join(file)
}

/// Systems of uncapped peptides with a PDB file of the same atoms.
fn force_fields() -> Vec<(System, Topology)> {
    let known = ["AA", "ARIP"];
    let known =
        known.map(|name| (prose(&format!("energy/{name}_system.xml")), prose(&format!("topologies/{name}.pdb"))));
    let assets = [
        "AAA_amber14_obc1",
        "AAAA_ff19SB_obc2",
        "AAAAAA_amber14_obc1",
        "CAVQ_amber14_obc1",
        "NNQQ_timewarp_ff99sbildn_obc",
        "AHKILWHG_amber14_obc1",
    ];
    let assets = assets.map(|name| (molecules::asset(name, "system.xml"), molecules::asset(name, "topology.pdb")));
    let read = |(system, pdb): (PathBuf, PathBuf)| (System::read(&system).unwrap(), Topology::read(&pdb).unwrap());
    known.into_iter().chain(assets).map(read).collect()
}

/// The conformation `[1, 3 A]` built for a file's sequence, in the file's order of atoms.
fn built(file: &Topology) -> Tensor {
    let own = peptide::topology(&Peptide::of(file).unwrap().sequence()).unwrap();
    let keys = |topology: &Topology| {
        let names = Peptide::of(topology).unwrap().atom_names().into_iter();
        names.zip(topology.atoms.iter().map(|atom| atom.residue)).collect::<Vec<_>>()
    };
    let places: HashMap<_, _> = keys(&own).into_iter().zip(&own.positions).collect();
    let flat: Vec<f64> = keys(file).iter().flat_map(|key| places[key].to_vec()).collect();
    Tensor::from_slice(&flat).view([1, -1])
}

/// Degrees.
fn angle(x: &Tensor, atoms: [usize; 3]) -> f64 {
    let p = |k: usize| x.view([-1, 3]).get(atoms[k] as i64);
    let (u, v) = (p(0) - p(1), p(2) - p(1));
    (u.dot(&v) / (u.norm() * v.norm())).acos().double_value(&[]).to_degrees()
}

/// Pairs that share a neighbour, with it in the middle.
fn angles(topology: &Topology) -> Vec<[usize; 3]> {
    let mut found = Vec::new();
    for middle in 0..topology.atoms.len() {
        let ends = topology
            .bonds
            .iter()
            .filter_map(|(a, b)| if *a == middle { Some(*b) } else { Some(*a).filter(|_| *b == middle) });
        let ends: Vec<usize> = ends.collect();
        found.extend(ends.iter().enumerate().flat_map(|(k, a)| ends[k + 1..].iter().map(move |b| [*a, middle, *b])));
    }
    found
}

/// Whether all atoms of an angle are of the ring of one histidine: for those, force fields have 120 degrees.
fn imidazole(topology: &Topology, atoms: [usize; 3]) -> bool {
    let ring = ["CG", "ND1", "CD2", "CE1", "NE2"];
    atoms.iter().all(|atom| {
        let atom = &topology.atoms[*atom];
        topology.residues[atom.residue].name == "HIS" && ring.contains(&atom.name.as_str())
    })
}

#[test]
fn bonds_and_angles_are_near_equilibrium() {
    let (mut bonds, mut angles) = (0, 0);
    for (system, file) in force_fields() {
        let x = built(&file);
        for force in &system.forces {
            if let Force::Bonds(terms) = &force.force {
                bonds += terms.len();
                for bond in terms {
                    let found = distances(&x, &[(bond.atoms[0], bond.atoms[1])]).double_value(&[0, 0]);
                    let off = (found / bond.length - 1.0).abs();
                    assert!(off < 0.02, "{}: {found} {}", file.describe(bond.atoms[0]), bond.length);
                }
            }
            if let Force::Angles(terms) = &force.force {
                angles += terms.len();
                for term in terms.iter().filter(|term| !imidazole(&file, term.atoms)) {
                    let (found, expected) = (angle(&x, term.atoms), term.angle.to_degrees());
                    assert!((found - expected).abs() < 10.0, "{}: {found} {expected}", file.describe(term.atoms[1]));
                }
            }
        }
    }
    assert!(bonds > 400 && angles > 700, "{bonds} {angles}");
}

/// All residues, also those that no System at hand has: lengths and angles of conformations from simulations, whose
/// bonds vary by 3 % and angles by 4 degrees.
#[test]
fn bonds_and_angles_are_near_simulated_ones() {
    let mut seen = 0;
    for sequence in ["PG", "GP", "ARIP", "HYGW", "ARNDCQEG", "HILKMFPS", "TWYVPGAH"] {
        let file = Topology::read(&prose(&format!("topologies/{sequence}.pdb"))).unwrap();
        let (found, expected) = (built(&file), file.flat_positions());
        let ratio: Tensor = distances(&found, &file.bonds) / distances(&expected, &file.bonds) - 1.0;
        for (k, (a, b)) in file.bonds.iter().enumerate() {
            let off = ratio.double_value(&[0, k as i64]).abs();
            assert!(off < 0.1, "{} {}: {off}", file.describe(*a), file.describe(*b));
        }
        let angles = angles(&file);
        seen += angles.len();
        for atoms in angles {
            let name = atoms.map(|atom| file.describe(atom)).join("-");
            // The carboxylate of this one conformation is bent by 40 degrees.
            if name.contains("HIS 8 C-") && sequence == "TWYVPGAH" {
                continue;
            }
            let off = (angle(&found, atoms) - angle(&expected, atoms)).abs();
            assert!(off < 12.0, "{sequence} {name}: {off}");
        }
    }
    assert!(seen > 900, "{seen}");
}

/// The energy (kJ/mol) after steps of damped dynamics (FIRE; Bitzek et al., PRL 97, 2006).
fn relaxed(field: &ForceField, x: &Tensor, steps: usize) -> f64 {
    let (mut x, mut v) = (x.copy(), x.zeros_like());
    let (mut dt, mut mixing, mut downhill): (f64, f64, usize) = (2e-4, 0.1, 0);
    for _ in 0..steps {
        let force = field.energy_and_forces(&x).1;
        if (&force * &v).sum(force.kind()).double_value(&[]) < 0.0 {
            (v, dt, mixing, downhill) = (v.zeros_like(), dt * 0.5, 0.1, 0);
        } else if downhill > 5 {
            (dt, mixing) = ((dt * 1.1).min(1e-3), mixing * 0.99);
        }
        downhill += 1;
        v = &v + &force * dt;
        let turned = &force * (v.norm() / force.norm().clamp_min(1e-12));
        v = &v * (1.0 - mixing) + turned * mixing;
        x = &x + &v * dt;
    }
    field.energy(&x).double_value(&[0])
}

#[test]
fn energies_are_sensible_and_relax_to_those_of_minimised_conformations() {
    for (system, file) in force_fields() {
        let field = ForceField::new(&system, F64).unwrap();
        let (found, simulated) = (built(&file), file.flat_positions());
        let atoms = file.atoms.len() as f64;
        let best = relaxed(&field, &simulated, 400);
        let (before, after) = (field.energy(&found).double_value(&[0]), relaxed(&field, &found, 400));
        assert!(before.is_finite() && before < best + 1.2 * atoms, "{}: {before} {best}", file.source);
        assert!(after < best + 0.2 * atoms, "{}: {after} {best}", file.source);
    }
}

/// Random sequences of up to 178 atoms, and every residue at the beginning, within and at the end.
fn sequences() -> Vec<String> {
    let mut rng = rand::rngs::ChaCha8Rng::seed_from_u64(4);
    let random = (0..60).map(|_| {
        let mut sequence = String::new();
        loop {
            let longer = format!("{sequence}{}", LETTERS[rng.random_range(0..20)]);
            if peptide::topology(&longer).is_err() {
                return sequence;
            }
            sequence = longer;
        }
    });
    let random: Vec<String> = random.collect();
    let ends = LETTERS.iter().flat_map(|letter| [format!("{letter}"), format!("{letter}{letter}P{letter}")]);
    random.into_iter().chain(ends).collect()
}

#[test]
fn no_atoms_clash() {
    for sequence in sequences() {
        let topology = peptide::topology(&sequence).unwrap();
        let n = topology.atoms.len() as i64;
        assert!(n <= MOST_ATOMS as i64);
        let x = topology.flat_positions().view([-1, 3]);
        let mut near = Tensor::eye(n, F64);
        for (a, b) in &topology.bonds {
            for (a, b) in [(a, b), (b, a)] {
                near = near.index_put(
                    &[Some(Tensor::from(*a as i64)), Some(Tensor::from(*b as i64))],
                    &Tensor::from(1.0),
                    false,
                );
            }
        }
        // Two bonds away at most.
        let near = near.matmul(&near).gt(0.0);
        let apart = Tensor::cdist(&x, &x, 2.0, None).masked_fill(&near, 1.0);
        let least = apart.min().double_value(&[]);
        let at = apart.argmin(None, false).int64_value(&[]);
        let name = |atom: i64| topology.describe(atom as usize);
        assert!(least > 0.16, "{sequence}: {} and {} {least} nm", name(at / n), name(at % n));
    }
}

/// All L, the natural hand of branches, trans peptide bonds, one backbone throughout.
#[test]
fn conformations_are_stretched_and_natural() {
    let hands = [("CA", -1.0), ("ILE CB", 1.0), ("THR CB", 1.0), ("VAL CB", -1.0), ("LEU CG", -1.0)];
    for sequence in sequences() {
        let topology = peptide::topology(&sequence).unwrap();
        let x = topology.flat_positions();
        assert_eq!(l_fraction(&x, &topology.chiral_centres()).double_value(&[0]), 1.0, "{sequence}");

        let centres = stereocentres(&topology);
        let found = signs(&x, &centres);
        for (k, centre) in centres.iter().enumerate() {
            let (residue, name) =
                (&topology.residues[topology.atoms[centre[0]].residue].name, &topology.atoms[centre[0]].name);
            let hand = hands.iter().find(|(centre, _)| centre == name || *centre == format!("{residue} {name}"));
            assert_eq!(found.double_value(&[0, k as i64]), hand.unwrap().1, "{sequence}: {residue} {name}");
        }
        for (torsion, degrees) in [(topology.phi(), -70.0), (topology.psi(), 145.0), (omega(&topology), 180.0)] {
            assert_eq!(torsion.len(), sequence.len() - 1);
            let off: Tensor = (torsions(&x, &torsion) - f64::to_radians(degrees)).cos() - 1.0;
            assert!(off.numel() == 0 || off.abs().max().double_value(&[]) < 1e-9, "{sequence}");
        }
    }
}

/// Seen from the main chain, the next heavy atom, H2 and H3 follow clockwise.
#[test]
fn methylene_hydrogens_are_numbered_clockwise() {
    let mut seen = 0;
    for letter in LETTERS {
        let topology = peptide::topology(&format!("A{letter}A")).unwrap();
        let centres = "CB CA CG HB2,CB CA SG HB2,CB CA OG HB2,CG CB CD HG2,CG CB SD HG2,CD CG CE HD2,CD CG NE HD2,\
                       CD CG N HD2,CE CD NZ HE2,CG1 CB CD1 HG12,CA N C HA2";
        for names in centres.split(',') {
            let found: Option<Vec<usize>> = names.split(' ').map(|name| topology.atom(1, name)).collect();
            let Some(atoms) = found.and_then(|atoms| <[usize; 4]>::try_from(atoms).ok()) else { continue };
            let bonded = |other: &usize| topology.bonds.contains(&(atoms[0].min(*other), atoms[0].max(*other)));
            if atoms[1..].iter().all(bonded) {
                assert_eq!(signs(&topology.flat_positions(), &[atoms]).double_value(&[0, 0]), -1.0, "{letter} {names}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 27);
}

/// Rings of aromatic residues with all that hangs on them, amides and guanidinium groups.
#[test]
fn flat_groups_are_flat() {
    for (letter, atoms) in [
        ("F", "CB CG CD1 HD1 CE1 HE1 CZ HZ CE2 HE2 CD2 HD2"),
        ("Y", "CB CG CD1 HD1 CE1 HE1 CZ OH CE2 HE2 CD2 HD2"),
        ("H", "CB CG ND1 CE1 HE1 NE2 HE2 CD2 HD2"),
        ("W", "CB CG CD1 HD1 NE1 HE1 CE2 CZ2 HZ2 CH2 HH2 CZ3 HZ3 CE3 HE3 CD2"),
        ("N", "CB CG OD1 ND2 HD21 HD22"),
        ("Q", "CG CD OE1 NE2 HE21 HE22"),
        ("R", "CD NE HE CZ NH1 HH11 HH12 NH2 HH21 HH22"),
    ] {
        let topology = peptide::topology(&format!("A{letter}A")).unwrap();
        let flat: Vec<f64> =
            atoms.split(' ').flat_map(|name| topology.positions[topology.atom(1, name).unwrap()]).collect();
        let x = Tensor::from_slice(&flat).view([-1, 3]);
        let centred = &x - x.mean_dim([0].as_slice(), true, None);
        let (_, widths, _) = centred.svd(true, true);
        assert!(widths.double_value(&[2]) < 1e-9, "{letter}: {widths}");
    }
    // Closed rings.
    for (letter, a, b, length) in
        [("W", "CZ3", "CH2", 0.14), ("W", "NE1", "CE2", 0.138), ("H", "CE1", "NE2", 0.1343), ("P", "CG", "CD", 0.1526)]
    {
        let topology = peptide::topology(&format!("A{letter}A")).unwrap();
        let pair = (topology.atom(1, a).unwrap(), topology.atom(1, b).unwrap());
        let found = distances(&topology.flat_positions(), &[pair]).double_value(&[0, 0]);
        assert!((found / length - 1.0).abs() < 0.03, "{letter} {a}-{b}: {found}");
    }
}
