//! Damaged, unsupported and hostile molecule files: each gives one line with file, place and remedy, never a panic,
//! and never takes memory out of proportion to the file.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

mod molecules;

use molecules::{F64, asset_text};
use sampler::targets::molecule::system::System;
use sampler::targets::molecule::topology::Topology;
use sampler::targets::{Target, TargetConfig};
use sampler::torch::error::is_bad_input;
use serde_json::json;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Counts what each thread holds, so that tests running side by side do not disturb each other.
struct Counting;

fn count(bytes: isize) {
    LIVE.set(LIVE.get() + bytes);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { std::alloc::System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { std::alloc::System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most memory for a byte of the file: an XML element is a few dozen bytes and becomes a tree of nodes.
const RATIO: usize = 40;

/// Parses a text and checks what must hold of any answer; the message, if it is refused.
fn refusal<T>(parse: impl Fn(&str, &str) -> anyhow::Result<T>, text: &str, file: &str) -> Option<String> {
    let before = LIVE.get();
    PEAK.set(before);
    let result = parse(text, file);
    let taken = (PEAK.get() - before) as usize;
    assert!(taken <= RATIO * text.len() + (1 << 17), "{taken} bytes taken for a text of {}", text.len());
    let error = result.err()?;
    let message = error.to_string();
    assert!(is_bad_input(&error), "{message}");
    assert!(message.starts_with(file) && !message.contains('\n') && message.len() < 600, "{message:?}");
    Some(message)
}

fn system_refusal(text: &str) -> Option<String> {
    refusal(System::parse, text, "system.xml")
}

fn pdb_refusal(text: &str) -> Option<String> {
    refusal(Topology::parse, text, "molecule.pdb")
}

/// Line of the first place where `after` differs from `before`.
fn changed_line(before: &str, after: &str) -> usize {
    1 + before.lines().zip(after.lines()).take_while(|(a, b)| a == b).count()
}

/// Replaces the first occurrence, which must be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no '{from}'");
    text.replacen(from, to, 1)
}

#[test]
fn what_is_not_supported_in_a_system_is_refused_by_name() {
    let sound = asset_text("aldp_ff96_obc1", "system.xml");
    assert_eq!(system_refusal(&sound), None);
    let cases = [
        ("type=\"HarmonicBondForce\"", "type=\"CustomBondForce\"", "CustomBondForce"),
        (
            "<Constraints/>",
            "<Constraints>\n<Constraint d=\"1\" p1=\"0\" p2=\"1\"/>\n</Constraints>",
            "constraints=None",
        ),
        ("useSwitchingFunction=\"0\"", "useSwitchingFunction=\"1\"", "switching function"),
        ("usesPeriodic=\"0\"", "usesPeriodic=\"1\"", "periodic box"),
        ("method=\"0\"", "method=\"4\"", "periodic box"),
        ("<ParticleOffsets/>", "<ParticleOffsets>\n<Offset/>\n</ParticleOffsets>", "parameter offsets"),
        ("<Bonds>", "<Bonds>\n<Spring/>", "Spring"),
        ("<Particle mass=\"1.008\"/>", "<Particle mass=\"0\"/>", "mass"),
        ("<Particle mass=\"1.008\"/>", "<Particle mass=\"1\"><Site/></Particle>", "virtual sites"),
        ("p1=\"1\"", "p1=\"22\"", "has 22 atoms"),
        ("p1=\"1\"", "p1=\"-1\"", "'p1' is '-1'"),
        ("p1=\"1\"", "p1=\"2\"", "names atom 2 twice"),
        ("p1=\"1\"", "p9=\"1\"", "no attribute 'p1'"),
        ("periodicity=\"2\"", "periodicity=\"4294967296\"", "periodicity"),
        ("sig=\"", "sig=\"nan\" x=\"", "finite number"),
        ("eps=\"", "eps=\"-1\" x=\"", "positive number"),
        ("sig=\"", "sig=\"1e999\" x=\"", "finite number"),
        ("28.3919551*", "volume*", "'volume' is neither defined"),
        ("tanh(", "airy(", "'airy' is not supported"),
        ("tanh(0.8*psi", "tanh((0.8*psi", "')' expected"),
        ("<Functions/>", "<Functions><Function name=\"f\" type=\"Continuous1DFunction\"/></Functions>", "Continuous1D"),
    ];
    for (from, to, named) in cases {
        let broken = replaced(&sound, from, to);
        let message = system_refusal(&broken).unwrap_or_else(|| panic!("{to} was accepted"));
        assert!(message.contains(named), "{to}: {message}");
        // The line of the element at fault, or of the force around it.
        let line: usize =
            message.split(':').nth(1).and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{message}"));
        let changed = changed_line(&sound, &broken);
        assert!(line <= changed + 1 && line + 50 > changed, "{message}: changed in line {changed}");
    }
}

#[test]
fn systems_that_do_not_add_up_are_refused() {
    let sound = asset_text("AAAA_ff19SB_obc2", "system.xml");
    assert_eq!(system_refusal(&sound), None);
    let cases = [
        ("<Map size=\"24\">", "<Map size=\"25\">", "576 energies, expected 625"),
        ("<Map size=\"24\">", "<Map size=\"99999999999\">", "size"),
        ("map=\"1\"", "map=\"70\"", "map"),
        ("<Particle param1=\"", "<Particle param0=\"", "no attribute 'param1'"),
        ("<Particle eps=\"", "<Atom eps=\"", "Atom"),
        ("<PerParticleParameters>", "<PerParticleParameters><Parameter name=\"1 2\"/>", "name"),
        ("<Exception ", "<Exception eps=\"0\" p1=\"0\" p2=\"1\" q=\"0\" sig=\"1\"/><Exception ", "second time"),
    ];
    for (from, to, named) in cases {
        let broken = if named == "Atom" { sound.replace(from, to) } else { replaced(&sound, from, to) };
        let message = system_refusal(&broken).unwrap_or_else(|| panic!("{to} was accepted"));
        assert!(message.contains(named), "{to}: {message}");
    }
    for (text, named) in [
        ("", "XML"),
        ("<Topology/>", "<System"),
        ("<System/>", "Particles"),
        ("<System><Particles/><Forces/></System>", "atoms of a molecule"),
        ("<System><Particles><Particle mass=\"1\"/></Particles><Forces/></System>", "no forces"),
    ] {
        let message = system_refusal(text).unwrap();
        assert!(message.contains(named), "{text}: {message}");
    }
}

#[test]
fn entity_bombs_and_deep_trees_are_refused() {
    let bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE System [\n<!ENTITY a \"aaaaaaaaaa\">\n<!ENTITY b \"&a;&a;&a;&a;&a;\">\n]>\n\
                <System>&b;</System>";
    assert!(system_refusal(bomb).unwrap().contains("XML"));
    let external = "<!DOCTYPE System SYSTEM \"file:///etc/hostname\">\n<System/>";
    assert!(system_refusal(external).unwrap().contains("XML"));
    for depth in [1000, 200_000] {
        assert!(refusal(System::parse, &"<System>".repeat(depth), "system.xml").is_some());
    }
    let closed = format!("{}{}", "<System>".repeat(20_000), "</System>".repeat(20_000));
    assert!(system_refusal(&closed).is_some());
    let nested = format!("{}0{}", "(".repeat(100_000), ")".repeat(100_000));
    let sound = asset_text("aldp_ff96_obc1", "system.xml");
    assert!(system_refusal(&replaced(&sound, "28.3919551*", &nested)).unwrap().contains("too long"));
    let nested = format!("{}0{}+", "(".repeat(1000), ")".repeat(1000));
    assert!(system_refusal(&replaced(&sound, "28.3919551*", &nested)).unwrap().contains("nested"));
    let minus = format!("{}2^", "-".repeat(3000));
    assert_eq!(system_refusal(&replaced(&sound, "28.3919551*", &minus.replace("2^", ""))), None);
}

#[test]
fn pdb_files_that_would_be_misread_are_refused() {
    let sound = asset_text("CAVQ_amber14_obc1", "topology.pdb");
    assert_eq!(pdb_refusal(&sound), None);
    let line = |start: &str| sound.lines().find(|line| line.starts_with(start)).unwrap().to_string();
    let hb1 = line("ATOM     21  HB1 ALA");
    let ca = line("ATOM     16  CA  ALA");
    let cases = [
        (ca.clone(), ca.replace(" CA  ALA", " CA AALA"), "alternate location 'A'"),
        (format!("{hb1}\n"), String::new(), "lacks atom HB1"),
        (ca.clone(), ca.replace(" CA  ", " CX  "), "no atom CX"),
        (ca.clone(), format!("{ca}\n{ca}"), "stands in line 17 already"),
        (ca.clone(), ca.replace("   3.484", "     abc"), "coordinate x is 'abc'"),
        (ca.clone(), ca.replace("   3.484", "     inf"), "coordinate x is 'inf'"),
        (ca.clone(), ca[..40].to_string(), "54 ASCII columns"),
        (ca.clone(), ca.replace(" CA  ALA", " CA  GLY"), "ALA and GLY at once"),
        ("END".to_string(), "CONECT    1  999\nEND".to_string(), "atom 999"),
        ("END".to_string(), "CONECT    x\nEND".to_string(), "CONECT"),
    ];
    for (from, to, named) in cases {
        let broken = replaced(&sound, &from, &to);
        let message = pdb_refusal(&broken).unwrap_or_else(|| panic!("{to} was accepted"));
        assert!(message.contains(named), "{message}");
        let line: usize = message.split(':').nth(1).unwrap().parse().unwrap();
        let changed = changed_line(&sound, &broken);
        assert!(line.abs_diff(changed) <= 4, "{message}: changed in line {changed}");
    }
    // An atom that comes after the next residue has begun, and a residue left out.
    let late = replaced(&sound, &format!("{hb1}\n"), "").replace("TER", &format!("{hb1}\nTER"));
    assert!(pdb_refusal(&late).unwrap().contains("do not follow each other"));
    let without_alanine: Vec<&str> = sound.lines().filter(|line| !line.contains(" ALA A")).collect();
    assert!(pdb_refusal(&without_alanine.join("\n")).unwrap().contains("residues are missing"));
    let foreign = sound.replace(" ALA A", " XYZ A");
    assert!(pdb_refusal(&foreign).unwrap().contains("XYZ"));
    assert!(pdb_refusal("").unwrap().contains("no ATOM"));
}

fn build(system: &str, topology: &str) -> anyhow::Result<Box<dyn Target>> {
    let config = json!({"type": "molecule", "system": system, "topology": topology, "temperature": 300.0});
    serde_json::from_value::<TargetConfig>(config).unwrap().build(F64)
}

/// Two files of different molecules, or of one in another order, must not pass for one.
#[test]
fn a_system_and_a_topology_that_do_not_match_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let asset = |name: &str, file: &str| molecules::asset(name, file).display().to_string();
    let message = |system: &str, topology: &str| {
        let error = build(system, topology).err().expect("was built");
        assert!(is_bad_input(&error));
        error.to_string()
    };
    let alanine = asset("aldp_ff96_obc1", "system.xml");
    assert!(build(&alanine, &asset("aldp_ff96_obc1", "topology.pdb")).is_ok());
    let text = message(&alanine, &asset("CAVQ_amber14_obc1", "topology.pdb"));
    assert!(text.contains("57 atoms") && text.contains("has 22"), "{text}");
    assert!(message("nowhere/system.xml", &asset("aldp_ff96_obc1", "topology.pdb")).contains("nowhere/system.xml"));
    assert!(message(&alanine, "nowhere/topology.pdb").contains("nowhere/topology.pdb"));

    let pdb = asset_text("aldp_ff96_obc1", "topology.pdb");
    let lines: Vec<&str> = pdb.lines().filter(|line| !line.starts_with("CONECT")).collect();
    for (a, b, named) in [(7, 8, "mass"), (10, 12, "bonded")] {
        let mut swapped = lines.clone();
        swapped.swap(a, b);
        let path = folder.path().join("swapped.pdb");
        std::fs::write(&path, swapped.join("\n")).unwrap();
        let text = message(&alanine, path.to_str().unwrap());
        assert!(text.contains("swapped.pdb:") && text.contains(named) && text.contains("order"), "{text}");
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same damage on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// One kind of damage: bytes changed, a piece cut out, doubled or moved, or the end lost.
    fn damage(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(60)).min(bytes.len());
        match self.below(6) {
            0 => bytes[at] = self.below(128) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            3 => bytes.truncate(at.max(1)),
            _ => {
                let word = words[self.below(words.len())].bytes();
                bytes.splice(at..(at + self.below(8)).min(bytes.len()), word);
            }
        }
    }
}

#[test]
fn damaged_systems_are_read_or_refused() {
    let words = [
        "nan",
        "-1",
        "1e999",
        "99999999999999999999",
        "</Force>",
        "<Bond/>",
        "&lt;",
        "&a;",
        "\"",
        "(",
        "^",
        ";r=r",
        "é",
        "0",
    ];
    let mut random = Random(1);
    let mut refused = 0;
    for name in ["aldp_amber14_gbn2", "aldp_ff99sbildn_obc"] {
        let sound = asset_text(name, "system.xml");
        for _ in 0..1500 {
            let mut bytes = sound.clone().into_bytes();
            for _ in 0..1 + random.below(4) {
                random.damage(&mut bytes, &words);
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            refused += usize::from(system_refusal(&text).is_some());
        }
    }
    assert!((1000..3000).contains(&refused), "{refused} of 3000 refused");
}

#[test]
fn damaged_topologies_are_read_or_refused() {
    let words = [
        "ATOM",
        "HETATM",
        "TER\n",
        "CONECT",
        "\n",
        "  -9999",
        "1e999",
        "nan",
        "é",
        "A",
        "ENDMDL\n",
        "                ",
    ];
    let mut random = Random(2);
    let mut refused = 0;
    for name in ["aldp_ff96_obc1", "CAVQ_amber14_obc1"] {
        let sound = asset_text(name, "topology.pdb");
        for _ in 0..3000 {
            let mut bytes = sound.clone().into_bytes();
            for _ in 0..1 + random.below(3) {
                random.damage(&mut bytes, &words);
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            refused += usize::from(pdb_refusal(&text).is_some());
        }
    }
    assert!((2000..6000).contains(&refused), "{refused} of 6000 refused");
}
