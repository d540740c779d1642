//! The molecules of `assets/molecules/` with their reference values.
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use std::path::PathBuf;

use sampler::io::tensors::read_tensors;
use sampler::targets::Options;
use sampler::targets::molecule::force_field::ForceField;
use sampler::targets::molecule::system::System;
use sampler::targets::molecule::topology::Topology;
use tch::{Device, Kind, Tensor};

pub const F64: Options = (Kind::Double, Device::Cpu);
pub const F32: Options = (Kind::Float, Device::Cpu);

/// Name and number of atoms.
pub const MOLECULES: [(&str, usize); 16] = [
    ("aldp_ff96_vacuum", 22),
    ("aldp_ff96_obc1", 22),
    ("aldp_ff99sbildn_obc", 22),
    ("aldp_amber14_vacuum", 22),
    ("aldp_amber14_obc1", 22),
    ("aldp_amber14_hct", 22),
    ("aldp_amber14_obc2", 22),
    ("aldp_amber14_gbn", 22),
    ("aldp_amber14_gbn2", 22),
    ("ace_AAA_nme_ff99sbildn_obc", 42),
    ("AAA_amber14_obc1", 33),
    ("AAAA_ff19SB_obc2", 43),
    ("CAVQ_amber14_obc1", 57),
    ("AAAAAA_amber14_obc1", 63),
    ("NNQQ_timewarp_ff99sbildn_obc", 65),
    ("AHKILWHG_amber14_obc1", 138),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn asset(name: &str, file: &str) -> PathBuf {
    root().join("assets/molecules").join(name).join(file)
}

pub fn asset_text(name: &str, file: &str) -> String {
    std::fs::read_to_string(asset(name, file)).unwrap()
}

pub fn system(name: &str) -> System {
    System::read(&asset(name, "system.xml")).unwrap()
}

pub fn topology(name: &str) -> Topology {
    Topology::read(&asset(name, "topology.pdb")).unwrap()
}

pub fn force_field(name: &str, options: Options) -> ForceField {
    ForceField::new(&system(name), options).unwrap()
}

/// OpenMM's values (tests/fixtures/molecular/README.md).
pub struct Reference {
    /// `[N, 3 A]`, nm.
    pub x: Tensor,
    /// `[N, F]`, kJ/mol.
    pub terms: Tensor,
    /// `[N]`.
    pub energy: Tensor,
    /// `[N, 3 A]`, kJ/mol/nm.
    pub forces: Tensor,
}

pub fn reference(name: &str) -> Reference {
    let path = root().join("tests/fixtures/molecular").join(format!("{name}.safetensors"));
    let file = read_tensors(&path).unwrap();
    Reference {
        x: file["positions"].flatten(1, 2),
        terms: file["energy_terms"].shallow_clone(),
        energy: file["energy"].shallow_clone(),
        forces: file["forces"].flatten(1, 2),
    }
}

/// Largest `|found - expected| / max(1, |expected|)`.
pub fn energy_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    worst((found - &expected).abs() / expected.abs().clamp_min(1.0))
}

/// Largest `|found - expected| / |expected|` of the rows' norms.
pub fn force_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let norm = |t: &Tensor| t.square().sum_dim_intlist(1, false, None).sqrt();
    worst(norm(&(found - &expected)) / norm(&expected))
}

fn worst(errors: Tensor) -> f64 {
    let worst = errors.max().double_value(&[]);
    if worst.is_nan() { f64::INFINITY } else { worst }
}
