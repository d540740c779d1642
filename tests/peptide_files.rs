//! Peptides in PDB files: written, read again, and refused where networks have no tokens for them.

mod molecules;

use std::path::Path;
use std::process::{Command, Output};

use sampler::targets::molecule::chirality::Chirality;
use sampler::targets::molecule::geometry::mirrored;
use sampler::targets::molecule::pdb_writer::{PdbWriter, write_topology};
use sampler::targets::molecule::peptide::{self, Peptide, Tokens};
use sampler::targets::molecule::topology::Topology;
use sampler::torch::error::is_bad_input;
use tch::{Kind, Tensor};

fn written(sequence: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peptide.pdb");
    write_topology(&path, &peptide::topology(sequence).unwrap()).unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// The message with which a text is refused.
fn refusal(text: &str) -> String {
    let topology = Topology::parse(text, "x.pdb");
    let error = topology.and_then(|topology| Peptide::of(&topology)).expect_err("a refusal");
    let message = error.to_string();
    assert!(is_bad_input(&error) && message.starts_with("x.pdb:") && !message.contains('\n'), "{message}");
    message
}

fn without(text: &str, part: &str) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains(part)).collect();
    assert!(kept.len() < text.lines().count(), "{part}");
    kept.join("\n")
}

#[test]
fn what_is_written_is_read_again() {
    for sequence in ["PG", "HYGW", "TWYVPGAH", "ARNDCQEG", "HILKMFPS"] {
        let made = peptide::topology(sequence).unwrap();
        let text = written(sequence);
        assert!(text.lines().all(|line| line.is_ascii() && line.len() <= 80), "{text}");
        let read = Topology::parse(&text, "x.pdb").unwrap();
        assert_eq!(read.bonds, made.bonds);
        assert_eq!(read.residues, made.residues);
        for (a, b) in read.atoms.iter().zip(&made.atoms) {
            assert_eq!((&a.name, &a.element, a.residue), (&b.name, &b.element, b.residue));
        }
        let off = (read.flat_positions() - made.flat_positions()).abs().max().double_value(&[]);
        assert!(off < 0.5001e-4, "{off}");
        assert_eq!(Tokens::of(&read).unwrap(), Tokens::of(&made).unwrap());
    }
}

#[test]
fn records_have_the_columns_of_the_format() {
    let text = written("AH");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_string();
    let (first, last) = (line(" N   ALA"), line("TER"));
    assert_eq!(first, "ATOM      1  N   ALA A   1       0.000   0.000   0.000  1.00  0.00           N");
    assert_eq!(last, "TER      31      HIS A   2");
    assert!(text.ends_with("TER      31      HIS A   2\nEND\n"));
    let name = peptide::topology("V").map(|_| written("V")).unwrap();
    assert!(name.contains(" HG11 VAL A   1 "), "{name}");
}

/// Models by chunks; frames that do not fit are left out and keep their numbers.
#[test]
fn trajectories_are_appended_by_chunks() {
    let topology = peptide::topology("AG").unwrap();
    let (folder, n) = (tempfile::tempdir().unwrap(), topology.atoms.len() as i64);
    let path = folder.path().join("frames.pdb");
    let x = topology.flat_positions().to_kind(Kind::Float).view([1, n, 3]);
    let far = &x + 2e3;
    let broken = x.copy();
    let _ = broken.get(0).get(3).fill_(f64::NAN);

    let mut writer = PdbWriter::create(&path, &topology).unwrap();
    writer.append(&Tensor::cat(&[&x, &far, &(&x + 0.1)], 0)).unwrap();
    assert!(!path.exists());
    writer.append(&x.narrow(0, 0, 0)).unwrap();
    writer.append(&Tensor::cat(&[&broken, &(&x - 0.1)], 0).view([2, 3 * n])).unwrap();
    assert!(writer.append(&x.narrow(1, 0, 4)).is_err(), "other atoms");
    let done = writer.finish().unwrap();
    assert_eq!((done.models, done.left_out), (3, 2));

    let text = std::fs::read_to_string(&path).unwrap();
    let models: Vec<&str> = text.lines().filter(|line| line.starts_with("MODEL")).collect();
    assert_eq!(models, ["MODEL        1", "MODEL        3", "MODEL        5"]);
    assert_eq!((text.matches("ENDMDL\n").count(), text.matches("\nTER").count()), (3, 3));
    let read = Topology::read(&path).unwrap();
    assert!((read.flat_positions() - topology.flat_positions()).abs().max().double_value(&[]) < 1e-4);
    let third = text.split("MODEL").nth(2).unwrap();
    let third = Topology::parse(third, "third").unwrap().flat_positions() - 0.1;
    assert!((third - topology.flat_positions()).abs().max().double_value(&[]) < 1e-4);

    // What is dropped leaves nothing behind.
    drop(PdbWriter::create(&folder.path().join("other.pdb"), &topology).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Raw files of Amber's tools: H1 at the beginning, HIE for histidine; and atoms in another order.
#[test]
fn other_names_for_the_same_have_the_same_tokens() {
    let text = written("AHG");
    let raw = text.replace(" H   ALA", " H1  ALA").replace("HIS", "HIE");
    let (topology, plain) = (Topology::parse(&raw, "x.pdb").unwrap(), peptide::topology("AHG").unwrap());
    let (found, expected) = (Peptide::of(&topology).unwrap(), Peptide::of(&plain).unwrap());
    assert_eq!(found.tokens(), expected.tokens());
    assert_eq!((found.sequence().as_str(), found.atom_names()), ("AHG", expected.atom_names()));

    // Reversed within the first residue.
    let mut lines: Vec<&str> = text.lines().collect();
    lines[..12].reverse();
    let reversed = Peptide::of(&Topology::parse(&lines.join("\n"), "x.pdb").unwrap()).unwrap();
    let key = "n2c_backbone-first_variant";
    let names = |peptide: &Peptide| {
        let names = peptide.atom_names();
        peptide.order(key).unwrap().iter().map(|atom| names[*atom as usize]).collect::<Vec<_>>()
    };
    assert_eq!(names(&reversed), names(&expected));
    assert_ne!(reversed.order(key).unwrap(), expected.order(key).unwrap());
    let message = expected.order("n2c_backbone_first").unwrap_err().to_string();
    assert!(message.contains("n2c_backbone-first_standard"), "{message}");
}

#[test]
fn what_has_no_tokens_is_refused_with_its_remedy() {
    let text = written("AHCP");
    let capped = std::fs::read_to_string(molecules::asset("aldp_ff96_obc1", "topology.pdb")).unwrap();
    let twice = text.replace(" H2  ALA", " H1  ALA");
    let hid = text.replace(" HE2 HIS", " HD1 HIS");
    let hip = text.lines().flat_map(|line| {
        let twin = line.contains(" HE2 HIS").then(|| line.replace(" HE2", " HD1"));
        std::iter::once(line.to_string()).chain(twin)
    });
    let two =
        text.lines().map(|line| if line.contains("PRO A") { line.replace("PRO A", "PRO B") } else { line.into() });
    for (text, parts) in [
        (capped, vec!["residue ACE 1 has no tokens", "remove the caps"]),
        (without(&text, " OXT PRO"), vec!["residue PRO 4 lacks atom OXT", "the last residue"]),
        (without(&text, " HE2 HIS"), vec!["residue HIS 2 lacks atom HE2", "HIE"]),
        (without(&text, " HG  CYS"), vec!["residue CYS 3 lacks atom HG", "no bridges"]),
        (without(&text, " H3  ALA"), vec!["residue ALA 1 lacks atom H3", "the first residue"]),
        (without(&text, " HB2 ALA"), vec!["ALA 1 lacks atom HB2"]),
        (twice, vec!["has atom H twice"]),
        (hid, vec!["residue HIS 2 has an atom HD1", "HE2 at NE2"]),
        (hip.collect::<Vec<_>>().join("\n"), vec!["residue HIS 2 has an atom HD1"]),
        (two.collect::<Vec<_>>().join("\n"), vec!["residue PRO 4 begins a second chain"]),
        (text.replace("CYS", "CYM"), vec!["residue CYM 3 has no tokens", "pH 7"]),
    ] {
        let message = refusal(&text);
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
}

#[test]
fn sequences_that_are_none_are_refused() {
    for (sequence, parts) in [
        ("AXB", vec!["'X' at position 2", "ARNDCQEGHILKMFPSTWYV"]),
        ("ala", vec!["'a' at position 1", "in capitals"]),
        ("", vec!["empty"]),
        ("WWWWWWWW", vec!["WWWWWWWW: has 195 atoms", "at most 178"]),
    ] {
        let error = peptide::read(sequence).unwrap_err();
        assert!(is_bad_input(&error), "{sequence}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
    assert!(peptide::read(&"A".repeat(1_000_000)).unwrap_err().to_string().len() < 200);
    assert!(peptide::read("none.pdb").unwrap_err().to_string().contains("none.pdb: no such file"));
}

/// Mirror images are repaired; where one centre alone differs, none of the two images is right.
#[test]
fn wrong_hands_are_found_and_mirrored() {
    let topology = peptide::topology("AIG").unwrap();
    let (chirality, x) = (Chirality::of(&topology), topology.flat_positions());
    assert_eq!(chirality.centres().len(), 3);
    // An inversion of the second residue's CA: HA and CB change places.
    let swapped = x.view([1, -1, 3]).copy();
    let [ha, cb] = ["HA", "CB"].map(|name| topology.atom(1, name).unwrap() as i64);
    let (p, q) = (swapped.get(0).get(ha).copy(), swapped.get(0).get(cb).copy());
    swapped.get(0).get(ha).copy_(&q);
    swapped.get(0).get(cb).copy_(&p);

    let all = Tensor::cat(&[x.shallow_clone(), mirrored(&x), swapped.view([1, -1])], 0);
    for all in [all.shallow_clone(), all.view([3, -1, 3]), all.to_kind(Kind::Float)] {
        let fixed = chirality.repair(&all);
        let flags = |t: &Tensor| Vec::<bool>::try_from(t).unwrap();
        assert_eq!(flags(&fixed.changed), [false, true, true]);
        assert_eq!(flags(&fixed.uncorrectable), [false, false, true]);
        assert_eq!(flags(&chirality.changed(&fixed.x)), [false, false, true]);
        assert_eq!((fixed.x.size(), fixed.x.kind()), (all.size(), all.kind()));
        assert!(fixed.x.get(0).equal(&all.get(0)) && fixed.x.get(1).equal(&-all.get(1)));
    }
    let none = Chirality::of(&peptide::topology("GG").unwrap());
    assert_eq!(none.changed(&Tensor::zeros([2, 17 * 3], molecules::F64)).any().int64_value(&[]), 0);
}

fn flow(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flow")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_binary_describes_a_sequence_and_the_file_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let said = flow(&["topology", "ARIP", "--out", "arip.pdb"], folder.path());
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for part in ["ARIP: 4 residues, 70 atoms, 70 bonds, 5 stereocentres", "c2n_backbone-first_variant_flip", "OXT"] {
        assert!(text.contains(part), "{part}\n{text}");
    }

    let json = |argument: &str| {
        let said = flow(&["topology", argument, "--json"], folder.path());
        serde_json::from_slice::<serde_json::Value>(&said.stdout).unwrap()
    };
    let (mut of_sequence, mut of_file) = (json("ARIP"), json("arip.pdb"));
    assert_eq!(of_sequence["n_atoms"], 70);
    assert_eq!(of_sequence["encodings"]["seq_len"], serde_json::json!([4]));
    assert_eq!(of_sequence["permutations"].as_object().unwrap().len(), 16);
    for object in [&mut of_sequence, &mut of_file] {
        assert_eq!(object["positions"].take().as_array().unwrap().len(), 70);
    }
    assert_eq!(of_sequence, of_file);

    let said = flow(&["topology", "ARIZ"], folder.path());
    let complaint = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), complaint.lines().count()), (Some(2), 1), "{complaint}");
    assert!(complaint.contains("'Z' at position 4"), "{complaint}");
}
