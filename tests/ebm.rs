//! Energy models: measures against reference code, trainings, and models that go from one binary to the other.

use std::path::Path;

use assert_cmd::Command;
use sampler::config::load::load;
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::metrics::hamming::exp_hamming_mmd2;
use sampler::train::ebm::EbmConfig;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

#[test]
fn discrepancies_are_those_of_the_reference_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete/metrics.safetensors");
    let file = read_tensors(&path).unwrap();
    let found = exp_hamming_mmd2(&file["x"], &file["y"], 0.1).unwrap();
    let expected = file["exp_hamming_mmd2_bw0.1"].double_value(&[0]);
    assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    assert!(exp_hamming_mmd2(&file["x"], &file["y"].narrow(1, 0, 3), 0.1).is_err());
}

/// Runs a binary in `folder`, demands the exit status, and returns what it said on stderr.
fn run(binary: &str, folder: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = Command::cargo_bin(binary).unwrap();
    let output = command.current_dir(folder).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{err}");
    if status == 2 {
        assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    }
    err
}

/// All lines of a run without clocks.
fn record(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let figures = value.as_object_mut().unwrap();
        figures.retain(|key, _| key != "wall_s" && key != "train/steps_per_s");
        value
    };
    text.lines().map(line).collect()
}

const DISCREPANCY: &str = "data: {type: toy, name: moons}
energy: {type: mlp, hidden: [32, 32]}
method: {type: energy_discrepancy}
eval: {samples: 500, partition_samples: 20000, repeats: 2, sweeps: 2}
train: {steps: 300, batch: 64, learning_rate: 3.0e-3, optimizer: {type: adam}, clip_norm: null}
";

#[test]
fn a_model_learns_and_is_a_target_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("moons.yaml"), DISCREPANCY).unwrap();
    run("ebm", folder.path(), &["train", "moons.yaml", "--out", "model"], 0);
    let lines = record(&folder.path().join("model"));
    let nll = |line: &Value| line["eval/nll"].as_f64().unwrap();
    // Untrained it is nearly uniform on 32 bits, 22.18 nats.
    let (first, last) = (nll(&lines[0]), nll(lines.last().unwrap()));
    assert!((first - 22.18).abs() < 0.1 && last < first - 0.5, "{first} {last}");
    // The model's own chains come nearer to the data as it learns, and two sets of data are nearer still.
    let of = |name: &str, line: &Value| line[format!("eval/{name}")].as_f64().unwrap();
    let end = lines.last().unwrap();
    assert!(of("mmd2_model", end) < 0.5 * of("mmd2_model", &lines[0]), "{:?} {end:?}", lines[0]);
    assert!(of("mmd2_data", end).abs() < of("mmd2_model", end) && of("nll_std", end) > 0.0, "{end:?}");
    for picture in ["density", "data", "samples", "chains", "loss", "nll"] {
        assert!(folder.path().join(format!("model/plots/{picture}.png")).exists(), "{picture}");
    }

    std::fs::write(folder.path().join("law.yaml"), "target: {type: energy_model, path: model/energy.safetensors}\n")
        .unwrap();
    let x = Tensor::randint(2, [3, 32], (Kind::Int64, Device::Cpu));
    write_tensors(&folder.path().join("x.safetensors"), &[("x", &x)], &Default::default()).unwrap();
    run("discrete", folder.path(), &["eval", "law.yaml", "--points", "x.safetensors", "--out", "v.safetensors"], 0);
    let found = read_tensors(&folder.path().join("v.safetensors")).unwrap();
    assert_eq!(found["log_ratios"].size(), [3, 32, 2]);
}

#[test]
fn uniform_states_teach_a_model_of_averaged_weights() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("moons.yaml"), DISCREPANCY).unwrap();
    let method = "method={type: importance, states: 256}";
    let change = ["train.ema_decay=0.98", "eval.partition_samples=2000", "eval.levels=5", "--out", "model"];
    run("ebm", folder.path(), &[&["train", "moons.yaml", method][..], &change].concat(), 0);
    let lines = record(&folder.path().join("model"));
    let nll = |line: &Value| line["eval/nll"].as_f64().unwrap();
    assert!(nll(lines.last().unwrap()) < nll(&lines[0]) - 0.5, "{:?}", lines.last());

    // The file has the averages, which the figures are of.
    let read = |path: &str| read_tensors(&folder.path().join("model").join(path)).unwrap();
    let (kept, last) = (read("energy.safetensors"), read("checkpoints/step_00000300/weights.safetensors"));
    let average = read("checkpoints/step_00000300/ema.safetensors");
    assert!(kept["0.weight"].equal(&average["energy.0.weight"]) && !kept["0.weight"].equal(&last["energy.0.weight"]));
}

const PROCESS: &str = "data: {type: chains, samples: 200, sweeps: 20, target: {type: ising, size: 2, beta: 0.3}}
energy: {type: quadratic}
method:
  type: process
  warm_up: {updates: 7, method: {type: importance, states: 64}}
  loss: {type: variance, rows: 8}
  net: {type: lemlp, hidden_dim: 8, terms: 2}
  rollout: {type: euler, num_steps: 8, weights: left}
  sampler: {type: euler, num_steps: 8}
  buffer: {walkers: 64, rollouts: 2, every: 4}
  energy_every: 2
  energy_learning_rate: 0.01
  l1: 0.01
eval: {samples: 200, partition_samples: 1000, repeats: 2, levels: 20}
train: {steps: 60, batch: 32, learning_rate: 1.0e-3, ema_decay: 0.9, checkpoint_every: 30, log_every: 1, eval_every: 30}
";

#[test]
fn couplings_are_learned_and_runs_go_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("ising.yaml"), PROCESS).unwrap();
    run("ebm", folder.path(), &["train", "ising.yaml", "--out", "whole"], 0);
    let whole = record(&at("whole"));
    let gain = |line: &Value| line["eval/minus_log_rmse"].as_f64().unwrap();
    assert!(gain(whole.last().unwrap()) > gain(&whole[0]) + 0.2, "{:?} {:?}", whole[0], whole.last());

    run("ebm", folder.path(), &["train", "ising.yaml", "--out", "halves"], 0);
    std::fs::remove_dir_all(at("halves/checkpoints/step_00000060")).unwrap();
    run("ebm", folder.path(), &["train", "ising.yaml", "--out", "halves", "--resume"], 0);
    assert_eq!(record(&at("halves")), whole);
}

#[test]
fn wrong_input_is_answered_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("moons.yaml", DISCREPANCY);
    write("ising.yaml", PROCESS);
    let odd = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
    let tensors = [("0.weight", &odd), ("0.bias", &odd.narrow(0, 0, 1).squeeze_dim(0))];
    write_tensors(&folder.path().join("odd.safetensors"), &tensors, &Default::default()).unwrap();
    write("law.yaml", "target: {type: energy_model, path: odd.safetensors}\n");
    for (config, change, part) in [
        ("moons.yaml", "data.name=suns", "moons"),
        ("moons.yaml", "energy.hidden=[]", "'energy.hidden'"),
        ("moons.yaml", "method.flip=0.7", "'method.flip' must be between 0 and 0.5"),
        ("moons.yaml", "data={type: file, path: nowhere.npz, tensor: x}", "nowhere.npz"),
        ("moons.yaml", "eval.levels=0", "'eval.levels'"),
        ("moons.yaml", "method={type: importance, states: 1}", "'method.states'"),
        ("ising.yaml", "method.warm_up.method={type: energy_discrepancy, flip: 0.7}", "'method.warm_up.method.flip'"),
        ("ising.yaml", "method.loss={type: pinn}", "'method.loss'"),
        ("ising.yaml", "energy={type: mlp}", "'method.l1'"),
        ("ising.yaml", "method.energy_learning_rate=0", "'method.energy_learning_rate'"),
        ("ising.yaml", "data.target.type=potts", "data.target"),
    ] {
        let said = run("ebm", folder.path(), &["train", config, change, "--out", "none"], 2);
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    let points = ["eval", "law.yaml", "--points", "odd.safetensors", "--out", "v.safetensors"];
    let said = run("discrete", folder.path(), &points, 2);
    assert!(said.contains("odd.safetensors") && said.contains("do not continue a perceptron"), "{said}");
    assert!(!folder.path().join("none").exists());
}

#[test]
fn shipped_configs_are_valid_and_say_how_to_run_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("configs/ebm")).unwrap() {
        let path = entry.unwrap().path();
        load::<EbmConfig>(&path, &[]).unwrap().value.validate().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let own = path.strip_prefix(root).unwrap().display().to_string();
        for label in ["# Description:", "# Reference:", "# Expected cost:"] {
            assert!(text.contains(label), "{own}: {label}");
        }
        assert!(text.contains(&format!("# Run as:        ebm train {own}")), "{own}");
        seen += 1;
    }
    assert!(seen > 0);
}
