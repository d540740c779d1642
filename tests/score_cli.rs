//! The `score` binary as a person uses it, and its configs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use assert_cmd::Command;
use sampler::config::load::load;
use sampler::io::tensors::read_tensors;
use sampler::torch::optim::Optimizer;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::score::classifier::{ClassifierObjective, ClassifierTrainConfig};
use sampler::train::score::learn::launch::build;
use sampler::train::score::{LearnConfig, ScoreConfig, digits_study, study};
use serde_json::Value;
use tch::{Device, Kind};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs in the repository, demands the exit status, and returns stderr.
fn score(arguments: &[&str], status: i32) -> String {
    let mut command = Command::cargo_bin("score").unwrap();
    let output = command.current_dir(root()).args(arguments).args(["--device", "cpu"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{text}");
    text
}

fn summary(run: &Path) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap()
}

/// A stored case, through the command line: W2, mean and variance.
#[test]
fn exact_writes_the_law() {
    let stored: Value =
        serde_json::from_slice(&std::fs::read(root().join("tests/fixtures/score/gaussian_w2.json")).unwrap()).unwrap();
    let case = &stored["cases"][6];
    let folder = tempfile::tempdir().unwrap();
    for (scheme, name) in [("EM", "euler"), ("REI", "exponential_randomized_midpoint"), ("SO", "local_linearization")] {
        let out = folder.path().join(scheme);
        let (mean, variance) =
            (format!("target.mean={}", case["mean"]), format!("target.variance={}", case["eigenvalues"]));
        let integrator = format!("integrator.type={name}");
        let config = "configs/score/exact_gaussian.yaml";
        let arguments = ["exact", config, &mean, &variance, "horizon=10", "num_steps=40", &integrator, "--out"];
        score(&[&arguments[..], &[out.to_str().unwrap()]].concat(), 0);

        let found = summary(&out);
        let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-8;
        assert!(close(&found["w2"], &case["W2"][scheme][2]), "{name}: {found:?}");
        for i in 0..2 {
            assert!(close(&found["mean"][i], &case["mean_final"][scheme]["40"][i]), "{name}: {found:?}");
            assert!(close(&found["variance"][i], &case["var_final"][scheme]["40"][i]), "{name}: {found:?}");
        }
    }
}

#[test]
fn sample_writes_samples_and_distances() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let config = "configs/score/mixture_2d.yaml";
    let small = ["sample", config, "sample.n=300", "sample.repeats=2", "num_steps=12", "--out", out.to_str().unwrap()];
    score(&small, 0);
    let x = read_tensors(&out.join("samples.safetensors")).unwrap().remove("x").unwrap();
    assert_eq!((x.size(), x.kind()), (vec![300, 2], Kind::Double));
    let found = summary(&out);
    let figure = |key: &str| found[key].as_f64().unwrap();
    assert!(figure("eval/w2") < 0.5 && figure("eval/w2_floor") > 0.0 && figure("score_calls") == 2.0 * 12.0 * 300.0);
    assert!(out.join("plots/first_coordinate.png").is_file() && out.join("config.yaml").is_file());
}

#[test]
fn study_writes_tables_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [
        "study",
        "configs/score/exact_gaussian.yaml",
        "study.num_steps=[20, 40, 80, 160]",
        "--out",
        out.to_str().unwrap(),
    ];
    score(&arguments, 0);
    let slope = |name: &str| summary(&out)[&format!("slope/{name}")].as_f64().unwrap();
    assert!((slope("euler") - 1.0).abs() < 0.1 && slope("local_linearization") > 1.6);
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(out.join("study.json")).unwrap()).unwrap();
    assert_eq!(rows.len(), 20);
    for name in ["study.md", "study.csv", "plots/w2_against_h.png", "plots/w2_against_score_calls.png"] {
        assert!(out.join(name).is_file(), "{name}");
    }
}

#[test]
fn wrong_input_is_one_line_that_names_the_key() {
    let config = "configs/score/exact_gaussian.yaml";
    let cases: [(&[&str], &str); 9] = [
        (&["exact", config, "integrator.type=eulr"], "euler"),
        (&["exact", config, "target.variance=[-1]"], "target.variance"),
        (&["exact", config, "target.variance=[1, 2]"], "target.variance"),
        (&["exact", config, "num_steps=0"], "num_steps"),
        (&["exact", config, "time_grid.step=0.5"], "time_grid.step"),
        (&["exact", "configs/score/mixture_2d.yaml", "integrator.type=euler"], "target.means"),
        (&["exact", "configs/score/mixture_1d.yaml", "integrator.type=randomized_midpoint"], "integrator.type"),
        (&["study", config, "study.steps=[0.1]"], "study"),
        (&["sample", "configs/score/mixture_2d.yaml", "target.covariances.0=[[1, 2], [2, 1]]"], "target.covariances"),
    ];
    for (arguments, key) in cases {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let text = score(&[arguments, &["--out", out.to_str().unwrap()]].concat(), 2);
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: ") && last.contains(key), "{arguments:?}: {text}");
    }
}

fn configs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().flat_map(|folder| configs(folder)).chain(files).collect()
}

/// Whether data are missing that `make data` brings, and nothing else is wrong.
fn lacks_data(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains(": file not found; it holds ") && text.contains("`make data`")
}

#[test]
fn every_config_says_what_it_is_and_runs() {
    tch::set_num_threads(1);
    let all = configs(&root().join("configs/score"));
    assert!(all.len() >= 8, "{}", all.len());
    let (mut tried, count) = (0, all.len());
    for path in all {
        let text = std::fs::read_to_string(&path).unwrap();
        for label in ["Description", "Reference", "Run as", "Cost"] {
            assert!(text.contains(&format!("# {label}:")), "{}: no {label}", path.display());
        }
        let own = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(text.contains(&own), "{}: 'Run as' names another file", path.display());
        let ran = if own.contains("/train/") { try_training(&path) } else { try_study(&path, &text) };
        match ran {
            Ok(()) => tried += 1,
            Err(error) => assert!(lacks_data(&error), "{own}: {error:#}"),
        }
    }
    assert!(2 * tried >= count, "only {tried} of {count} have their data here");
}

/// Two updates and a last evaluation.
fn try_training(path: &Path) -> Result<()> {
    let overrides =
        |more: &[&str]| [&["train.batch=8"], more].concat().iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let (mut objective, train, seed): (Box<dyn Objective>, _, _) = if path.ends_with("digits_classifier.yaml") {
        let config = load::<ClassifierTrainConfig>(path, &overrides(&[]))?.value;
        config.validate()?;
        (Box::new(ClassifierObjective::build(&config, Device::Cpu)?), config.train, config.seed)
    } else {
        let small = ["eval.points=20", "eval.samples=10", "eval.num_steps=3"];
        let config = load::<LearnConfig>(path, &overrides(&small))?.value;
        config.validate()?;
        (Box::new(build(&config, Device::Cpu)?), config.train, config.seed)
    };
    let mut optimizer = Optimizer::new(train.optimizer, objective.groups(&train));
    for step in 0..2 {
        reseed(seed, Stream::Train, step);
        optimizer.zero_grad();
        objective.accumulate()?;
        anyhow::ensure!(!optimizer.step(train.schedule.factor(step, train.steps), train.clip_norm).skipped);
    }
    let scalars = objective.evaluate(true)?.scalars;
    anyhow::ensure!(!scalars.is_empty() && scalars.iter().all(|(_, value)| value.is_finite()), "{scalars:?}");
    Ok(())
}

/// The study on few samples and three grids, or one of four steps for images.
fn try_study(path: &Path, text: &str) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let (monte_carlo, lengths, images) =
        (text.contains("score_samples"), text.contains("  steps:"), text.contains("data:"));
    let grids = if images { "study.num_steps=[4]" } else { "study.num_steps=[20, 24, 30]" };
    let grids = if lengths { "study.steps=[2.5, 3.0, 5.0]" } else { grids };
    let mut overrides = ["sample.n=20", "sample.repeats=2", grids].map(String::from).to_vec();
    overrides.extend(monte_carlo.then(|| "target.score_samples=20".to_string()));
    let config = load::<ScoreConfig>(path, &overrides)?.value;
    config.validate()?;
    let options = (Kind::Double, Device::Cpu);
    let finite = if config.data.is_some() {
        digits_study::study(&config, options, &mut |_| ())?.rows.iter().all(|row| row.figures.mmd.mean.is_finite())
    } else {
        let study = study::study(&config, options, &mut |_| ())?;
        study.tracks.iter().all(|track| track.rows.iter().all(|row| row.w2.mean.is_finite()))
    };
    anyhow::ensure!(finite, "a figure is not finite");
    Ok(())
}
