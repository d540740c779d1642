//! Learning scores: that a network comes close to the exact score, and the verbs of `score` that train and use networks.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::samplers::score::ScoreModel;
use sampler::samplers::score::models::{GaussianConfig, GaussianScore};
use sampler::torch::optim::Optimizer;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::score::LearnConfig;
use sampler::train::score::learn::evaluate::relative_error;
use sampler::train::score::learn::launch::build;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const EXACT: (Kind, Device) = (Kind::Double, Device::Cpu);

#[test]
fn a_network_learns_the_score_of_a_gaussian() {
    tch::set_num_threads(1);
    let law = json!({"type": "gaussian", "mean": [0.5, -1.0], "variance": [0.3, 1.5]});
    let config: LearnConfig = serde_json::from_value(json!({
        "target": law, "horizon": 4.0, "seed": 1,
        "denoiser": {"body": {"type": "mlp", "width": 32, "blocks": 2}},
        "train": {"steps": 600, "batch": 256, "learning_rate": 5e-3, "optimizer": {"type": "adam"}},
    }))
    .unwrap();
    let mut objective = build(&config, Device::Cpu).unwrap();
    let gaussian: GaussianConfig =
        serde_json::from_value(json!({"mean": [0.5, -1.0], "variance": [0.3, 1.5]})).unwrap();
    let exact = GaussianScore::new(&gaussian, EXACT).unwrap();
    let errors = |model: &dyn ScoreModel| {
        let _no_grad = tch::no_grad_guard();
        reseed(9, Stream::Data, 0);
        let data = exact.sample(2000).unwrap();
        [0.1, 0.5, 2.0].map(|t| relative_error(model, &exact, &data, t))
    };

    // Untrained, the network gives the score of N(0, σ_d²): wrong by the data's mean and variances.
    let before = errors(&objective.model);
    let mut optimizer = Optimizer::new(config.train.optimizer, objective.groups(&config.train));
    for step in 0..config.train.steps {
        reseed(config.seed, Stream::Train, step);
        optimizer.zero_grad();
        objective.accumulate().unwrap();
        optimizer.step(config.train.schedule.factor(step, config.train.steps), config.train.clip_norm);
    }
    let after = errors(&objective.model);
    for i in 0..3 {
        assert!(after[i] < 0.01 && after[i] < 0.1 * before[i], "before {before:?}, after {after:?}");
    }
}

/// A folder with configs, and the `score` binary run in it.
struct Sandbox(tempfile::TempDir);

const MLP: &str = "\
target: {type: gaussian, mean: [0.5, -1.0], variance: [0.3, 1.5]}
denoiser: {body: {type: mlp, width: 8, blocks: 1}}
horizon: 4.0
train: {steps: 20, batch: 16, learning_rate: 1.0e-3, schedule: {type: constant}, ema_decay: 0.9, log_every: 1,
        eval_every: 5, checkpoint_every: 5}
eval: {points: 50, samples: 20, num_steps: 4}
";

const UNET: &str = "\
data: {file: images.safetensors, held_out: 0.4, classifier: null}
denoiser: {body: {type: unet, channels: [4, 8], patch: 1, blocks: 1, embedding: 8, groups: 2}, sigma_data: 0.5, classes: 2}
horizon: 4.0
train: {steps: 3, batch: 8, learning_rate: 1.0e-3, eval_every: 2}
eval: {points: 10, samples: 10, num_steps: 3}
";

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mlp.yaml"), MLP).unwrap();
        fs::write(folder.path().join("unet.yaml"), UNET).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a verb, demands the exit status, and returns stdout and stderr.
    fn score(&self, arguments: &[&str], status: i32) -> (String, String) {
        let mut command = Command::cargo_bin("score").unwrap();
        command.current_dir(self.0.path()).args(arguments).env("OMP_NUM_THREADS", "1");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{err}");
        (out, err)
    }

    /// The line of an error that ends a verb with status 2.
    fn complaint(&self, arguments: &[&str]) -> String {
        let (_, err) = self.score(arguments, 2);
        let last = err.lines().last().unwrap_or_default().to_string();
        assert!(last.starts_with("error: "), "{arguments:?}: {err}");
        last
    }

    fn summary(&self, run: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(run).join("summary.json")).unwrap()).unwrap()
    }

    /// Images whose left half is bright, or whose right half is: a class each.
    fn write_images(&self) {
        reseed(0, Stream::Data, 5);
        let noise = Tensor::rand([50, 8, 8], EXACT) * 60.0;
        let labels = Tensor::arange(50, (Kind::Int64, Device::Cpu)).remainder(2);
        let columns = Tensor::arange(8, (Kind::Int64, Device::Cpu)).ge(4).to_kind(Kind::Int64);
        let bright = labels.view([50, 1, 1]).eq_tensor(&columns.view([1, 1, 8])).to_kind(Kind::Double);
        let x = (noise + bright * 195.0).to_kind(Kind::Uint8);
        write_tensors(&self.path("images.safetensors"), &[("x", &x), ("y", &labels)], &Default::default()).unwrap();
    }
}

/// All but the clocks of the lines of `metrics.jsonl`.
fn record(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let map = value.as_object_mut().unwrap();
        for clock in ["wall_s", "train/steps_per_s"] {
            map.shift_remove(clock);
        }
        value
    };
    text.lines().map(line).collect()
}

#[test]
fn training_resumes_bit_for_bit_and_its_weights_serve_the_other_verbs() {
    let sandbox = Sandbox::new();
    let train = ["train", "mlp.yaml", "--device", "cpu", "--threads", "1", "--out"];
    sandbox.score(&[&train[..], &["whole"]].concat(), 0);
    sandbox.score(&[&train[..], &["parts", "train.steps=7"]].concat(), 0);
    sandbox.score(&[&train[..], &["parts", "--resume"]].concat(), 0);
    let bytes = |run: &str| fs::read(sandbox.path(run).join("score.safetensors")).unwrap();
    assert!(bytes("whole") == bytes("parts"));
    // The shorter run measured itself at its own end, too.
    let parts: Vec<Value> = record(&sandbox.path("parts"));
    let whole = record(&sandbox.path("whole"));
    assert_eq!(parts.len(), whole.len());
    for (part, line) in parts.iter().zip(&whole).filter(|(_, line)| line["step"] != 7) {
        assert_eq!(part, line);
    }
    let figures = sandbox.summary("whole");
    assert!(figures["eval/score_error"].as_f64().unwrap() > 0.0 && figures["network_calls"] == 320);

    let config = "target: {type: gaussian, mean: [0.5, -1.0], variance: [0.3, 1.5]}\nhorizon: 4.0\nnum_steps: 5\n\
                  model: {type: learned, weights: whole/score.safetensors}\nsample: {n: 20, repeats: 2}\n\
                  study: {integrators: [{type: euler}, {type: local_linearization}, {type: heun}, {type: randomized_midpoint},\
                  {type: local_linearization, route: series, terms: 2}], num_steps: [5, 6, 8], measure: samples}\n";
    fs::write(sandbox.path("use.yaml"), config).unwrap();
    sandbox.score(&["sample", "use.yaml", "--out", "drawn", "--device", "cpu"], 0);
    let x = read_tensors(&sandbox.path("drawn/samples.safetensors")).unwrap().remove("x").unwrap();
    assert_eq!((x.size(), x.kind()), (vec![20, 2], Kind::Double));
    assert!(bool::try_from(x.isfinite().all()).unwrap());
    sandbox.score(&["study", "use.yaml", "--out", "study", "--device", "cpu"], 0);
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(sandbox.path("study/study.json")).unwrap()).unwrap();
    assert!(rows.len() == 15 && rows.iter().all(|row| row["w2"].is_f64() && row["wall_s"].as_f64().unwrap() > 0.0));

    let cases: [(&[&str], &str); 7] = [
        (&["sample", "use.yaml", "horizon=5"], "'horizon' is 5"),
        (&["sample", "use.yaml", "target.mean=[0, 0, 0]", "target.variance=1"], "'model.weights' are of 2 coordinates"),
        (&["sample", "use.yaml", "model.weights=none.safetensors"], "none.safetensors"),
        (&["sample", "use.yaml", "model.weights=drawn/samples.safetensors"], "no metadata 'denoiser'"),
        (&["exact", "use.yaml"], "'model' must be exact"),
        (&["study", "use.yaml", "study.measure=images"], "'study.measure'"),
        (&["study", "use.yaml", "study.measure=moments"], "'study.measure'"),
    ];
    for (arguments, part) in cases {
        let line = sandbox.complaint(&[arguments, &["--out", "refused", "--device", "cpu"]].concat());
        assert!(line.contains(part), "{arguments:?}: {line}");
        assert!(!sandbox.path("refused/summary.json").exists() || arguments[0] == "exact", "{arguments:?}");
    }
}

#[test]
fn images_are_learned_drawn_and_compared() {
    let sandbox = Sandbox::new();
    let missing = sandbox.complaint(&["train", "unet.yaml", "--out", "run", "--device", "cpu"]);
    assert!(missing.contains("images.safetensors: file not found; it holds images") && missing.contains("make data"));
    sandbox.write_images();
    sandbox.score(&["train", "unet.yaml", "--out", "run", "--device", "cpu"], 0);
    assert!(sandbox.path("run/plots/samples.png").is_file());
    let classes = sandbox.complaint(&["train", "unet.yaml", "denoiser.classes=1", "--out", "no", "--device", "cpu"]);
    assert!(classes.contains("'denoiser.classes' is 1, but the data have 2"), "{classes}");
    let shape = sandbox.complaint(&["train", "unet.yaml", "denoiser.body.patch=3", "--out", "no", "--device", "cpu"]);
    assert!(shape.contains("'denoiser.shape'") && shape.contains("multiples of 6"), "{shape}");

    let classifier = "data: {file: images.safetensors, held_out: 0.4}\nclassifier: {channels: [4, 4], features: 4}\n\
                      train: {steps: 60, batch: 16, learning_rate: 1.0e-2, optimizer: {type: adam}}\n";
    fs::write(sandbox.path("classifier.yaml"), classifier).unwrap();
    sandbox.score(&["classifier", "classifier.yaml", "--out", "seen", "--device", "cpu"], 0);
    // Halves are told apart with ease.
    assert_eq!(sandbox.summary("seen")["eval/accuracy"], 1.0);

    let config = "data: {file: images.safetensors, held_out: 0.4, classifier: seen/classifier.safetensors}\nhorizon: 2.0\n\
                  num_steps: 4\nmodel: {type: learned, weights: run/score.safetensors}\nsample: {n: 10, repeats: 2}\n\
                  study: {integrators: [{type: euler}, {type: local_linearization, route: series, terms: 1}],\
                  num_steps: [4], measure: images}\n";
    fs::write(sandbox.path("use.yaml"), config).unwrap();
    sandbox.score(&["sample", "use.yaml", "--out", "drawn", "--device", "cpu"], 0);
    let found = sandbox.summary("drawn");
    for key in ["eval/mmd", "eval/mmd_floor", "eval/frechet", "eval/frechet_error", "eval/accuracy", "sample_wall_s"] {
        assert!(found[key].as_f64().is_some_and(f64::is_finite), "{key}: {found}");
    }
    assert_eq!((&found["eval/accuracy_floor"], &found["score_calls"]), (&json!(1.0), &json!(40.0)));
    // Two updates teach nothing: such samples must lie much further away than real images do.
    assert!(found["eval/mmd"].as_f64() > found["eval/mmd_floor"].as_f64(), "{found}");
    sandbox.score(&["study", "use.yaml", "--out", "study", "--device", "cpu"], 0);
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(sandbox.path("study/study.json")).unwrap()).unwrap();
    assert_eq!((rows.len(), &rows[1]["hvp_calls"], &rows[1]["score_calls"]), (2, &json!(4), &json!(4)));
    assert!(sandbox.path("study/plots/overview.png").is_file() && sandbox.path("study/study.csv").is_file());

    let many = sandbox.complaint(&["sample", "use.yaml", "sample.repeats=3", "--out", "many", "--device", "cpu"]);
    assert!(many.contains("'sample.n' times 'sample.repeats' asks for 30 images, but 20 are held out"), "{many}");
    let whole = ["study.integrators=[{type: local_linearization}]", "sample.n=100000"];
    let whole = sandbox.complaint(&["study", "use.yaml", whole[0], whole[1], "--out", "whole", "--device", "cpu"]);
    assert!(whole.contains("'study.integrators.0.route' must be series"), "{whole}");
}

#[test]
fn bench_prints_rows_of_cost() {
    let sandbox = Sandbox::new();
    let (out, _) = sandbox.score(&["bench", "--json", "--particles", "2", "--repeats", "1"], 0);
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    let calls = |name: &str| {
        let row = rows.iter().find(|row| row["integrator"] == name).unwrap();
        (row["score_calls"].as_u64().unwrap(), row["hvp_calls"].as_u64().unwrap())
    };
    assert_eq!((calls("euler"), calls("local_linearization_series3"), calls("heun")), ((1, 0), (1, 3), (2, 0)));
    assert!(rows.iter().all(|row| row["ms_per_step"].as_f64().unwrap() > 0.0) && rows[0]["ratio"] == 1.0);
}
