//! Tokens, orders, stereocentres and features of peptides beside those of PROSE's own code
//! (tests/fixtures/prose/topologies/README.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sampler::io::tensors::read_tensors;
use sampler::targets::molecule::chirality::{Chirality, signs, stereocentres};
use sampler::targets::molecule::descriptors::Descriptors;
use sampler::targets::molecule::peptide::{self, ORDERS, Peptide};
use sampler::targets::molecule::topology::{Topology, Torsion};
use serde_json::Value;
use tch::{Kind, Tensor};

fn fixture(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose").join(file)
}

fn tokens() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(fixture("topologies/tokens.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

/// Sequences and the topologies built from them, and read from PDB files.
fn topologies(sequence: &str) -> [Topology; 2] {
    let read = Topology::read(&fixture(&format!("topologies/{sequence}.pdb"))).unwrap();
    [peptide::topology(sequence).unwrap(), read]
}

#[test]
fn atoms_and_bonds_are_those_of_the_reference() {
    let all = tokens();
    assert_eq!(all.len(), 8);
    for (sequence, expected) in &all {
        for topology in topologies(sequence) {
            let atoms = topology.atoms.iter().map(|atom| {
                let residue = &topology.residues[atom.residue].name;
                serde_json::json!([atom.residue, residue, atom.name, atom.element])
            });
            assert_eq!(Value::Array(atoms.collect()), expected["atoms"], "{sequence}");
            let pairs = expected["bonds"].as_array().unwrap().iter().map(integers);
            let pairs: BTreeSet<(usize, usize)> =
                pairs.map(|p| (p[0].min(p[1]) as usize, p[0].max(p[1]) as usize)).collect();
            assert_eq!(topology.bonds, pairs.into_iter().collect::<Vec<_>>(), "{sequence}");
        }
    }
}

#[test]
fn tokens_and_all_orders_are_those_of_the_reference() {
    let mut classes = BTreeSet::new();
    for (sequence, expected) in &tokens() {
        for topology in topologies(sequence) {
            let peptide = Peptide::of(&topology).unwrap();
            assert_eq!(peptide.sequence(), *sequence);
            let (tokens, encodings) = (peptide.tokens(), &expected["encodings"]);
            assert_eq!(tokens.atom_type, integers(&encodings["atom_type"]), "{sequence}");
            assert_eq!(tokens.aa_type, integers(&encodings["aa_type"]), "{sequence}");
            assert_eq!(tokens.aa_pos, integers(&encodings["aa_pos"]), "{sequence}");
            assert_eq!([tokens.seq_len], *integers(&encodings["seq_len"]), "{sequence}");
            classes.extend(tokens.atom_type);

            let orders = expected["permutations"].as_object().unwrap();
            assert_eq!(orders.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(ORDERS));
            for (key, order) in orders {
                assert_eq!(peptide.order(key).unwrap(), integers(order), "{sequence} {key}");
            }
        }
    }
    assert_eq!(classes.len(), 54, "the sequences show every class of atoms");
}

fn tensors() -> BTreeMap<String, Tensor> {
    read_tensors(&fixture("metrics/metrics.safetensors")).unwrap()
}

fn largest(difference: Tensor) -> f64 {
    difference.abs().max().to_kind(Kind::Double).double_value(&[])
}

#[test]
fn stereocentres_and_their_signs_are_those_of_the_reference() {
    let tensors = tensors();
    for sequence in ["ARIP", "HILKMFPS"] {
        let get = |name: &str| &tensors[&format!("chir.{sequence}.{name}")];
        for topology in topologies(sequence) {
            let centres = stereocentres(&topology);
            let flat: Vec<i64> = centres.iter().flatten().map(|atom| *atom as i64).collect();
            assert_eq!(flat, Vec::<i64>::try_from(get("centers").view([-1])).unwrap(), "{sequence}");
            assert!(signs(get("pred"), &centres).equal(get("signs")), "{sequence}");

            // The reference frame is the second.
            let chirality = Chirality::new(&topology, &get("true").narrow(0, 1, 1));
            let repaired = chirality.repair(get("pred"));
            assert!(repaired.changed.equal(get("changed")), "{sequence}: {}", repaired.changed);
            assert!(chirality.changed(get("pred")).equal(get("changed")));
            // Frame 3 was mirrored, in frame 5 one centre was turned round.
            assert_eq!(Vec::<i64>::try_from(repaired.changed.nonzero().view([-1])).unwrap(), [3, 5]);
            assert_eq!(Vec::<i64>::try_from(repaired.uncorrectable.nonzero().view([-1])).unwrap(), [5]);
            assert!(repaired.x.get(3).equal(&get("pred").get(3).neg()) && repaired.x.get(4).equal(&get("pred").get(4)));
        }
    }
}

#[test]
fn torsions_and_descriptors_are_those_of_the_reference() {
    let tensors = tensors();
    for sequence in ["AA", "ARIP"] {
        let get = |name: &str| &tensors[&format!("{sequence}.{name}")];
        for topology in topologies(sequence) {
            let descriptors = Descriptors::of(&topology);
            let quadruples = |torsions: &[Torsion]| torsions.iter().flat_map(|t| t.atoms).map(|a| a as i64).collect();
            let (phi, psi): (Vec<i64>, Vec<i64>) = (quadruples(&descriptors.phi), quadruples(&descriptors.psi));
            assert_eq!(phi, Vec::<i64>::try_from(get("phi_atoms").view([-1])).unwrap());
            assert_eq!(psi, Vec::<i64>::try_from(get("psi_atoms").view([-1])).unwrap());
            let atoms: Vec<i64> = descriptors.atoms.iter().map(|atom| *atom as i64).collect();
            assert_eq!(atoms, Vec::<i64>::try_from(get("tica_atoms")).unwrap());

            let x = get("x_nm");
            let torus = Tensor::cat(&[get("phi"), get("psi")], 1);
            assert!(largest(descriptors.torus(x) - &torus) < 2e-6, "{sequence}");
            let features = descriptors.measure(x);
            assert_eq!(features.size(), [16, descriptors.dim() as i64]);
            assert!(largest(&features - get("tica_features")) < 2e-6, "{sequence}");
            assert!(descriptors.measure(&x.flatten(1, 2)).equal(&features));
        }
    }
}
