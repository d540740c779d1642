//! The verbs of `flow` that read and write weights, as a person types them.

mod flows_common;
#[path = "flows_common/torch_save.rs"]
mod torch_save;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use flows_common::{F32, difference, figures, fixture};
use sampler::flows::{FlowConfig, layout};
use sampler::io::environment::sha256;
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::io::weights::{read_weights, write_weights};
use sampler::train::flow::{bench, open};
use serde_json::{Value, json};
use tch::{Kind, Tensor};
use torch_save::{Saved, saved_dict, saved_state};

type Named = Vec<(String, Tensor)>;

/// Runs, demands the exit status, and returns stdout and stderr; what fails says so in one line.
fn flow(arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::cargo_bin("flow").unwrap();
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    if status != 0 {
        assert!(err.starts_with("error: ") && err.trim_end().lines().count() == 1, "{arguments:?}: {err}");
    }
    (out, err)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn state() -> Named {
    figures("state_dict").into_iter().collect()
}

/// The published layout and configuration, as options of every verb.
fn published() -> [String; 2] {
    [fixture("state_dict.safetensors"), fixture("config.yaml")].map(|path| text(&path).to_string())
}

/// `flow transform` of a published network; returns what it wrote.
fn transform(points: &Path, topology: &str, more: &[&str]) -> BTreeMap<String, Tensor> {
    let ([weights, config], out) = (published(), points.with_file_name("out.safetensors"));
    let first = ["transform", "--weights", &weights, "--config", &config, "--topology", topology];
    let then = ["--points", text(points), "--out", text(&out)];
    flow(&[&first, &then[..], more].concat(), 0);
    read_tensors(&out).unwrap()
}

/// Relative to the larger of 1 and the size of `b`.
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    difference(a, b) / b.abs().max().double_value(&[]).max(1.0)
}

#[test]
fn points_go_where_the_authors_network_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("points.safetensors");
    for (precision, tolerance) in [("f32", 1e-5), ("f64", 1e-10)] {
        for molecule in ["AA", "ARIP"] {
            let expected = figures(&format!("{molecule}_{precision}"));
            let (x, z) = (&expected["x"], &expected["rev.z_in"]);
            // The precision is the points', unless it is asked for; chunks and threads change nothing.
            write_tensors(&points, &[("x", x), ("z", z)], &BTreeMap::new()).unwrap();
            let pdb = fixture(&format!("topologies/{molecule}.pdb"));
            let there = transform(&points, text(&pdb), &["--threads", "1"]);
            let more = ["--inverse", "--chunk", "3", "--threads", "2", "--precision", precision];
            let back = transform(&points, molecule, &more);
            let errors = [
                difference(&there["z"], &expected["z"]),
                relative(&there["log_det"], &expected["logdet"]),
                relative(&-&there["log_q"], &expected["E_source"]),
                difference(&back["x"], &expected["rev.x_out"]),
                relative(&back["log_det"], &expected["rev.logdet"]),
                relative(&-&back["log_q"], &expected["rev.E_source"]),
            ];
            println!("{molecule} {precision}: {errors:?}");
            assert!(errors.iter().all(|error| *error < tolerance), "{molecule} {precision}: {errors:?}");
            assert_eq!((there["z"].kind(), there["log_q"].kind()), (x.kind(), Kind::Double));
            assert_eq!((there.len(), there["log_det"].size()), (3, vec![x.size()[0]]));
        }
    }
}

#[test]
fn flat_points_stay_flat_and_precision_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("flat.safetensors");
    let expected = figures("AA_f64");
    write_tensors(&points, &[("x", &expected["x"].flatten(1, 2))], &BTreeMap::new()).unwrap();
    let flat = transform(&points, "AA", &[]);
    assert_eq!(flat["z"].size(), [3, 69]);
    assert!(difference(&flat["z"].view([3, 23, 3]), &expected["z"]) < 1e-10);
    let coarse = transform(&points, "AA", &["--precision", "f32"]);
    assert_eq!(coarse["z"].kind(), Kind::Float);
    let error = difference(&coarse["z"].view([3, 23, 3]), &expected["z"]);
    assert!(error > 1e-10 && error < 1e-5, "{error}");
}

/// A checkpoint of the authors' trainer: averages under `state_dict`, the raw weights beside them.
fn checkpoint(averaged: &Named) -> Vec<u8> {
    let raw: Named = averaged.iter().map(|(name, t)| (name.clone(), t * 3.0)).collect();
    let entries =
        [("epoch", Saved::Int(7)), ("state_dict", Saved::State(averaged)), ("current_model_state", Saved::State(&raw))];
    saved_dict(&entries)
}

#[test]
fn imported_weights_of_any_format_are_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let (points, state) = (folder.path().join("points.safetensors"), state());
    write_tensors(&points, &[("x", &figures("AA_f32")["x"])], &BTreeMap::new()).unwrap();
    let expected = transform(&points, "AA", &["--threads", "1"]);
    let config = text(&fixture("config.yaml")).to_string();

    for (name, bytes) in [("published.pth", saved_state(&state)), ("last.ckpt", checkpoint(&state))] {
        let (file, out) = (folder.path().join(name), folder.path().join("imported.safetensors"));
        fs::write(&file, bytes).unwrap();
        let hash = sha256(&file).unwrap();
        let notes = ["--note", "scale=0.35", "--note", "origin=a=b", "--sha256", &hash.to_uppercase()];
        let (said, report) =
            flow(&[&["import", text(&file), "--out", text(&out), "--config", &config], &notes[..]].concat(), 0);
        assert!(report.contains("225 tensors matched, 465237 parameters") && report.contains("PyTorch"), "{report}");
        assert_eq!(said.trim_end(), format!("{}  {}", sha256(&out).unwrap(), out.display()));

        // The file builds its network without any configuration, and gives the same to the bit.
        let moved = folder.path().join("moved.safetensors");
        let words = ["--topology", "AA", "--points", text(&points), "--out", text(&moved), "--threads", "1"];
        flow(&[&["transform", "--weights", text(&out)], &words[..]].concat(), 0);
        let moved = read_tensors(&moved).unwrap();
        assert!(["z", "log_det", "log_q"].iter().all(|key| moved[*key].equal(&expected[*key])), "{name}");

        let about: Value = serde_json::from_str(&flow(&["info", text(&out), "--json"], 0).0).unwrap();
        let metadata = &about["metadata"];
        assert_eq!((&metadata["source"], &metadata["source_sha256"]), (&json!(name), &json!(hash)));
        assert_eq!((&metadata["scale"], &metadata["origin"]), (&json!("0.35"), &json!("a=b")));
        assert_eq!(metadata.get("epoch"), name.ends_with("ckpt").then(|| json!("7")).as_ref());
        assert_eq!((&about["config_from"], &about["network"]), (&json!("the file"), &json!("prose")));
    }

    // Raw weights instead of averages, and notes that survive another import.
    let (file, out) = (folder.path().join("last.ckpt"), folder.path().join("raw.safetensors"));
    let again = folder.path().join("again.safetensors");
    let raw = ["import", text(&file), "--config", &config, "--copy", "raw", "--note", "scale=1", "--out", text(&out)];
    flow(&raw, 0);
    flow(&["import", text(&out), "--out", text(&again)], 0);
    let (first, second) = (read_weights(&out).unwrap(), read_weights(&again).unwrap());
    assert_eq!((first.metadata["source_copy"].as_str(), second.metadata["scale"].as_str()), ("raw", "1"));
    let (name, averaged) = state.iter().find(|(name, _)| name.ends_with("proj_in.weight")).unwrap();
    let bare = name.strip_prefix("net.").unwrap();
    assert!(first.get(bare).unwrap().equal(&(averaged * 3.0)) && second.get(bare).unwrap().equal(&(averaged * 3.0)));
}

#[test]
fn info_tells_what_shapes_tell_of_a_bare_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, weights) = (folder.path().join("bare.pth"), folder.path().join("w.safetensors"));
    let small = ["flow.channels=16", "flow.head_dim=16", "flow.num_blocks=2", "flow.layers_per_block=1"];
    let orders = "flow.permutation_keys=[n2c_backbone-first_standard, n2c_residue-by-residue_standard_flip]";
    let (_, said) =
        flow(&[&["init", "configs/flow/prose.yaml", "--out", text(&weights), orders], &small[..]].concat(), 0);
    assert!(said.contains("parameters, seed 0"), "{said}");
    let state: Named = read_weights(&weights).unwrap().tensors;
    fs::write(&file, saved_state(&state)).unwrap();

    let about: Value = serde_json::from_str(&flow(&["info", text(&file), "--json"], 0).0).unwrap();
    let count: usize = state.iter().map(|(_, t)| t.numel()).sum();
    let size = fs::metadata(&file).unwrap().len();
    assert_eq!((&about["parameters"], &about["bytes"]), (&json!(count), &json!(size)));
    assert_eq!((&about["tensors"], &about["prefix"]), (&json!(state.len()), &json!("")));
    assert_eq!(about["sha256"], json!(sha256(&file).unwrap()));
    assert_eq!((&about["format"], &about["config"]["channels"]), (&json!("PyTorch"), &json!(16)));
    assert_eq!((&about["orders"][1], &about["metadata"]), (&json!("n2c_residue-by-residue_standard_flip"), &json!({})));
    assert!(about["config_from"].as_str().unwrap().starts_with("shapes"));

    // What is taken for granted is said.
    let imported = folder.path().join("imported.safetensors");
    let said = flow(&["import", text(&file), "--out", text(&imported)], 0).1;
    assert!(said.contains("taken for published") && said.contains("heads of 16 channels"), "{said}");

    let table = flow(&["info", text(&weights)], 0).0;
    for part in ["metadata scale", "0.35", "metadata temperature", "random, seed 0", "2 blocks of 1 layers", "order 1"]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn random_weights_follow_their_seed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("net.yaml");
    let network = "{type: tarflow, channels: 8, head_dim: 4, num_blocks: 2, layers_per_block: 1, max_num_tokens: 40}";
    fs::write(&config, format!("flow: {network}\n")).unwrap();
    let file = |name: &str| folder.path().join(name);
    let made = |name: &str, more: &[&str]| {
        flow(&[&["init", text(&config), "--out", text(&file(name))], more].concat(), 0);
        fs::read(file(name)).unwrap()
    };
    let first = made("a", &["--seed", "3"]);
    assert_eq!(first, made("b", &["--seed", "3"]));
    assert_ne!(first, made("c", &["--seed", "4"]));
    assert!(made("d", &["--seed", "3", "flow.num_blocks=1"]).len() < first.len());

    // A network alone, without the section around it, is understood as well.
    fs::write(&config, network.trim_matches(['{', '}']).replace(", ", "\n")).unwrap();
    assert_eq!(first, made("e", &["--seed", "3"]));
}

#[test]
fn the_timed_networks_are_those_of_the_configs() {
    let count = |flow: &FlowConfig| -> i64 {
        let parameters = layout(flow).into_iter().filter(|entry| !entry.is_buffer());
        parameters.map(|entry| entry.shape.iter().product::<i64>()).sum()
    };
    for (file, name, parameters) in [("prose", "full", 288_117_560), ("mid", "mid", 32_735_772)] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("configs/flow/{file}.yaml"));
        let described = open::describe(&path, &[]).unwrap();
        let (timed, flow) = (bench::network(name), described.flow);
        assert_eq!((count(&flow), count(&timed), flow.orders()), (parameters, parameters, timed.orders()));
        assert_eq!((described.notes["scale"].as_str(), described.notes["temperature"].as_str()), ("0.35", "310"));
    }
}

#[test]
fn rows_are_timed_one_by_one() {
    let words = ["bench", "--rows", "mid/AA/1/log_prob", "--repeats", "1", "--threads", "1"];
    let rows: Value = serde_json::from_str(&flow(&[&words[..], &["--json"]].concat(), 0).0).unwrap();
    let [row] = rows.as_array().unwrap().as_slice() else { panic!("{rows}") };
    for (key, value) in [("network", json!("mid")), ("parameters", json!(32_735_772)), ("atoms", json!(23))] {
        assert_eq!(row[key], value);
    }
    let positive = ["cpu_ms_per_sample", "wall_ms_per_sample", "samples_per_s", "peak_mib"];
    assert!(positive.iter().all(|key| row[*key].as_f64().unwrap() > 0.0), "{row}");
    // More than the parameters themselves take.
    assert!(row["peak_mib"].as_f64().unwrap() > 32_735_772.0 * 4.0 / 1048576.0, "{row}");

    assert!(flow(&["bench", "--rows", "huge"], 2).1.contains("full/ARIP/4/sample"));
    assert!(flow(&["bench", "--device", "tpu"], 2).1.contains("--device 'tpu'"));
    flow(&["bench", "--repeats", "0"], 2);
}

#[test]
fn points_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let ([weights, config], points) = (published(), folder.path().join("p.safetensors"));
    let out = folder.path().join("out.safetensors");
    let good = figures("AA_f32")["x"].shallow_clone();
    let refused = |key: &str, x: &Tensor, topology: &str, more: &[&str], expected: &str| {
        write_tensors(&points, &[(key, x)], &BTreeMap::new()).unwrap();
        let words = ["--topology", topology, "--points", text(&points), "--out", text(&out)];
        let said = flow(&[&["transform", "--weights", &weights, "--config", &config], &words[..], more].concat(), 2).1;
        assert!(said.contains(expected), "{said}");
        assert!(!out.exists(), "{expected}");
    };

    let shape = "[N, 23, 3] or [N, 69] for the 23 atoms of AA";
    let spoilt = |value: f64| {
        let x = good.copy();
        let _ = x.get(2).get(1).get(0).fill_(value);
        x
    };
    refused("y", &good, "AA", &[], "no tensor 'x'; the file holds y");
    refused("x", &good, "AA", &["--inverse"], "no tensor 'z'");
    refused("x", &good.narrow(1, 0, 22), "AA", &[], shape);
    refused("x", &good.transpose(1, 2), "AA", &[], shape);
    refused("x", &good.flatten(0, 1), "AA", &[], shape);
    refused("x", &good.unsqueeze(0), "AA", &[], "shape [1, 3, 23, 3]");
    refused("x", &good.narrow(0, 0, 0), "AA", &[], "N at least 1");
    refused("x", &good.to_kind(Kind::Int64), "AA", &[], "is Int64, expected Float or Double");
    refused("x", &spoilt(f64::NAN), "AA", &[], "NaN or infinity in 1 points, point 2 first");
    refused("x", &spoilt(f64::INFINITY), "AA", &[], "NaN or infinity");
    refused("x", &good, "AA", &["--chunk", "0"], "--chunk");
    refused("x", &good, "AA", &["--precision", "f16"], "'f16'");

    // Molecules that the network cannot be told of.
    refused("x", &good, "AXB", &[], "AXB");
    refused("x", &good, "ARIPARIP", &[], "expected between 1 and 80");
    refused("x", &good, "nowhere.pdb", &[], "nowhere.pdb");
    let pdb = fs::read_to_string(fixture("topologies/AA.pdb")).unwrap();
    for (from, to, expected) in [(" CB ", " CX ", "CX"), ("ALA", "XYZ", "XYZ")] {
        let file = folder.path().join("wrong.pdb");
        fs::write(&file, pdb.replace(from, to)).unwrap();
        refused("x", &good, text(&file), &[], expected);
    }
}

#[test]
fn weights_that_cannot_be_used_are_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("w.pth"), folder.path().join("out.safetensors"));
    let config = text(&fixture("config.yaml")).to_string();
    let refused = |bytes: &[u8], more: &[&str], expected: &str| {
        fs::write(&file, bytes).unwrap();
        let first = ["import", text(&file), "--out", text(&out), "--config", &config];
        let said = flow(&[&first, more].concat(), 2).1;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!out.exists(), "{expected}");
    };
    let whole = saved_state(&state());
    let spoilt = |change: &dyn Fn(&mut Named)| {
        let mut tensors = state();
        change(&mut tensors);
        saved_state(&tensors)
    };
    let at = |name: &str| state().iter().position(|(known, _)| known == name).unwrap();
    let weight = at("net.blocks.1.proj_out.weight");

    refused(&whole, &["--sha256", &"0".repeat(64)], "has SHA-256");
    refused(&whole, &["--sha256", "beef"], "expected 64 hexadecimal digits");
    refused(&whole, &["--note", "scale"], "expected KEY=VALUE");
    for length in [0, 3, 1000, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length], &[], "w.pth: ");
    }
    // A pickle that would run a command, where it is run.
    let command = [b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.".as_slice()].concat();
    refused(&command, &[], "bare pickle");
    refused(&spoilt(&|s| s[weight].1 = s[weight].1.tr().contiguous()), &[], "has shape [48, 6], expected [6, 48]");
    refused(&spoilt(&|s| s[weight].1 = &s[weight].1 / 0.0), &[], "NaN or infinity");
    refused(&spoilt(&|s| drop(s.remove(weight))), &[], "'blocks.1.proj_out.weight'");
    refused(&spoilt(&|s| s.push(("net.more".into(), Tensor::ones([2], F32)))), &[], "'net.more'");
    refused(&spoilt(&|s| s.retain(|(name, _)| !name.contains("cond_embed"))), &[], "not a flow's weights");

    // The same through the other verbs that read weights.
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(flow(&["info", text(&file)], 2).1.contains("w.pth"));
    assert!(flow(&["info", text(folder.path())], 2).1.contains("folder"));
    assert!(flow(&["info", "nowhere.pth"], 2).1.contains("nowhere.pth"));
    assert!(flow(&["import", "nowhere.pth", "--out", text(&out)], 2).1.contains("nowhere.pth"));

    // Another network's configuration, one that is none, and a file that claims more than it holds.
    let yaml = folder.path().join("c.yaml");
    for (text_of_it, expected) in [
        ("flow: {type: prose}\n", "has shape"),
        ("flow: {type: prose, chanels: 4}\n", "c.yaml:1: unknown key 'flow.chanels'"),
        ("flow: {type: prose, channels: 5}\n", "c.yaml:1: 'flow.channels'"),
        ("arch: egnn\n", "prose or tarflow"),
        ("- 1\n", "c.yaml"),
    ] {
        fs::write(&yaml, text_of_it).unwrap();
        let [weights, _] = published();
        let said = flow(&["info", &weights, "--config", text(&yaml)], 2).1;
        assert!(said.contains(expected), "{expected}: {said}");
        if expected != "has shape" {
            assert!(!out.exists() && flow(&["init", text(&yaml), "--out", text(&out)], 2).1.contains("c.yaml"));
        }
    }
    let claim = BTreeMap::from([("flow".to_string(), r#"{"type":"prose","channels":8192}"#.to_string())]);
    let claimed = folder.path().join("claim.safetensors");
    write_weights(&claimed, &state(), &claim).unwrap();
    assert!(flow(&["info", text(&claimed)], 2).1.contains("has shape"));
}
