//! Every density of `configs/density/` under its name, built without files outside the repository.
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use std::collections::BTreeMap;
use std::path::PathBuf;

use sampler::io::tensors::read_tensors;
use sampler::targets::lgcp::Lgcp;
use sampler::targets::logistic::Logistic;
use sampler::targets::{Options, Target, TargetConfig};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Densities that a configuration alone defines.
pub fn configured() -> Vec<(&'static str, Value)> {
    vec![
        ("gaussian", json!({"type": "gaussian", "dim": 3, "mean": [1.0, -2.0, 0.5], "std": 0.7})),
        ("funnel_d10", json!({"type": "funnel", "dim": 10})),
        ("gmm40_d2", json!({"type": "gmm40", "dim": 2})),
        ("gmm40_d50", json!({"type": "gmm40", "dim": 50, "variant": "jax_legacy"})),
        ("gmm40_fab_d2", json!({"type": "gmm40", "dim": 2, "variant": "fab"})),
        ("mog10_d2", json!({"type": "mog10"})),
        ("mos10_d2", json!({"type": "mos10", "dim": 2})),
        ("mos10_d50", json!({"type": "mos10", "dim": 50})),
        ("mw54_d5", json!({"type": "many_well", "dim": 5, "wells": 5, "delta": 4.0})),
        ("mw_d50_m5_delta2", json!({"type": "many_well", "dim": 50, "wells": 5, "delta": 2.0})),
        ("manywell32_fab", json!({"type": "many_well", "variant": "fab", "dim": 32})),
        ("dw4_d8", json!({"type": "dw4"})),
        ("lj13_dem", json!({"type": "lennard_jones", "particles": 13})),
        ("lj13_eacf", json!({"type": "lennard_jones", "particles": 13, "variant": "eacf"})),
        ("lj13_ddsoptim", json!({"type": "lennard_jones", "particles": 13, "variant": "dds_optim"})),
        ("lj55_dem", json!({"type": "lennard_jones", "particles": 55})),
        ("brownian_d32", json!({"type": "brownian"})),
        ("seeds_d26", json!({"type": "seeds"})),
        ("phi4_d64_kappa0.3", json!({"type": "phi4", "size": 8, "kappa": 0.3, "lambda": 0.022})),
        ("molecule", molecule("aldp_ff96_obc1", 300.0)),
        ("aldp_ff96_vacuum", molecule("aldp_ff96_vacuum", 300.0)),
        ("aldp_ff99sbildn_obc", molecule("aldp_ff99sbildn_obc", 300.0)),
        ("aldp_amber14_obc1", molecule("aldp_amber14_obc1", 310.0)),
        ("AAA_amber14_obc1", molecule("AAA_amber14_obc1", 310.0)),
        ("AAAAAA_amber14_obc1", molecule("AAAAAA_amber14_obc1", 310.0)),
        ("CAVQ_amber14_obc1", molecule("CAVQ_amber14_obc1", 310.0)),
    ]
}

fn molecule(name: &str, temperature: f64) -> Value {
    let file = |file: &str| format!("assets/molecules/{name}/{file}");
    let (system, topology) = (file("system.xml"), file("topology.pdb"));
    json!({"type": "molecule", "system": system, "topology": topology, "temperature": temperature})
}

/// Densities on a data file, with the prior's standard deviation; built here from the matrices in the fixtures.
const ON_DATA: [(&str, Option<f64>); 6] = [
    ("sonar_d61", Some(1.0)),
    ("ionosphere_d35", Some(1.0)),
    ("credit_prior_d25", Some(10.0)),
    ("credit_likelihood_d25", None),
    ("cancer_d31", Some(10.0)),
    ("lgcp_d1600", None),
];

pub fn names() -> Vec<&'static str> {
    configured().iter().map(|(name, _)| *name).chain(ON_DATA.iter().map(|(name, _)| *name)).collect()
}

pub fn build(name: &str, options: Options) -> Box<dyn Target> {
    if let Some((_, config)) = configured().into_iter().find(|(n, _)| *n == name) {
        let config: TargetConfig = serde_json::from_value(config).unwrap();
        return config.build(options).unwrap();
    }
    let (_, prior_std) = ON_DATA.iter().find(|(n, _)| *n == name).expect("a name of this list");
    let file = fixture(name);
    if name == "lgcp_d1600" {
        return Box::new(Lgcp::from_counts(&numbers(&file["bin_counts"]), options).unwrap());
    }
    // Credit and cancer are published with P(y = 1) = sigmoid(-X w).
    let negated = name.starts_with("credit") || name.starts_with("cancer");
    let labels: Vec<f64> = numbers(&file["labels"]).iter().map(|y| if negated { 1.0 - y } else { *y }).collect();
    Box::new(Logistic::from_design(&numbers(&file["design"]), &labels, *prior_std, options))
}

pub fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/targets").join(format!("{name}.safetensors"))
}

pub fn fixture(name: &str) -> BTreeMap<String, Tensor> {
    read_tensors(&fixture_path(name)).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

pub const F64: Options = (Kind::Double, Device::Cpu);
pub const F32: Options = (Kind::Float, Device::Cpu);

/// Largest `|found - expected|` relative to `max(1, largest |expected| of the row)`.
pub fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let rows = expected.size()[0];
    let scale = expected.abs().reshape([rows, -1]).amax([-1].as_slice(), true).clamp_min(1.0);
    let error = (found - expected).abs().reshape([rows, -1]) / scale;
    let worst = error.max().double_value(&[]);
    if worst.is_nan() { f64::INFINITY } else { worst }
}
