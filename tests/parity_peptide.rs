//! Tokens, orders, stereocentres and features of peptides beside those of PROSE's own code
//! (tests/fixtures/prose/topologies/README.md).

use std::collections::BTreeSet;
use std::path::PathBuf;

use sampler::targets::molecule::peptide::{self, ORDERS, Peptide};
use sampler::targets::molecule::topology::Topology;
use serde_json::Value;

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
