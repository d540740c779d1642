//! Reading weight files: each format gives what its own library reads; assigning checks before it copies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sampler::io::assign::{Leniency, assign, assign_with};
use sampler::io::weights::{Format, Weights, read_weights, write_weights};
use sampler::torch::error::is_bad_input;
use tch::{Device, Kind, Tensor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights").join(name)
}

/// Compares with the same tensors written by Python's safetensors; equal to the bit, NaN included.
fn check_against_python(name: &str) -> Weights {
    let found = read_weights(&fixture(name)).unwrap();
    let expected = read_weights(&fixture(&format!("expected/{name}.safetensors"))).unwrap();
    assert_eq!(expected.format, Format::Safetensors);
    assert_eq!(found.tensors.len(), expected.tensors.len(), "{name}");
    for (key, expected) in &expected.tensors {
        let found = found.get(key).unwrap_or_else(|| panic!("{name}: no {key}"));
        assert_same(&format!("{name}: {key}"), found, expected);
    }
    found
}

fn assert_same(what: &str, a: &Tensor, b: &Tensor) {
    assert_eq!((a.kind(), a.size()), (b.kind(), b.size()), "{what}");
    assert_eq!(bytes(a), bytes(b), "{what}");
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.contiguous().copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

fn message<T>(result: anyhow::Result<T>) -> String {
    let error = result.err().expect("an error");
    assert!(is_bad_input(&error), "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn state_dicts_read_as_pytorch_reads_them() {
    for name in ["state_dict.pth", "protocol4.pt", "zip64.pt"] {
        let weights = check_against_python(name);
        assert_eq!(weights.format, Format::Torch);
        assert_eq!(weights.tensors[0].0, "0.weight", "{name}: the file's order");
        assert!(weights.skipped.is_empty(), "{:?}", weights.skipped);
    }
    assert_eq!(read_weights(&fixture("state_dict.pth")).unwrap().get("1.num_batches_tracked").unwrap().dim(), 0);
}

#[test]
fn checkpoints_with_strange_objects_give_their_tensors_and_scalars() {
    let weights = check_against_python("lightning.ckpt");
    assert_eq!(weights.metadata["epoch"], "3");
    assert_eq!(weights.metadata["global_step"], "1234567890123");
    assert_eq!(weights.metadata["pytorch-lightning_version"], "2.4.0");
    assert_eq!(weights.metadata["callbacks.wait"], "-1.5");
    assert_eq!(weights.metadata["callbacks.flag"], "true");
    assert_eq!(weights.metadata["counts.a"], "1");
    let skipped: Vec<&str> = weights.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert!(skipped.contains(&"hyper_parameters") && skipped.contains(&"callbacks.best"), "{skipped:?}");
}

#[test]
fn kinds_views_and_nesting_survive() {
    let kinds = check_against_python("kinds.pt");
    assert_eq!(kinds.get("bfloat16").unwrap().kind(), Kind::BFloat16);
    assert_eq!(kinds.skipped, [("unsigned".to_string(), "torch.uint16".to_string())]);

    let views = check_against_python("views.pt");
    assert!(views.tensors.iter().all(|(_, tensor)| tensor.is_contiguous()));
    let nested = check_against_python("nested.pt");
    check_against_python("tensor.pt");

    // Tensors that shared memory in Python do not here: changing one leaves the others alone.
    let mut tied = nested.get("model.a").unwrap().shallow_clone();
    let before = nested.get("model.b.0").unwrap().copy();
    let _ = tied.fill_(9.0);
    assert_same("tied", nested.get("model.b.0").unwrap(), &before);
    let head = views.get("head").unwrap().copy();
    let _ = views.get("whole").unwrap().shallow_clone().fill_(9);
    assert_same("shared", views.get("head").unwrap(), &head);
}

#[test]
fn arrays_of_numpy_read() {
    let arrays = check_against_python("arrays.npz");
    assert_eq!(arrays.format, Format::Numpy);
    let skipped: Vec<&str> = arrays.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(skipped, ["names", "objects", "unsigned"]);
    check_against_python("compressed.npz");
    check_against_python("single.npy");
}

#[test]
fn content_counts_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let disguised = folder.path().join("weights.safetensors");
    std::fs::copy(fixture("state_dict.pth"), &disguised).unwrap();
    assert_eq!(read_weights(&disguised).unwrap().format, Format::Torch);
}

#[test]
fn what_is_not_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let mut empty_header = 2u64.to_le_bytes().to_vec();
    empty_header.extend(b"{}junk");
    let cases = [
        (fixture("module.pt"), "torch.nn.modules.container.Sequential"),
        (fixture("legacy.pt"), "before PyTorch 1.6"),
        (fixture("script.pt"), "TorchScript"),
        (folder.path().to_path_buf(), "folder"),
        (folder.path().join("none.pt"), "no such file"),
        (made("empty", b""), "empty"),
        (made("text", b"hello, world, this is text"), "no known kind"),
        (made("lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"),
        (made("page", b"<!DOCTYPE html><html></html>"), "web page"),
        (made("pickle", b"\x80\x04N."), "bare pickle"),
        (made("gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"), "gzip"),
        (made("zip", b"PK\x03\x04 and then nothing"), "cut short"),
        (made("junk after", &empty_header), "4 follow"),
    ];
    for (path, part) in cases {
        let text = message(read_weights(&path));
        assert!(text.starts_with(&path.display().to_string()) && text.contains(part), "{text}");
    }
}

#[test]
fn damage_is_found_by_the_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pth");
    let mut bytes = std::fs::read(fixture("state_dict.pth")).unwrap();
    let first_weight =
        read_weights(&fixture("state_dict.pth")).unwrap().tensors[0].1.get(0).get(0).double_value(&[]) as f32;
    let at = bytes.windows(4).position(|window| window == first_weight.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(message(read_weights(&path)).contains("checksum"));
}

#[test]
fn safetensors_come_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let tensors = vec![
        ("mask".to_string(), Tensor::from_slice(&[true, false, true])),
        ("a.weight".to_string(), Tensor::randn([3, 2], (Kind::Float, Device::Cpu)).transpose(0, 1)),
        ("double \"quoted\"\n".to_string(), Tensor::from_slice(&[f64::NAN, -0.0])),
        ("half".to_string(), Tensor::ones([2], (Kind::BFloat16, Device::Cpu))),
        ("scalar".to_string(), Tensor::from(3i64)),
        ("none".to_string(), Tensor::zeros([0, 4], (Kind::Float, Device::Cpu))),
        ("trained".to_string(), Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true)),
    ];
    let metadata = BTreeMap::from([("config".to_string(), "seed: 0\n".to_string())]);
    write_weights(&path, &tensors, &metadata).unwrap();

    let back = read_weights(&path).unwrap();
    assert_eq!((back.tensors.len(), &back.metadata), (tensors.len(), &metadata));
    for (name, tensor) in &tensors {
        assert_same(name, back.get(name).unwrap(), tensor);
    }
    // The crate that defines the format accepts the file too, and finds every tensor aligned.
    let bytes = std::fs::read(&path).unwrap();
    let other = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(other.len(), tensors.len());
    assert!(other.tensors().iter().all(|(_, view)| view.data().as_ptr().align_offset(view.dtype().bitsize() / 8) == 0));
    // Nothing is left beside it, and writing again replaces it.
    write_weights(&path, &tensors[..1], &BTreeMap::new()).unwrap();
    assert_eq!(read_weights(&path).unwrap().tensors.len(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn no_header_length_is_taken_for_another_format() {
    // A length of 0x280 bytes begins as a pickle does; one of 0x8b1f would as gzip does.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    for len in [0x80u64, 0x280, 0x480, 0x8b1f, 0x4b50] {
        let entry = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend(format!("{entry:len$}", len = len as usize).into_bytes());
        bytes.push(7);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_weights(&path).unwrap().tensors.len(), 1, "{len:#x}");
    }
}

#[test]
fn two_tensors_of_one_name_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let one = || ("a".to_string(), Tensor::from(1.0f32));
    let error = write_weights(&path, &[one(), one()], &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains("'a'"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A model of two parameters, and a file of them.
fn model() -> Vec<(String, Tensor)> {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
    vec![("w".to_string(), zeros(&[2, 4])), ("b".to_string(), zeros(&[2]))]
}

fn file(tensors: Vec<(&str, Tensor)>) -> Weights {
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    let (metadata, format, skipped) = (BTreeMap::new(), Format::Safetensors, Vec::new());
    Weights { tensors, metadata, format, skipped, source: "some.file".to_string() }
}

fn ones(shape: &[i64], kind: Kind) -> Tensor {
    Tensor::ones(shape, (kind, Device::Cpu))
}

#[test]
fn assigning_fits_names_and_keeps_gradients_on() {
    let model = model();
    let weights = file(vec![
        ("net.w", ones(&[2, 4], Kind::Float)),
        ("net.b", ones(&[2], Kind::Float)),
        ("opt.step", ones(&[], Kind::Int64)),
    ]);
    let report = assign(&model, &weights, |name| name.strip_prefix("net.").map(str::to_string)).unwrap();
    assert_eq!((report.assigned, report.set_aside), (2, 1));
    for (_, parameter) in &model {
        assert!(parameter.requires_grad() && parameter.is_leaf());
        assert_eq!(parameter.mean(Kind::Float).double_value(&[]), 1.0);
    }
}

#[test]
fn every_misfit_is_told_at_once_and_nothing_is_copied() {
    let mut model = model();
    model.push(("c".to_string(), ones(&[1], Kind::Float)));
    // [4] would broadcast into [2, 4], and libtorch would convert f64: neither happens.
    let weights =
        file(vec![("w", ones(&[4], Kind::Float)), ("b", ones(&[2], Kind::Double)), ("extra", ones(&[1], Kind::Float))]);
    let text = message(assign(&model, &weights, |name| Some(name.to_string())));
    for part in [
        "some.file",
        "1 missing: c",
        "1 unexpected: extra",
        "w (file [4], model [2, 4])",
        "b (file Double, model Float)",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(model[1].1.sum(Kind::Float).double_value(&[]), 0.0);

    let twice = message(assign(&model, &weights, |_| Some("w".to_string())));
    assert!(twice.contains("both stand for 'w'"), "{twice}");
}

#[test]
fn long_lists_of_misfits_stay_short() {
    let model: Vec<_> = (0..100).map(|i| (format!("layer{i}"), ones(&[1], Kind::Float))).collect();
    let text = message(assign(&model, &file(vec![]), |name| Some(name.to_string())));
    assert!(text.contains("100 missing: layer0, layer1, layer2, layer3, ...") && text.len() < 200, "{text}");
}

#[test]
fn leniency_is_asked_for() {
    let model = model();
    let weights = file(vec![("w", ones(&[2, 4], Kind::BFloat16)), ("extra", ones(&[1], Kind::Float))]);
    let lenient = Leniency { cast: true, missing: true, unexpected: true };
    let report = assign_with(&model, &weights, |name| Some(name.to_string()), lenient).unwrap();
    assert_eq!(report.assigned, 1);
    assert_eq!((report.cast.as_slice(), report.missing.as_slice()), (&["w".to_string()][..], &["b".to_string()][..]));
    assert_eq!(report.unexpected, ["extra"]);
    assert_eq!(model[0].1.kind(), Kind::Float);
    assert_eq!(model[0].1.sum(Kind::Float).double_value(&[]), 8.0);
}
