//! The published network at toy size, its weights and its figures (tests/fixtures/prose/README.md).
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use std::collections::BTreeMap;
use std::path::PathBuf;

use sampler::config::yaml_to_json;
use sampler::flows::{AutoregressiveFlow, Conditioning, Flow, FlowConfig, store};
use sampler::io::tensors::read_tensors;
use tch::{Device, Kind, Tensor};

pub const F32: (Kind, Device) = (Kind::Float, Device::Cpu);
pub const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose").join(name)
}

pub fn published_config() -> FlowConfig {
    let text = std::fs::read_to_string(fixture("config.yaml")).unwrap();
    FlowConfig::from_json(&yaml_to_json(&text).unwrap(), "config.yaml").unwrap()
}

pub fn published(options: (Kind, Device)) -> AutoregressiveFlow {
    let read =
        store::read(&fixture("state_dict.safetensors"), Some(&published_config()), store::Copy::Averaged, options);
    read.unwrap().0
}

/// `AA_f64` and the like.
pub fn figures(name: &str) -> BTreeMap<String, Tensor> {
    read_tensors(&fixture(&format!("{name}.safetensors"))).unwrap()
}

/// The molecules of a file of figures, all rows or the first.
pub fn conditioning(figures: &BTreeMap<String, Tensor>, config: &FlowConfig, rows: Option<i64>) -> Conditioning {
    let take = |key: &str| {
        let all = &figures[key];
        all.narrow(0, 0, rows.unwrap_or(all.size()[0]))
    };
    Conditioning {
        atom_type: take("enc.atom_type"),
        aa_type: take("enc.aa_type"),
        aa_pos: take("enc.aa_pos"),
        seq_len: take("enc.seq_len"),
        orders: config.orders().iter().map(|key| take(&format!("perm.{key}"))).collect(),
        mask: figures.contains_key("mask").then(|| take("mask")),
    }
}

/// A small random network whose zero-initialised parts are perturbed, so that nothing is the identity.
pub fn scrambled(config: &FlowConfig, options: (Kind, Device)) -> AutoregressiveFlow {
    let flow = config.build(options.0, options.1).unwrap();
    let _guard = tch::no_grad_guard();
    for (_, mut parameter) in flow.params().named() {
        parameter += Tensor::randn(parameter.size(), options) * 0.05;
    }
    flow
}

/// Two made-up molecules of 5 and 9 atoms in one batch, padded to `tokens`.
pub fn made_up(blocks: usize, tokens: i64) -> Conditioning {
    let lengths = [5, 9];
    let int = (Kind::Int64, Device::Cpu);
    let rows = |f: &dyn Fn(i64, i64) -> i64| {
        let row = |n: i64| (0..tokens).map(|j| if j < n { f(n, j) } else { 0 }).collect::<Vec<_>>();
        Tensor::from_slice(&lengths.map(row).concat()).view([2, tokens])
    };
    let order = |b: usize| {
        // Shifted by the block's number, every other one reversed.
        let place = |n: i64, j: i64| if b.is_multiple_of(2) { (j + b as i64) % n } else { n - 1 - j };
        let row = |n: i64| (0..tokens).map(|j| if j < n { place(n, j) } else { j }).collect::<Vec<_>>();
        Tensor::from_slice(&lengths.map(row).concat()).view([2, tokens])
    };
    let places = Tensor::arange(tokens, int).unsqueeze(0);
    Conditioning {
        atom_type: rows(&|n, j| 1 + (j * 7 + n) % 11),
        aa_type: rows(&|_, j| 1 + j / 5),
        aa_pos: rows(&|_, j| 1 + j / 5),
        seq_len: Tensor::from_slice(&[1i64, 2]).view([2, 1]),
        orders: (0..blocks).map(order).collect(),
        mask: Some(places.lt_tensor(&Tensor::from_slice(&lengths).view([2, 1]))),
    }
}

/// One row of a conditioning, cut to its own length.
pub fn row(molecules: &Conditioning, b: i64) -> Conditioning {
    let length = molecules.mask.as_ref().map(|mask| mask.get(b).sum(Kind::Int64).int64_value(&[]));
    let length = length.unwrap_or(molecules.size().1);
    let cut = |t: &Tensor| t.narrow(0, b, 1).narrow(1, 0, length);
    Conditioning {
        atom_type: cut(&molecules.atom_type),
        aa_type: cut(&molecules.aa_type),
        aa_pos: cut(&molecules.aa_pos),
        seq_len: molecules.seq_len.narrow(0, b, 1),
        orders: molecules.orders.iter().map(cut).collect(),
        mask: None,
    }
}

pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}
