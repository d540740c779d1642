//! `flow train` and `flow eval`: learning, resuming, starting from weights, every config that ships.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;
#[path = "common/flow_binary.rs"]
mod flow_binary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bridge_binary::{assert_same_record, metrics, summary};
use flow_binary::{SCALE, Sandbox, fixture, frames, json, largest, shipped, text, tiny, write_frames};
use sampler::config::load::load;
use sampler::flows::{Flow, store};
use sampler::io::tensors::read_tensors;
use sampler::io::weights::read_weights;
use sampler::targets::molecule::topology::Topology;
use sampler::torch::optim::Optimizer;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::flow::subject::Subject;
use sampler::train::flow::{FlowTrainConfig, launch};
use tch::{Device, Kind, Tensor};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// A run of 12 updates on frames of two molecules, in a folder that has them.
fn small() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    for sequence in ["AA", "ARIP"] {
        write_frames(&sandbox.path(&format!("{sequence}.safetensors")), &frames(sequence));
    }
    let folder = fixture("");
    let yaml = format!(
        "flow: {{type: prose, channels: 16, head_dim: 8, num_blocks: 2, layers_per_block: 1, expansion: 2, \
         max_num_tokens: 80}}\n\
         data:\n  sequences: [AA, ARIP]\n  topology: {0}/{{sequence}}.pdb\n  system: {0}/{{sequence}}_system.xml\n  \
         frames: '{{sequence}}.safetensors'\n  validation: 0.2\n  batching: {{type: grouped, molecules: 2}}\n\
         train: {{steps: 12, batch: 6, learning_rate: 5.0e-3, optimizer: {{type: adamw}}, \
         schedule: {{type: one_cycle}}, ema_decay: 0.9, log_every: 1, checkpoint_every: 4}}\n\
         eval: {{samples: 6, final_samples: 12, chunk: 5, sequences: [AA, ARIP]}}\n",
        text(&folder).trim_end_matches('/')
    );
    sandbox.write("small.yaml", &yaml);
    (sandbox, yaml)
}

fn train(sandbox: &Sandbox, out: &str, more: &[&str]) {
    sandbox.flow(&[&["train", "small.yaml", "--out", out, "--device", "cpu", "--threads", "1"], more].concat(), 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let other = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &other);
        } else {
            fs::copy(&path, &other).unwrap();
        }
    }
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_and_its_weights_serve() {
    let (sandbox, _) = small();
    train(&sandbox, "whole", &[]);
    let (whole, parts) = (sandbox.path("whole"), sandbox.path("parts"));
    // As if killed after update 8.
    copy(&whole, &parts);
    for file in ["summary.json", "samples.safetensors", "flow.safetensors"] {
        fs::remove_file(parts.join(file)).unwrap();
    }
    fs::remove_dir_all(parts.join("checkpoints/step_00000012")).unwrap();
    fs::remove_dir_all(parts.join("plots")).unwrap();
    train(&sandbox, "parts", &["--resume"]);
    assert_same_record(&parts, &whole);
    let file = |run: &Path| fs::read(run.join("flow.safetensors")).unwrap();
    assert!(file(&parts) == file(&whole));

    // The file holds the averages, the network, and what sampling must know.
    let written = whole.join("flow.safetensors");
    let metadata = read_weights(&written).unwrap().metadata;
    assert_eq!((metadata["scale"].as_str(), metadata["temperature"].as_str()), ("0.35", "310"));
    assert_eq!(metadata["sequences"], "AA ARIP");
    let flow = store::read(&written, None, store::Copy::Averaged, CPU).unwrap().0;
    let averages = read_tensors(&whole.join("checkpoints/step_00000012/ema.safetensors")).unwrap();
    assert!(flow.params().named().iter().all(|(name, parameter)| parameter.equal(&averages[name])));

    // Final samples are those of that flow: nm, log q, kJ/mol.
    let samples = read_tensors(&whole.join("samples.safetensors")).unwrap();
    assert_eq!((samples["x"].size(), samples["log_weight"].size()), (vec![12, 23, 3], vec![12]));
    let subject = Subject::new("AA", Topology::read(&fixture("AA.pdb")).unwrap(), &tiny()).unwrap();
    let x = &samples["x"] / SCALE;
    let log_q = tch::no_grad(|| flow.log_q(&x, &flow.prepare(&subject.conditioning)));
    assert!(largest(&(log_q - &samples["log_q"])) < 1e-3);
    let summary = summary(&whole);
    assert!(["eval/AA/ess", "eval/ARIP/torus_w2", "eval/inversion_max"].iter().all(|tag| summary[*tag].is_number()));
    assert!(whole.join("plots/AA_energies.png").is_file() && whole.join("plots/loss.png").is_file());

    // Another run starts there: before any update it has those weights.
    let init = format!("init={}", text(&written));
    train(&sandbox, "again", &["flow=null", &init, "train.steps=0"]);
    assert!(file(&sandbox.path("again")) == file(&whole));
    let said = sandbox.refusal(&["train", "small.yaml", "flow=null", &init, "data.scale=0.3", "--out", "no"]);
    assert!(said.contains("'data.scale' is 0.3") && said.contains("trained with 0.35"), "{said}");
}

#[test]
fn threads_pieces_and_batches_do_not_change_the_loss() {
    let (sandbox, _) = small();
    let losses = |out: &str, more: &[&str]| {
        let run = ["train", "small.yaml", "--out", out, "--device", "cpu", "precision=f64", "train.steps=3"];
        let few = ["eval.samples=2", "eval.final_samples=2"];
        sandbox.flow(&[&run[..], &few, more].concat(), 0);
        let lines = metrics(&sandbox.path(out));
        lines.iter().filter_map(|line| line.get("train/loss")?.as_f64()).collect::<Vec<_>>()
    };
    let expected = losses("one", &["--threads", "1"]);
    assert_eq!(expected.len(), 3);
    for (out, more) in [("three", ["--threads", "3"].as_slice()), ("cut", &["--threads", "2", "train.chunk_rows=1"])] {
        let found = losses(out, more);
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-10), "{out}: {expected:?} {found:?}");
    }
}

#[test]
fn the_loss_falls() {
    let (sandbox, _) = small();
    let keys =
        ["data.sequences=[AA]", "eval.sequences=[AA]", "train.steps=60", "train.batch=16", "eval.final_samples=2"];
    train(&sandbox, "run", &[&keys[..], &["data.batching.molecules=1", "eval.samples=2"]].concat());
    let lines = metrics(&sandbox.path("run"));
    let losses: Vec<f64> = lines.iter().filter_map(|line| line.get("train/loss")?.as_f64()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[losses.len() - 5..]));
    assert!(losses.len() == 60 && last < first - 0.1, "{first} {last}");
    let nll = |line: Option<&serde_json::Map<String, serde_json::Value>>| line.unwrap()["eval/nll"].as_f64().unwrap();
    assert!(nll(lines.last()) < nll(lines.first()) - 0.05, "{lines:?}");
}

#[test]
fn an_evaluation_is_a_table_over_molecules() {
    let (sandbox, _) = small();
    let weights = sandbox.weights("w.safetensors", 1, &[("scale", "0.35")]);
    let arguments = ["eval", "small.yaml", "--weights", text(&weights), "--device", "cpu", "--n", "8"];
    let (out, _) = sandbox.flow(&[&arguments[..], &["--out", "eval"]].concat(), 0);
    for word in ["NLL a coordinate", "ESS / N", "E-W2", "T-W2", "right hand", "max |z - z'|", "AA", "ARIP", "mean"] {
        assert!(out.contains(word), "{word}\n{out}");
    }
    let figures = json(&sandbox.path("eval/eval.json"));
    let value = |name: &str| figures[name].as_f64().unwrap();
    for name in ["nll", "ess", "energy_w1", "torus_w2", "chirality_correct", "inversion_max"] {
        let mean = (value(&format!("eval/AA/{name}")) + value(&format!("eval/ARIP/{name}"))) / 2.0;
        assert!((value(&format!("eval/{name}")) - mean).abs() <= 1e-12 * mean.abs(), "{name}");
    }
    assert!(value("eval/inversion_max") < 1e-3);
    let table = fs::read_to_string(sandbox.path("eval/eval.md")).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with('|')).count(), 5, "{table}");
    assert!(sandbox.path("eval/plots/ARIP_ramachandran_reference_2.png").is_file());

    // Glycine has no hand: means are over the molecules that have a figure.
    let gg = Topology::read(&shipped("assets/peptides/GG/topology.pdb")).unwrap();
    let positions = gg.flat_positions().view([1, -1, 3]);
    write_frames(&sandbox.path("GG.safetensors"), &positions.repeat([4, 1, 1]));
    let topology = format!("data.topology={}", text(&shipped("assets/peptides/{sequence}/topology.pdb")));
    let gg = ["data.system=null", &topology, "data.sequences=[AA]", "eval.sequences=[AA, GG]", "--out", "gg"];
    sandbox.flow(&[&arguments[..], &gg].concat(), 0);
    let figures = json(&sandbox.path("gg/eval.json"));
    assert!(figures.contains_key("eval/GG/nll") && !figures.contains_key("eval/GG/chirality_correct"));
    assert_eq!(figures["eval/chirality_correct"], figures["eval/AA/chirality_correct"]);
    assert!(!figures.contains_key("eval/ess"));

    let other = sandbox.weights("other.safetensors", 1, &[("scale", "0.28")]);
    let said = sandbox.refusal(&["eval", "small.yaml", "--weights", text(&other), "--out", "no"]);
    assert!(said.contains("'data.scale' is 0.35") && said.contains("0.28"), "{said}");
}

#[test]
fn wrong_configs_are_answered_in_one_line() {
    let (sandbox, yaml) = small();
    let lines: Vec<&str> = yaml.lines().filter(|line| !line.starts_with("flow:")).collect();
    sandbox.write("no_flow.yaml", &lines.join("\n"));
    let arip = format!("data.system={}", text(&fixture("ARIP_system.xml")));
    let cases: [(&str, &[&str], &[&str]); 16] = [
        ("small.yaml", &["data.sequences=[AA, AA]"], &["small.yaml", "'data.sequences' names AA twice"]),
        ("small.yaml", &["data.sequences=[]"], &["'data.sequences'"]),
        ("small.yaml", &["data.validation=0"], &["'data.validation' is 0", "eval.sequences"]),
        ("small.yaml", &["data.frames=AA.safetensors"], &["'data.frames' names one file for 2", "{sequence}"]),
        (
            "small.yaml",
            &["data.sequences=[AA]", "data.frames=AA.safetensors"],
            &["'data.frames' names one file for 2 sequences"],
        ),
        ("small.yaml", &["data.frames='no_{sequence}.npz'"], &["no_AA.npz"]),
        ("small.yaml", &["data.frames='ARIP.safetensors{sequence}'"], &["ARIP.safetensorsAA"]),
        ("small.yaml", &["data.topology=null", "data.sequences=[AXA]"], &["AXA", "'X'"]),
        ("small.yaml", &["data.batching={type: grouped, molecules: 7}"], &["'data.batching.molecules'", "6"]),
        ("small.yaml", &["data.batching.type=paded"], &["did you mean 'padded'?"]),
        ("small.yaml", &["eval.reweight.filter={type: drop, fraction: 0.9}"], &["'eval.reweight.filter.fraction'"]),
        ("small.yaml", &["flow.max_num_tokens=20"], &["AA.pdb", "23 atoms", "20"]),
        ("small.yaml", &["init=w.safetensors"], &["'flow' and 'init' are both given"]),
        ("no_flow.yaml", &[], &["no_flow.yaml", "'flow' must describe the network"]),
        ("no_flow.yaml", &["init=none.safetensors"], &["none.safetensors"]),
        (
            "small.yaml",
            &["data.sequences=[AA]", "eval.sequences=[AA]", "data.batching.molecules=1", &arip],
            &["AA.pdb: has 23 atoms", "ARIP_system.xml has 70"],
        ),
    ];
    for (config, overrides, parts) in cases {
        let said = sandbox.refusal(&[&["train", config, "--out", "out"], overrides].concat());
        assert!(parts.iter().all(|part| said.contains(part)), "{overrides:?}: {said}");
        assert!(!sandbox.path("out").exists(), "{overrides:?} left a run folder");
    }
}

/// The configs of `flow train` and `flow eval`; those of fine-tuning have keys of their own.
fn configs() -> Vec<PathBuf> {
    let entries = fs::read_dir(shipped("configs/flow")).unwrap().map(|entry| entry.unwrap().path());
    let training = |path: &PathBuf| !path.file_name().unwrap().to_string_lossy().starts_with("finetune");
    entries.filter(training).collect()
}

#[test]
fn every_config_says_what_it_is() {
    for entry in fs::read_dir(shipped("configs/flow")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for label in ["# Description: ", "# Reference: ", "# Run as: ", "# Cost: "] {
            assert!(text.lines().any(|line| line.starts_with(label)), "{path:?} lacks {label}");
        }
        let own = format!("configs/flow/{}", path.file_name().unwrap().to_string_lossy());
        assert!(text.contains(&format!("flow train {own}")) || text.contains(&format!("flow finetune {own}")), "{own}");
    }
}

/// Two updates and a last evaluation of a config with a shrunken network, on made-up frames of its own molecules.
fn try_out(path: &Path, folder: &Path) {
    let paper = load::<FlowTrainConfig>(path, &[]).unwrap().value;
    paper.validate().unwrap();
    let known = &paper.data.sequences;
    let measured = paper.measured().iter().find(|name| !known.contains(name)).unwrap_or(&known[0]);
    reseed(0, Stream::Data, 0);
    for sequence in known.iter().take(2).chain([measured]) {
        let molecule = Topology::read(&shipped(&format!("assets/peptides/{sequence}/topology.pdb"))).unwrap();
        let x = molecule.flat_positions().view([1, -1, 3]).repeat([4, 1, 1]);
        let x = &x + x.randn_like() * 0.002;
        write_frames(&folder.join(format!("{sequence}.safetensors")), &x);
    }
    let place = |key: &str, path: &Path| format!("data.{key}={}", text(path));
    let few = known[..known.len().min(2)].join(", ");
    let overrides: Vec<String> = [
        place("frames", &folder.join("{sequence}.safetensors")),
        place("topology", &shipped("assets/peptides/{sequence}/topology.pdb")),
        place("system", &shipped("assets/peptides/{sequence}/system.xml")),
        format!("data.sequences=[{few}]"),
        format!("eval.sequences=[{measured}]"),
    ]
    .into_iter()
    .chain(["flow.channels=16", "flow.head_dim=8", "flow.layers_per_block=1", "flow.expansion=2"].map(String::from))
    .chain(["train.steps=2", "train.batch=8", "eval.samples=3", "eval.final_samples=3"].map(String::from))
    .collect();
    let config = load::<FlowTrainConfig>(path, &overrides).unwrap().value;
    config.validate().unwrap();
    let mut objective = launch::build(&config, Device::Cpu).unwrap();
    let mut optimizer = Optimizer::new(config.train.optimizer, objective.groups(&config.train));
    for step in 0..2 {
        reseed(config.seed, Stream::Train, step);
        optimizer.zero_grad();
        let loss = objective.accumulate().unwrap()[0].1;
        assert!(loss.is_finite(), "{path:?}: {loss}");
        let factor = config.train.schedule.factor(step, config.train.steps);
        assert!(!optimizer.step(factor, config.train.clip_norm).skipped, "{path:?}");
    }
    let figures: BTreeMap<String, f64> = objective.evaluate(true).unwrap().scalars.into_iter().collect();
    assert!(figures["eval/nll"].is_finite() && figures.contains_key("eval/ess"), "{path:?}: {figures:?}");
}

#[test]
fn every_config_trains() {
    tch::set_num_threads(1);
    let configs = configs();
    for path in &configs {
        let folder = tempfile::tempdir().unwrap();
        try_out(path, folder.path());
    }
    assert!(configs.len() >= 2);
}

#[test]
fn thinned_frames_are_spread_over_the_file() {
    let sandbox = Sandbox::new();
    let numbered = Tensor::arange(10, CPU).view([-1, 1, 1]) + frames("AA").get(0) * 0.0;
    // A frame's number is the height of its first atom above the others.
    let height = Tensor::zeros([10, 23, 3], CPU);
    height.select(1, 0).select(1, 2).copy_(&numbered.select(1, 0).select(1, 0));
    write_frames(&sandbox.path("x.safetensors"), &height);
    let mut config = load::<FlowTrainConfig>(&shipped("configs/flow/AA_small.yaml"), &[]).unwrap().value;
    config.data.most_frames = Some(4);
    let read = sampler::train::flow::data::frames(&sandbox.path("x.safetensors"), 23, &config.data, Kind::Double);
    let x = read.unwrap() * config.data.scale;
    let found = x.select(1, 0).select(1, 2) - x.select(1, 1).select(1, 2);
    assert!(largest(&(found - Tensor::from_slice(&[0.0, 2.0, 5.0, 7.0]))) < 1e-6);
    assert!(largest(&x.mean_dim([1i64].as_slice(), false, None)) < 1e-6);
}
