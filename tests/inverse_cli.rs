//! The `inverse` binary as a person uses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use sampler::io::tensors::{read_tensors, write_tensors};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs in the repository, demands the exit status, and returns stderr.
fn inverse(arguments: &[&str], status: i32) -> String {
    let mut command = Command::cargo_bin("inverse").unwrap();
    let output = command.current_dir(root()).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{text}");
    text
}

fn json(path: &Path) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A run folder, and the arguments that name it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    (folder, out)
}

/// Numbers of one's own: lists on the command line, by hand on paper.
#[test]
fn exact_takes_lists_and_writes_figures_and_arrays() {
    let (_keep, out) = folder();
    let config = "configs/inverse/given.yaml";
    let arguments = [
        "exact",
        config,
        "problem.basis.modes=2",
        "problem.covariance.values=[1.0, 0.25]",
        "problem.operator.values=[2.0, 0.0]",
        "problem.sigma=0.5",
        "problem.data.y=[0.75, 9.0]",
        "score={tau: 0}",
        "sampler.preconditioner.values=[0.1, 0.25]",
        "sampler.step=0.5",
        "--out",
        out.to_str().unwrap(),
    ];
    inverse(&arguments, 0);
    // a = 16 and 0, b = 6 and 0; v = 1/17 and 1/4; rates 0.1 (1 + 16) and 1; factors 1/(1 - 0.25 * 1.7) and 4/3.
    let found = json(&out.join("exact.json"));
    let expected = [
        ("posterior_mean", [6.0 / 17.0, 0.0]),
        ("posterior_variance", [1.0 / 17.0, 0.25]),
        ("rate", [1.7, 1.0]),
        ("euler_factor", [1.0 / 0.575, 4.0 / 3.0]),
        ("step_limit", [2.0 / 1.7, 2.0]),
        ("lambda_optimal", [1.0 / 17.0, 0.25]),
    ];
    for (key, values) in expected {
        for (i, value) in values.iter().enumerate() {
            let gap = (found[key][i].as_f64().unwrap() - value).abs();
            assert!(gap < 1e-14, "{key}: {}", found[key]);
        }
    }
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["status"], "done");
    assert!((summary["rate_max"].as_f64().unwrap() - 1.7).abs() < 1e-14);
    assert_eq!(read_tensors(&out.join("exact.safetensors")).unwrap()["rate"].size(), [2]);
}

/// The stored chain of the heat equation, through the command line.
#[test]
fn a_noise_file_gives_a_trajectory() {
    let (_keep, out) = folder();
    let npz = "tests/fixtures/inverse/langevin.npz";
    let given = |key: &str, name: &str| format!("{key}={{file: {npz}, key: {name}}}");
    let arguments = [
        "sample".to_string(),
        "configs/inverse/heat.yaml".to_string(),
        given("problem.data.truth", "heat.g_true"),
        given("problem.data.y", "heat.y"),
        given("score.eps_a", "heat.eps_a"),
        "sampler.chains=1".to_string(),
        format!("sampler.noise={{file: {npz}, key: heat.chain.Z}}"),
        "--out".to_string(),
        out.display().to_string(),
    ];
    inverse(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    let found = read_tensors(&out.join("samples.safetensors")).unwrap()["trajectory"].view([51, 225]);
    let expected = read_tensors(&root().join(npz)).unwrap()["heat.chain.traj"].view([51, 225]);
    let gap = ((found - &expected).abs() / expected.abs().clamp_min(f64::MIN_POSITIVE)).max().double_value(&[]);
    assert!(gap < 1e-9, "{gap:e}");
}

#[test]
fn sample_writes_moments_pictures_and_exact_arrays() {
    let (_keep, out) = folder();
    let config = "configs/inverse/brownian_quick.yaml";
    inverse(
        &["sample", config, "problem.basis.modes=10", "problem.operator.observed=5", "--out", out.to_str().unwrap()],
        0,
    );
    let samples = read_tensors(&out.join("samples.safetensors")).unwrap();
    assert_eq!(samples["x"].size(), [16, 100]);
    assert_eq!((samples["mean"].size(), samples["x"].kind()), (vec![100], Kind::Double));
    let ratio = json(&out.join("summary.json"))["variance_ratio"].as_f64().unwrap();
    assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    for picture in ["function", "modes", "error", "autocorrelation", "kl"] {
        assert!(out.join("plots").join(format!("{picture}.png")).exists(), "{picture}");
    }
    assert!(out.join("exact.safetensors").exists());
}

/// A run under one seed repeats, whatever the number of threads.
#[test]
fn runs_repeat() {
    let run = |threads: &str| {
        let (_keep, out) = folder();
        let config = "configs/inverse/brownian_quick.yaml";
        let arguments = [
            "sample",
            config,
            "sampler.iterations=60",
            "sampler.burn_in=10",
            "--threads",
            threads,
            "--seed",
            "5",
            "--out",
        ];
        inverse(&[&arguments[..], &[out.to_str().unwrap()]].concat(), 0);
        let mut samples = read_tensors(&out.join("samples.safetensors")).unwrap();
        samples.remove("x").unwrap()
    };
    assert!(run("1").equal(&run("2")));
}

#[test]
fn study_and_bench_write_their_tables() {
    let (_keep, out) = folder();
    let config = "configs/inverse/resolution.yaml";
    inverse(&["study", config, "study.modes=[4, 8]", "study.most_iterations=5000", "--out", out.to_str().unwrap()], 0);
    let rows: Value = serde_json::from_slice(&std::fs::read(out.join("study.json")).unwrap()).unwrap();
    let of = |name: &str, modes: u64, key: &str| {
        let own = |row: &&Value| row["preconditioner"] == name && row["modes"] == modes;
        rows.as_array().unwrap().iter().find(own).unwrap()[key].as_f64()
    };
    for name in ["prior", "optimal", "first_order"] {
        let growth = of(name, 8, "iterations").unwrap() / of(name, 4, "iterations").unwrap();
        assert!(growth < 1.5, "{name}: {growth}");
        let (exact, measured) = (of(name, 8, "iterations").unwrap(), of(name, 8, "measured").unwrap());
        assert!((measured / exact - 1.0).abs() < 0.3, "{name}: {measured} iterations, expected {exact}");
    }
    assert!(of("identity", 8, "rate_max").unwrap() > 8.0 * of("identity", 4, "rate_max").unwrap());
    assert!(out.join("study.md").exists() && out.join("plots/iterations.png").exists());

    let mut command = Command::cargo_bin("inverse").unwrap();
    let arguments = ["bench", "--modes", "8", "--chains", "2", "--iterations", "50", "--json"];
    let output = command.args(arguments).output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&rows[0]["modes"], &rows[0]["chains"]), (&Value::from(64), &Value::from(2)));
    assert!(rows[0]["cpu_s"].as_f64().unwrap() >= 0.0);
}

/// A short training moves the score towards the exact one, and its weights serve a later run.
#[test]
fn a_score_is_learned_and_used() {
    let (_keep, out) = folder();
    let config = "configs/inverse/learned.yaml";
    let short = ["learned.batch=256", "learned.draws=4000", "sampler.iterations=20", "sampler.burn_in=0", "--out"];
    let error = |steps: &str, name: &str| {
        let at = out.with_file_name(name);
        let steps = format!("learned.steps={steps}");
        inverse(&[&["train", config, &steps][..], &short[..], &[at.to_str().unwrap()]].concat(), 0);
        json(&at.join("summary.json"))["eval/score_error"].as_f64().unwrap()
    };
    let (before, after) = (error("0", "before"), error("300", "after"));
    assert!(after < 0.8 * before, "{before} to {after}");

    let weights = format!("learned.weights={}", out.with_file_name("after").join("weights.safetensors").display());
    let used = out.with_file_name("used");
    inverse(&[&["sample", config, &weights][..], &short[2..], &[used.to_str().unwrap()]].concat(), 0);
    let last = |folder: &Path| read_tensors(&folder.join("samples.safetensors")).unwrap().remove("x").unwrap();
    assert!(last(&used).equal(&last(&out.with_file_name("after"))));
}

#[test]
fn wrong_input_is_one_line_and_leaves_no_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let noise = scratch.path().join("noise.safetensors");
    let z = Tensor::zeros([5, 7], (Kind::Double, Device::Cpu));
    write_tensors(&noise, &[("z", &z)], &Default::default()).unwrap();
    let noise = format!("sampler.noise={{file: {}}}", noise.display());
    let toy = "configs/inverse/toy.yaml";
    let cases: [(&[&str], &[&str]); 12] = [
        (
            &["sample", toy, "sampler.step=0.1"],
            &["'sampler.step'", "unstable for", "largest stable step", "allow_unstable"],
        ),
        (&["sample", toy, "problem.sigma=0"], &["'problem.sigma'", "larger than 0"]),
        (&["exact", toy, "problem.data.y=[1, 2]"], &["'problem.data.y'", "a list of 100, found a list of 2"]),
        (&["exact", toy, "problem.operator.rates=1"], &["unknown key", "rate"]),
        (&["exact", toy, "score.eps_a={file: none.npz, key: e}"], &["none.npz"]),
        (
            &["exact", toy, "problem.covariance={type: heat_kernel, smoothing: 900}"],
            &["'problem.covariance'", "fewer modes"],
        ),
        (&["exact", toy, "problem.operator={type: deconvolution, width: 0.1}"], &["fourier"]),
        (&["exact", "configs/inverse/deconvolution.yaml", "problem.basis.size=64"], &["no exact law", "2500"]),
        (&["sample", "configs/inverse/learned.yaml"], &["inverse train", "learned.weights=FILE"]),
        (&["train", toy], &["'learned' is missing"]),
        (&["sample", toy, &noise], &["noise.safetensors", "[5, 7]", "[iterations, 16, 100]"]),
        (&["sample", toy, "sampler.method=pcn", "sampler.step=2"], &["'sampler.step'", "between"]),
    ];
    for (i, (arguments, words)) in cases.into_iter().enumerate() {
        let out = scratch.path().join(format!("{i}"));
        let text = inverse(&[arguments, &["--out", out.to_str().unwrap()]].concat(), 2);
        let line = text.lines().last().unwrap_or_default();
        assert!(line.starts_with("error: "), "{text}");
        assert!(words.iter().all(|word| line.contains(word)), "{arguments:?}: {line}");
        assert_eq!(text.lines().filter(|line| !line.starts_with("run folder")).count(), 1, "{text}");
    }
}
