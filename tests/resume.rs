//! What `--resume` goes on with, what it leaves alone, and what it refuses.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;

use std::fs;

use bridge_binary::{Sandbox, assert_same_record, checkpoints, last_step, record, small_config, wait_until};

/// A finished run of 20 updates with checkpoints at 15 and 20.
fn finished() -> Sandbox {
    let keys = "steps: 20, schedule: {type: constant}, checkpoint_every: 5, ema_decay: 0.9";
    let sandbox = Sandbox::new(&small_config("cmcd", "rkl_ld", keys));
    sandbox.run(sandbox.train(&["--out", "run"]), 0);
    sandbox
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let sandbox = finished();
    let run = sandbox.path("run");
    let (before, clocks) = (record(&run), fs::read(run.join("summary.json")).unwrap());
    let said = sandbox.run(sandbox.train(&["--out", "run", "--resume"]), 0);
    assert!(said.err.contains("already done"), "{}", said.err);
    assert!(record(&run) == before && fs::read(run.join("summary.json")).unwrap() == clocks);

    // Stopped between its last checkpoint and its summary, it has only its figures to take.
    for file in ["summary.json", "samples.safetensors"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    fs::remove_dir_all(run.join("plots")).unwrap();
    sandbox.run(sandbox.train(&["--out", "run", "--resume"]), 0);
    assert!(record(&run) == before);
}

#[test]
fn a_changed_config_is_refused_by_its_key_but_a_run_may_grow() {
    let sandbox = finished();
    let run = sandbox.path("run");
    let before = record(&run);
    let cases: [(&[&str], &[&str]); 7] = [
        (&["train.learning_rate=0.1"], &["'train.learning_rate' was 0.005 and is now 0.1"]),
        (&["target.std=2"], &["'target.std' was 3.0 and is now 2.0"]),
        (&["loss.type=lv"], &["'loss.type' was \"rkl_ld\" and is now \"lv\""]),
        (&["train.ema_decay=null"], &["'train.ema_decay' was 0.9 and is now null"]),
        (&["train.interpolation_learning_rate=1"], &["'train.interpolation_learning_rate' was not set"]),
        (&["--seed", "4"], &["'seed' was 0 and is now 4"]),
        (&["train.steps=19"], &["'train.steps' must be 20 or larger", "step_00000020"]),
    ];
    for (change, parts) in cases {
        let said = sandbox.run(sandbox.train(&[&["--out", "run", "--resume"], change].concat()), 2);
        assert!(parts.iter().all(|part| said.complaint().contains(part)), "{}", said.err);
    }
    assert!(record(&run) == before, "a refusal changed something");

    sandbox.run(sandbox.train(&["--out", "run", "--resume", "train.steps=30"]), 0);
    assert_eq!((checkpoints(&run), last_step(&run)), (vec![25, 30], Some(30)));
    assert!(fs::read_to_string(run.join("config.yaml")).unwrap().contains("steps: 30"));
}

#[test]
fn a_damaged_checkpoint_is_named_with_the_way_out() {
    let sandbox = finished();
    let run = sandbox.path("run");
    let newest = run.join("checkpoints/step_00000020");
    let whole = |name: &str| fs::read(newest.join(name)).unwrap();
    let half = |name: &str| whole(name)[..whole(name).len() / 2].to_vec();
    let damages = [
        ("weights.safetensors", Some(half("weights.safetensors"))),
        ("optimizer.safetensors", Some(whole("ema.safetensors"))),
        ("ema.safetensors", None),
        ("state.json", Some(b"{\"step\": 20".to_vec())),
        ("state.json", Some(b"{}".to_vec())),
    ];
    for (name, content) in damages {
        let (path, kept) = (newest.join(name), whole(name));
        match content {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let said = sandbox.run(sandbox.train(&["--out", "run", "--resume"]), 2);
        for part in [&format!("step_00000020/{name}: "), "remove the folder run/checkpoints/step_00000020 to go on"] {
            assert!(said.complaint().contains(part), "{name}: {}", said.err);
        }
        fs::write(&path, kept).unwrap();
    }

    let before = record(&run);
    fs::remove_dir_all(&newest).unwrap();
    let said = sandbox.run(sandbox.train(&["--out", "run", "--resume"]), 0);
    assert!(said.err.contains("resuming at step 15 "), "{}", said.err);
    assert!(record(&run) == before);
}

#[test]
fn a_folder_in_use_is_left_to_its_process() {
    let sandbox = finished();
    let run = sandbox.path("run");
    let mut child = sandbox.train(&["--out", "run", "--resume", "train.steps=1000000"]).spawn().unwrap();
    wait_until("an update", || last_step(&run) > Some(20));
    let said = sandbox.run(sandbox.train(&["--out", "run", "--resume", "train.steps=1000000"]), 2);
    assert!(said.complaint().contains("another process is training in this folder"), "{}", said.err);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_with_nothing_saved_starts_over_and_says_so() {
    let sandbox = finished();
    let (run, again) = (sandbox.path("run"), sandbox.path("again"));
    fs::create_dir(&again).unwrap();
    fs::write(again.join(".config.yaml.123-0.tmp"), "seed: ").unwrap(); // killed in its first write
    let said = sandbox.run(sandbox.train(&["--out", "again", "--resume"]), 0);
    assert!(said.err.contains("nothing to resume"), "{}", said.err);
    assert_same_record(&again, &run);

    fs::remove_dir_all(again.join("checkpoints")).unwrap();
    let said = sandbox.run(sandbox.train(&["--out", "again", "--resume"]), 0);
    assert!(said.err.contains("nothing to resume (no complete checkpoint here)"), "{}", said.err);
    assert_same_record(&again, &run);
    let left =
        fs::read_dir(&again).unwrap().flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
    assert!(!left, "a half-written file stays");
}

#[test]
fn another_number_of_threads_is_warned_about() {
    let sandbox = finished();
    let longer = ["--out", "run", "--resume", "train.steps=25"];
    let said = sandbox.run(sandbox.train_on("2", &longer), 0);
    assert!(said.err.contains("this run had 1 threads and now has 2"), "{}", said.err);
    let said = sandbox.run(sandbox.train_on("2", &["--out", "run", "--resume", "train.steps=30"]), 0);
    assert!(!said.err.contains("threads"), "{}", said.err);
    let facts = fs::read_to_string(sandbox.path("run").join("environment.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    assert_eq!((&facts["threads"], &facts["earlier"][1]["threads"]), (&2.into(), &1.into()));
}
