//! Checkpoints and run folders: whole or not at all, numbered, found again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;

use sampler::io::atomic::{write_atomic, write_atomic_with};
use sampler::io::checkpoint::{CheckpointWriter, complete, latest};
use sampler::io::environment::{environment, sha256};
use sampler::io::run_dir::{RunDir, Wanted};
use sampler::torch::error::is_bad_input;
use serde_json::{Map, Value, json};
use tch::Tensor;

type Files<'a> = Vec<(&'a str, Vec<(String, Tensor)>)>;

fn files(value: f64) -> Files<'static> {
    let named = |scale: f64| vec![("w".to_string(), Tensor::from_slice(&[value * scale, -value]))];
    vec![("weights", named(1.0)), ("optimizer", named(0.1))]
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::new(&folder.path().join("checkpoints"), 3).unwrap();
    let state = json!({"step": 7, "best": 0.1 + 0.2, "tiny": 5e-324, "calls": u64::MAX, "nested": {"a": [1, null]}});
    let path = writer.save(7, &files(1.0 / 3.0), &state).unwrap();
    assert_eq!(entries(&path), ["DONE", "optimizer.safetensors", "state.json", "weights.safetensors"]);

    let found = latest(&folder.path().join("checkpoints")).unwrap().unwrap();
    assert_eq!((found.step, &found.path), (7, &path));
    assert_eq!(found.state().unwrap(), state);
    let weights = Vec::<f64>::try_from(found.tensors("weights").unwrap().get("w").unwrap()).unwrap();
    assert_eq!(weights, [1.0 / 3.0, -1.0 / 3.0]);
    assert!(found.tensors_if_any("ema").unwrap().is_none());
    assert!(found.tensors("ema").unwrap_err().to_string().contains("ema.safetensors: no such file"));
}

#[test]
fn the_newest_few_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::new(folder.path(), 2).unwrap();
    for step in [5, 10, 15, 20] {
        writer.save(step, &files(step as f64), &json!({})).unwrap();
    }
    assert_eq!(entries(folder.path()), ["step_00000015", "step_00000020"]);
    // Even a writer told to keep none keeps the last.
    CheckpointWriter::new(folder.path(), 0).unwrap().save(25, &files(25.0), &json!({})).unwrap();
    assert_eq!(entries(folder.path()), ["step_00000025"]);
    assert!(latest(&folder.path().join("nowhere")).unwrap().is_none());
}

#[test]
fn unfinished_ones_do_not_count_and_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::new(folder.path(), 3).unwrap();
    writer.save(5, &files(5.0), &json!({})).unwrap();

    // Stopped while writing; stopped between the renaming and DONE; something that is no checkpoint.
    fs::create_dir(folder.path().join("step_00000010.partial")).unwrap();
    fs::write(folder.path().join("step_00000010.partial/weights.safetensors"), b"half").unwrap();
    fs::create_dir(folder.path().join("step_00000015")).unwrap();
    fs::write(folder.path().join("notes.txt"), b"mine").unwrap();
    assert_eq!(latest(folder.path()).unwrap().unwrap().step, 5);

    writer.save(15, &files(15.0), &json!({})).unwrap();
    assert_eq!(entries(folder.path()), ["notes.txt", "step_00000005", "step_00000015"]);
    assert_eq!(latest(folder.path()).unwrap().unwrap().step, 15);
}

#[test]
fn saving_a_step_again_never_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::new(folder.path(), 1).unwrap();
    writer.save(5, &files(1.0), &json!({"try": 1})).unwrap();
    writer.save(5, &files(2.0), &json!({"try": 2})).unwrap();
    assert_eq!(entries(folder.path()), ["step_00000005"]);
    assert_eq!(latest(folder.path()).unwrap().unwrap().state().unwrap(), json!({"try": 2}));

    // Stopped while the new one took the old one's place: the old one is found, and a later save tidies up.
    let (path, old) = (folder.path().join("step_00000005"), folder.path().join("step_00000005.old"));
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(latest(folder.path()).unwrap().unwrap().state().unwrap(), json!({"try": 2}));
    writer.save(5, &files(3.0), &json!({"try": 3})).unwrap();
    assert_eq!(complete(folder.path()).unwrap().len(), 1);
    assert_eq!(entries(folder.path()), ["step_00000005"]);
    assert_eq!(latest(folder.path()).unwrap().unwrap().state().unwrap(), json!({"try": 3}));
}

#[test]
fn a_killed_writer_leaves_whole_checkpoints() {
    // This test starts itself as another process, which saves until it is killed.
    const CHILD: &str = "SAMPLER_TEST_SAVES_INTO";
    if let Some(folder) = std::env::var_os(CHILD) {
        let writer = CheckpointWriter::new(Path::new(&folder), 2).unwrap();
        for step in 1.. {
            writer.save(step, &files(step as f64), &json!({"step": step})).unwrap();
        }
    }

    let folder = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let name = ["--exact", "a_killed_writer_leaves_whole_checkpoints"];
        let program = std::env::current_exe().unwrap();
        let mut child =
            Command::new(program).args(name).env(CHILD, folder.path()).stdout(Stdio::null()).spawn().unwrap();
        // Kill it in the midst of saving, later in each round.
        while latest(folder.path()).is_ok_and(|found| found.is_none_or(|found| found.step <= round)) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let found = latest(folder.path()).unwrap().expect("a checkpoint");
        assert_eq!(found.state().unwrap(), json!({"step": found.step}));
        let weights = Vec::<f64>::try_from(found.tensors("weights").unwrap().get("w").unwrap()).unwrap();
        assert_eq!(weights, [found.step as f64, -(found.step as f64)]);
        fs::remove_dir_all(folder.path()).unwrap();
        fs::create_dir(folder.path()).unwrap();
    }
}

#[test]
fn damage_in_a_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = CheckpointWriter::new(folder.path(), 1).unwrap().save(5, &files(1.0), &json!({})).unwrap();
    fs::write(path.join("state.json"), b"{\"step\": ").unwrap();
    fs::write(path.join("weights.safetensors"), b"short").unwrap();
    let found = latest(folder.path()).unwrap().unwrap();
    for error in [found.state().unwrap_err(), found.tensors("weights").unwrap_err()] {
        let text = error.to_string();
        assert!(is_bad_input(&error) && text.contains("step_00000005/") && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = CheckpointWriter::new(&file.join("checkpoints"), 1).unwrap_err().to_string();
    assert!(error.contains("file/checkpoints: cannot be written"), "{error}");
}

#[test]
fn atomic_files_change_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    write_atomic(&path, b"first").unwrap();
    let failed = write_atomic_with(&path, |out| {
        out.write_all(&[0; 100_000])?;
        Err(std::io::Error::other("no more"))
    });
    assert!(failed.unwrap_err().to_string().contains("a.json: cannot be written (no more)"));
    assert_eq!(fs::read(&path).unwrap(), b"first");
    write_atomic(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(entries(folder.path()), ["a.json"]);
}

fn wanted<'a>(root: &'a Path, seed: u64, out: Option<&'a Path>, resume: bool) -> Wanted<'a> {
    Wanted { root, task: "bridge", config_name: "funnel", seed, out, resume }
}

#[test]
fn runs_are_numbered_and_resumed_by_seed() {
    let folder = tempfile::tempdir().unwrap();
    let open = |seed, resume| RunDir::open(&wanted(folder.path(), seed, None, resume)).unwrap();
    let name = |run: &RunDir| run.path.strip_prefix(folder.path()).unwrap().display().to_string();
    let (first, second, third) = (open(0, false), open(3, false), open(0, false));
    assert_eq!(name(&first), "bridge/funnel/000-seed0");
    assert_eq!(name(&second), "bridge/funnel/001-seed3");
    assert_eq!(name(&third), "bridge/funnel/002-seed0");
    assert!(!third.resumed);

    let resumed = open(0, true);
    assert_eq!((&resumed.path, resumed.resumed), (&third.path, true));
    assert_eq!(open(3, true).path, second.path);
    // Nothing to resume yet: a cluster job may always say --resume.
    let fresh = open(9, true);
    assert_eq!((name(&fresh).as_str(), fresh.resumed), ("bridge/funnel/003-seed9", false));
    // Numbers are compared as numbers.
    fs::create_dir(folder.path().join("bridge/funnel/1000-seed0")).unwrap();
    assert_eq!(name(&open(0, true)), "bridge/funnel/1000-seed0");
    assert_eq!(name(&open(0, false)), "bridge/funnel/1001-seed0");
}

#[test]
fn no_two_processes_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(8);
    let mut paths: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            barrier.wait();
            (0..5).map(|_| RunDir::open(&wanted(folder.path(), 0, None, false)).unwrap().path).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 40);
}

#[test]
fn a_named_folder_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/out");
    let open = |out: &Path, resume| RunDir::open(&wanted(folder.path(), 0, Some(out), resume));
    let refused = |result: anyhow::Result<RunDir>, part: &str| {
        let error = result.unwrap_err();
        assert!(is_bad_input(&error) && error.to_string().contains(part), "{error}");
    };

    let run = open(&out, false).unwrap();
    assert_eq!((&run.path, run.resumed), (&out, false));
    assert!(!open(&out, true).unwrap().resumed, "an empty folder has nothing to resume");
    run.write_config("seed: 0\n").unwrap();
    refused(open(&out, false), "add --resume");
    assert!(open(&out, true).unwrap().resumed);
    assert_eq!(run.stored_config().unwrap().as_deref(), Some("seed: 0\n"));

    refused(open(folder.path(), false), "is not empty");
    refused(open(folder.path(), true), "holds no run");
    refused(open(&out.join("config.yaml"), false), "is a file");
    refused(open(&out.join("config.yaml/below"), false), "cannot be created");
}

#[test]
fn facts_of_the_run_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::open(&wanted(folder.path(), 5, None, false)).unwrap();
    run.write_environment(environment("cpu", 5)).unwrap();
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(run.file(name)).unwrap()).unwrap() };

    let facts = read("environment.json");
    assert_eq!((&facts["seed"], &facts["device"]), (&json!(5), &json!("cpu")));
    assert_eq!(facts["crate_version"], env!("CARGO_PKG_VERSION"));
    let binary = std::env::current_exe().unwrap();
    assert_eq!(facts["binary_sha256"], json!(sha256(&binary).unwrap()));
    assert!(facts["threads"].as_u64().unwrap() >= 1);
    let commit = facts["commit"].as_str();
    assert!(commit.is_none_or(|commit| commit.len() == 40 && facts["dirty"].is_boolean()), "{facts}");
    assert!(facts["libtorch"].as_str().is_none_or(|version| version.starts_with("2.")), "{facts}");

    // A second start keeps the first one's facts.
    run.write_environment(environment("cuda:0", 5)).unwrap();
    run.write_environment(environment("cuda:1", 5)).unwrap();
    let facts = read("environment.json");
    assert_eq!(facts["device"], "cuda:1");
    let earlier: Vec<&Value> = facts["earlier"].as_array().unwrap().iter().map(|start| &start["device"]).collect();
    assert_eq!(earlier, ["cuda:0", "cpu"]);

    let mut summary = Map::new();
    summary.insert("eval/elbo".to_string(), json!(-0.25));
    summary.insert("eval/log_z".to_string(), json!(f64::NAN));
    run.write_summary(&summary).unwrap();
    assert_eq!(read("summary.json"), json!({"eval/elbo": -0.25, "eval/log_z": null}));
}

#[test]
fn sha256_is_the_standards() {
    // FIPS 180-2, appendix B.1.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc");
    fs::write(&path, b"abc").unwrap();
    assert_eq!(sha256(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
