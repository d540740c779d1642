//! Training discrete samplers from the command line: resume to the bit, sampling, and what is refused.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use sampler::io::tensors::read_tensors;
use sampler::train::Objective;
use sampler::train::discrete::{DiscreteConfig, build};
use serde_json::Value;
use tch::{Device, Kind};

struct Sandbox(tempfile::TempDir);

const CONFIG: &str = "target: {type: ising, size: 2, beta: 0.3}
net: {type: letf, hidden_dim: 8, head_dim: 4, num_blocks: 1}
rollout: {type: euler, num_steps: 6, weights: left}
sampler: {type: euler, num_steps: 8}
buffer: {walkers: 16, rollouts: 2, every: 5}
ladder:
- {step: 0, beta: 0.1, learning_rate: 2.0e-3}
- {step: 8, beta: 0.3, learning_rate: 1.0e-3}
train: {steps: 20, batch: 16, learning_rate: 1.0e-3, schedule: {type: warmup, steps: 4}, ema_decay: 0.9, log_every: 1,
  checkpoint_every: 6, clip_norm: 500}
eval: {samples: 64, repeats: 2}
";

impl Sandbox {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.yaml"), config).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_discrete"));
        command.current_dir(self.0.path()).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The one line with which wrong input is refused.
    fn refuse(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    }

    /// Weights, and figures without clocks.
    fn record(&self, run: &str) -> (Vec<u8>, Vec<Value>) {
        let weights = fs::read(self.path(run).join("checkpoints/step_00000020/weights.safetensors")).unwrap();
        let lines = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().retain(|tag, _| tag != "wall_s" && tag != "train/steps_per_s");
            value
        };
        (weights, lines.lines().map(line).collect())
    }
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_to_the_bit() {
    for loss in ["kolmogorov", "variance", "pinn"] {
        let keys = match loss {
            "variance" => "loss: {type: variance, rows: 4}\n",
            "pinn" => "loss: {type: pinn, hidden: [6, 6]}\n",
            _ => "",
        };
        let sandbox = Sandbox::new(&format!("{CONFIG}{keys}"));
        sandbox.succeed(&["train", "run.yaml", "--threads", "1", "--out", "whole"]);
        sandbox.succeed(&["train", "run.yaml", "--threads", "1", "--out", "parts"]);
        // As if killed after the checkpoint at 12, in the middle between two rollouts and past a rung.
        for gone in ["step_00000018", "step_00000020"] {
            let folder = sandbox.path("parts").join("checkpoints").join(gone);
            if folder.exists() {
                fs::remove_dir_all(folder).unwrap();
            }
        }
        sandbox.succeed(&["train", "run.yaml", "--threads", "1", "--out", "parts", "--resume"]);
        assert!(sandbox.record("whole") == sandbox.record("parts"), "{loss}");
    }
}

#[test]
fn a_trained_run_samples_and_is_measured_again() {
    let sandbox = Sandbox::new(CONFIG);
    sandbox.succeed(&["train", "run.yaml", "--threads", "1", "--out", "run"]);
    sandbox.succeed(&["sample", "run", "--n", "100", "--out", "samples.safetensors"]);
    let drawn = read_tensors(&sandbox.path("samples.safetensors")).unwrap();
    assert_eq!((drawn["x"].size(), drawn["log_weight"].size()), (vec![100, 4], vec![100]));
    assert_eq!(drawn["x"].abs().min().int64_value(&[]), 1);

    let output = sandbox.run(&["eval-model", "run"]);
    let table = String::from_utf8_lossy(&output.stderr).to_string() + &String::from_utf8_lossy(&output.stdout);
    let summary: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("run/summary.json")).unwrap()).unwrap();
    let ess = summary["eval/ess"].as_f64().unwrap();
    let row = table.lines().find(|line| line.split_whitespace().next() == Some("eval/ess")).unwrap();
    let again: f64 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((again / ess - 1.0).abs() < 1e-6, "{again} {ess}");
    for name in ["samples", "magnetisation", "two_point", "rates", "ess", "log_z", "loss"] {
        assert!(sandbox.path("run/plots").join(format!("{name}.png")).exists(), "{name}");
    }
    let chains = ["mcmc.sweeps=400", "mcmc.burn_in=10", "mcmc.samples=50", "eval.mmd=true"];
    let exact = ["eval-model", "run", "sampler.type=uniformised", "sampler.weights=path"];
    let output = sandbox.run(&[&exact[..], &chains].concat());
    let said = String::from_utf8_lossy(&output.stdout).to_string() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("eval/mmd2"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let sandbox = Sandbox::new(CONFIG);
    let cases: [(&[&str], &[&str]); 8] = [
        (&["train", "run.yaml", "net.head_dim=3"], &["run.yaml", "'net.hidden_dim'", "multiple of 3"]),
        (&["train", "run.yaml", "rollout.weights=midpoint"], &["'rollout'", "midpoint"]),
        (&["train", "run.yaml", "ladder.1.beta=0.2"], &["'ladder.1.beta'", "0.3", "0.2"]),
        (&["train", "run.yaml", "ladder.0.step=8"], &["'ladder.0.step'", "'ladder.1.step'"]),
        (&["train", "run.yaml", "train=null"], &["run.yaml", "no 'train:' section"]),
        (&["train", "run.yaml", "sampler.type=uniformised", "sampler.weights=left"], &["'sampler.weights'", "path"]),
        (&["train", "run.yaml", "buffer.walker=3"], &["walker", "did you mean", "walkers"]),
        (&["sample", "nowhere", "--out", "x.safetensors"], &["nowhere"]),
    ];
    for (arguments, parts) in cases {
        let text = sandbox.refuse(arguments);
        assert!(parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
    }
    assert!(!sandbox.path("runs").exists(), "a refusal left a folder");
}

#[test]
fn every_config_with_a_train_section_makes_two_updates() {
    tch::set_num_threads(1);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/discrete");
    let short = [
        "train.batch=16",
        "buffer.walkers=8",
        "rollout.type=euler",
        "rollout.num_steps=3",
        "eval.samples=8",
        "eval.repeats=1",
    ];
    let mut tried = 0;
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains("discrete train ") {
            continue;
        }
        let config = DiscreteConfig::load(&path, &short.map(String::from)).unwrap().value;
        config.training().unwrap();
        match config.target.build((Kind::Double, Device::Cpu)) {
            Err(error) => assert!(format!("{error:#}").contains("not there"), "{}: {error:#}", path.display()),
            Ok(_) => {
                let mut objective = build(&config, Device::Cpu).unwrap();
                for _ in 0..2 {
                    let (tag, loss) = objective.accumulate().unwrap()[0];
                    assert!(loss.is_finite(), "{}: {tag} is {loss}", path.display());
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 5, "only {tried} configs");
}
