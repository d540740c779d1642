//! The `density` binary as a person uses it, and the configs it comes with.

mod all_targets;

use std::path::{Path, PathBuf};

use all_targets::{configured, fixture, fixture_path, names, relative_error};
use assert_cmd::Command;
use sampler::config::load::load;
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::targets::TargetConfig;
use sampler::train::discrete::DiscreteConfig;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    target: TargetConfig,
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/density").join(format!("{name}.yaml"))
}

fn density(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("density").unwrap();
    command.args(arguments);
    command
}

/// Runs, demands the exit status, and returns stdout and stderr.
fn run(arguments: &[&str], status: i32) -> (String, String) {
    let output = density(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    if status != 0 {
        assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    }
    (out, err)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn there_is_a_config_for_every_density_and_a_density_for_every_config() {
    let mut expected = names();
    expected.sort();
    let folder = config("gaussian").parent().unwrap().to_path_buf();
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into())
        // Discrete laws have tests of their own.
        .filter(|name: &String| DiscreteConfig::load_if_discrete(&config(name), &[]).unwrap().is_none())
        .collect();
    found.sort();
    assert_eq!(found, expected);

    for name in found {
        let text = std::fs::read_to_string(config(&name)).unwrap();
        for label in ["# Description: ", "# Reference:   ", "# Run as:      density "] {
            assert!(text.contains(label), "{name}: no '{label}'");
        }
        load::<Config>(&config(&name), &[]).unwrap();
    }
}

#[test]
fn configs_say_what_the_tests_test() {
    for (name, expected) in configured() {
        let loaded = load::<Config>(&config(name), &[]).unwrap().value.target;
        let expected: TargetConfig = serde_json::from_value(expected).unwrap();
        assert_eq!(serde_json::to_value(loaded).unwrap(), serde_json::to_value(expected).unwrap(), "{name}");
    }
}

#[test]
fn eval_writes_values_in_the_precision_of_the_points() {
    let folder = tempfile::tempdir().unwrap();
    let (points, out) = (folder.path().join("points.safetensors"), folder.path().join("out.safetensors"));
    for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
        let file = fixture("gmm40_d50");
        write_tensors(&points, &[("x", &file["x"].to_kind(kind))], &Default::default()).unwrap();
        run(&["eval", path(&config("gmm40_d50")), "--points", path(&points), "--out", path(&out)], 0);

        let found = read_tensors(&out).unwrap();
        assert_eq!((found["log_prob"].kind(), found["score"].kind()), (kind, kind));
        assert!(relative_error(&found["log_prob"], &file["log_prob"]) < tolerance);
        assert!(relative_error(&found["score"], &file["grad"]) < tolerance);
    }
}

#[test]
fn samples_are_repeatable_and_follow_overrides() {
    let folder = tempfile::tempdir().unwrap();
    let draw = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let funnel = config("funnel_d10");
        run(&[&["sample", path(&funnel), "--n", "50", "--out", path(&out)], more].concat(), 0);
        read_tensors(&out).unwrap().remove("x").unwrap()
    };
    let first = draw("a", &[]);
    assert_eq!((first.size(), first.kind()), (vec![50, 10], Kind::Double));
    assert!(first.equal(&draw("b", &[])) && !first.equal(&draw("c", &["--seed", "1"])));
    let small = draw("d", &["target.dim=3", "--precision", "f32"]);
    assert_eq!((small.size(), small.kind()), (vec![50, 3], Kind::Float));
}

#[test]
fn check_passes_on_a_sound_score_and_fails_below_what_differences_can_show() {
    let (out, _) = run(&["check", path(&config("lj13_dem"))], 0);
    assert!(out.contains("largest relative error"), "{out}");
    let (_, err) = run(&["check", path(&config("lj13_dem")), "--tolerance", "1e-30"], 1);
    assert!(err.contains("not the gradient"), "{err}");
}

#[test]
fn list_shows_every_config() {
    let folder = config("gaussian").parent().unwrap().to_path_buf();
    let (out, _) = run(&["list", path(&folder)], 0);
    for name in names() {
        assert!(out.lines().any(|line| line.split_whitespace().next() == Some(name)), "{name} is not in\n{out}");
    }
    assert!(out.contains("42.817243"), "{out}");
}

#[test]
fn dry_run_prints_the_resolved_config() {
    let (out, _) = run(&["sample", path(&config("gmm40_d2")), "target.dim=4", "--out", "unused", "--dry-run"], 0);
    assert!(out.contains("dim: 4") && out.contains("components: 40"), "{out}");
    assert!(!Path::new("unused").exists());
}

#[test]
fn wrong_input_is_answered_in_one_line_with_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (flat, whole, cut, out) = (at("flat.safetensors"), at("whole.safetensors"), at("cut.safetensors"), at("out"));
    let ints = Tensor::zeros([3, 10], (Kind::Int64, tch::Device::Cpu));
    write_tensors(&flat, &[("x", &Tensor::from_slice(&[0.0, 1.0])), ("y", &ints)], &Default::default()).unwrap();
    write_tensors(&whole, &[("x", &ints)], &Default::default()).unwrap();
    std::fs::write(&cut, &std::fs::read(fixture_path("funnel_d10")).unwrap()[..700]).unwrap();

    let funnel = config("funnel_d10");
    let eval = |points: &Path, more: &[&str]| {
        let base = ["eval", path(&funnel), "--points", path(points), "--out", path(&out)];
        run(&[&base, more].concat(), 2).1
    };
    let complaints = [
        (eval(&flat, &[]), "needs [N, 10]"),
        (eval(&whole, &[]), "expected Float or Double"),
        (eval(&cut, &[]), "cut.safetensors"),
        (eval(&at("none"), &[]), "no such file"),
        (eval(&fixture_path("mos10_d50_params"), &[]), "no tensor 'x'"),
        (eval(&fixture_path("funnel_d10"), &["target.dim=1"]), "target.dim"),
        (eval(&fixture_path("funnel_d10"), &["target.dims=3"]), "target.dims"),
        (eval(&fixture_path("funnel_d10"), &["--device", "tpu"]), "auto, cpu, cuda"),
        (run(&["sample", path(&config("dw4_d8")), "--out", path(&out)], 2).1, "no exact sampler"),
        (run(&["sample", path(&funnel), "--n", "0", "--out", path(&out)], 2).1, "--n"),
        (run(&["check", path(&config("sonar_d61")), "target.data=nowhere.csv"], 2).1, "make data"),
        (run(&["list", path(&at("nowhere"))], 2).1, "nowhere"),
    ];
    for (line, part) in complaints {
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
    assert!(!out.exists(), "something was written");
}
