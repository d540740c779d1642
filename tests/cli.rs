//! The verbs of `bridge` as a person types them: help, dry runs, sweeps, comparisons, measurements, samples.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bridge_binary::{Sandbox, checkpoints, ended, last_step, signal, small_config, summary, wait_until};
use sampler::io::tensors::read_tensors;
use sampler::log::table::figure;
use serde_json::Value;
use tch::Kind;

fn sandbox() -> Sandbox {
    Sandbox::new(&small_config("cmcd", "rkl_ld", "steps: 4, eval_every: 2, ema_decay: 0.5"))
}

/// Run folders below `runs/bridge/run`, in order.
fn runs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.path("runs/bridge/run")).into_iter().flatten();
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    runs
}

/// Name, seed and loss of every run.
fn settings(sandbox: &Sandbox) -> Vec<String> {
    let setting = |run: &PathBuf| {
        let config = sampler::config::flat(&fs::read_to_string(run.join("config.yaml")).unwrap()).unwrap();
        let name = run.file_name().unwrap().to_string_lossy().to_string();
        format!("{name} {} {}", config["seed"], config["loss.type"].as_str().unwrap())
    };
    runs(sandbox).iter().map(setting).collect()
}

#[test]
fn help_tells_of_every_verb_and_option() {
    let sandbox = sandbox();
    let said = sandbox.run(sandbox.command(&["--help"]), 0);
    for part in ["train", "eval", "sample", "compare", "bench", "Examples:", "configs/bridge/seeds_quick.yaml"] {
        assert!(said.out.contains(part), "{part}\n{}", said.out);
    }
    let options: [(&str, &[&str]); 5] = [
        ("train", &["<CONFIG>", "[KEY=VALUE]", "--out", "--device", "--seed", "--resume", "--dry-run", "--threads"]),
        ("eval", &["<RUN>", "[KEY=VALUE]", "--device"]),
        ("sample", &["<RUN>", "--n", "--out", "log_weight [N]", "10000"]),
        ("compare", &["<RUNS>", "--out", "runs/compare"]),
        ("bench", &["--json", "--updates", "--threads"]),
    ];
    for (verb, parts) in options {
        let said = sandbox.run(sandbox.command(&[verb, "--help"]), 0);
        assert!(said.err.is_empty() && parts.iter().all(|part| said.out.contains(part)), "{verb}\n{}", said.out);
    }
    assert!(sandbox.run(sandbox.command(&["--version"]), 0).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_dry_run_builds_the_density() {
    let sandbox = sandbox();
    let target = "target={type: molecule, system: nowhere.xml, topology: nowhere.pdb, temperature: 300}";
    let said = sandbox.run(sandbox.train(&["--dry-run", target]), 2);
    assert!(said.complaint().contains("nowhere."), "{}", said.err);
}

#[test]
fn a_dry_run_prints_a_config_that_gives_itself() {
    let sandbox = sandbox();
    for changes in [&[][..], &["loss.type=tb", "train.optimizer.type=adamw"], &["process={type: dis}", "seed=7"]] {
        let said = sandbox.run(sandbox.train(&[&["--dry-run"], changes].concat()), 0);
        assert!(said.err.is_empty() && said.out.contains("noise: ") && said.out.contains("epsilon: "), "{}", said.out);
        fs::write(sandbox.path("resolved.yaml"), &said.out).unwrap();
        let again = sandbox.run(sandbox.command(&["train", "resolved.yaml", "--dry-run"]), 0);
        assert_eq!(again.out, said.out);
    }
    let said = sandbox.run(sandbox.train(&["--dry-run", "seed=0,1"]), 0);
    let seeds: Vec<&str> = said.out.split("---\n").map(|document| document.lines().next().unwrap()).collect();
    assert_eq!(seeds, ["seed: 0", "seed: 1"]);
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn a_sweep_makes_a_folder_a_run_and_compare_groups_them() {
    let sandbox = sandbox();
    sandbox.run(sandbox.train(&["seed=0,1", "loss.type=rkl_ld,lv"]), 0);
    let made = ["000-seed0 0 rkl_ld", "001-seed0 0 lv", "002-seed1 1 rkl_ld", "003-seed1 1 lv"];
    assert_eq!(settings(&sandbox), made);

    let said = sandbox.run(sandbox.command(&["compare", "runs/bridge/run", "--out", "table"]), 0);
    let read = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap();
    let csv = read("table/compare.csv");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..3], ["setting", "runs", "elbo"]);
    assert_eq!((rows[1][..2].join(" "), rows[2][..2].join(" ")), ("rkl_ld 2".into(), "lv 2".into()));
    assert!(rows[1][2].contains('±') && said.out.contains(rows[1][2]) && read("table/compare.md").contains(rows[2][2]));
    assert!(fs::read(sandbox.path("table/compare.png")).unwrap().starts_with(b"\x89PNG"));

    // The mean is that of the two summaries.
    let elbo = |run: usize| summary(&runs(&sandbox)[run])["eval/elbo"].as_f64().unwrap();
    let (mean, half_range) = ((elbo(0) + elbo(2)) / 2.0, (elbo(0) - elbo(2)).abs() / 2.0);
    assert_eq!(rows[1][2], sampler::log::table::mean_std(mean, half_range));

    for other in ["target.std=2", "eval.samples=32"] {
        sandbox.run(sandbox.train(&["--out", other, other]), 0);
        let said = sandbox.run(sandbox.command(&["compare", "runs/bridge/run", other]), 2);
        let (key, value) = other.split_once('=').unwrap();
        let parts = [format!("has {key} "), value.to_string(), "are not compared".into()];
        assert!(parts.iter().all(|part| said.complaint().contains(part.as_str())), "{}", said.err);
    }
}

#[test]
fn a_task_of_a_slurm_array_does_its_run_alone() {
    let sandbox = sandbox();
    let task = |id: &str, changes: &[&str], status: i32| {
        let mut command = sandbox.train(changes);
        command.env("SLURM_ARRAY_TASK_ID", id);
        sandbox.run(command, status)
    };
    let sweep = ["seed=0,1", "loss.type=rkl_ld,lv", "train.steps=0"];
    let said = task("4", &sweep, 2);
    assert!(said.complaint().contains("expected 0 to 3"), "{}", said.err);
    task("3", &sweep, 0);
    task("2", &sweep, 0);
    task("17", &["seed=17", "train.steps=0"], 0);
    assert_eq!(settings(&sandbox), ["000-seed1 1 lv", "001-seed1 1 rkl_ld", "002-seed17 17 rkl_ld"]);
}

#[test]
fn a_sweep_that_was_stopped_is_resumed_run_by_run() {
    let sandbox = sandbox();
    let sweep = ["loss.type=rkl_ld,lv,tb", "train.steps=60", "train.schedule={type: constant}"];
    let child = sandbox.train(&sweep).spawn().unwrap();
    let second = sandbox.path("runs/bridge/run/001-seed0");
    wait_until("the second run", || last_step(&second).is_some());
    signal(&child, libc::SIGINT);
    let said = ended(child);
    assert_eq!(said.status, Some(130), "{}", said.err);
    assert_eq!((summary(&runs(&sandbox)[0])["status"].as_str(), runs(&sandbox).len()), (Some("done"), 2));

    let said = sandbox.run(sandbox.train(&[&sweep[..], &["--resume"]].concat()), 0);
    for part in ["already done", "resuming at step", "nothing to resume (no earlier run of this config)"] {
        assert_eq!(
            said.err.matches(part).count(),
            if part.starts_with("resuming") { 2 } else { 1 },
            "{part}\n{}",
            said.err
        );
    }
    assert_eq!(settings(&sandbox), ["000-seed0 0 rkl_ld", "001-seed0 0 lv", "002-seed0 0 tb"]);
    assert!(runs(&sandbox).iter().all(|run| checkpoints(run).last() == Some(&60)));

    // A key that is not swept has no siblings: it was changed.
    let changed = ["loss.type=rkl_ld,lv,tb", "train.steps=60", "train.schedule={type: constant}", "target.std=2"];
    let said = sandbox.run(sandbox.train(&[&changed[..], &["--resume"]].concat()), 2);
    assert!(said.complaint().contains("key 'target.std' was 3.0 and is now 2.0"), "{}", said.err);
}

#[test]
fn eval_repeats_the_runs_own_figures() {
    let sandbox = sandbox();
    sandbox.run(sandbox.train(&["--out", "run"]), 0);
    let measure = |more: &[&str]| {
        let said = sandbox.run(sandbox.command(&[&["eval", "run", "--device", "cpu"], more].concat()), 0);
        let words =
            |line: &str| Some(line.split_whitespace().map(str::to_string).collect::<Vec<_>>()).filter(|w| w.len() == 2);
        let rows = said.out.lines().filter_map(words).filter(|row| row[0].starts_with("eval/"));
        rows.map(|row| (row[0].clone(), row[1].clone())).collect::<BTreeMap<_, _>>()
    };
    let own: BTreeMap<String, String> = summary(&sandbox.path("run"))
        .into_iter()
        .filter(|(tag, _)| tag.starts_with("eval/"))
        .map(|(tag, value)| (tag, figure(value.as_f64().unwrap(), 6)))
        .collect();
    assert!(own.len() > 10 && own.contains_key("eval/sinkhorn"));
    assert_eq!(measure(&[]), own);
    assert_ne!(measure(&["eval.samples=32"])["eval/elbo"], own["eval/elbo"]);

    let said = sandbox.run(sandbox.command(&["eval", "run", "net.hidden=16"]), 2);
    assert!(said.complaint().contains("'net.hidden=16'") && said.complaint().contains("eval.*"), "{}", said.err);
}

#[test]
fn samples_come_with_their_weights_and_can_be_drawn_again() {
    let sandbox = sandbox();
    sandbox.run(sandbox.train(&["--out", "run"]), 0);
    let draw = |out: &str, more: &[&str]| {
        let base = ["sample", "run", "--device", "cpu", "--n", "50", "--out", out];
        sandbox.run(sandbox.command(&[&base, more].concat()), 0);
        read_tensors(&sandbox.path(out)).unwrap()
    };
    let first = draw("a.safetensors", &[]);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["log_weight", "x"]);
    assert_eq!((first["x"].size(), first["x"].kind()), (vec![50, 3], Kind::Float));
    assert_eq!((first["log_weight"].size(), first["log_weight"].kind()), (vec![50], Kind::Double));
    assert!(first["x"].equal(&draw("b.safetensors", &[])["x"]));
    assert!(!first["x"].equal(&draw("c.safetensors", &["seed=3"])["x"]));
}

#[test]
fn the_bench_prints_json_and_nothing_else() {
    let sandbox = sandbox();
    let said = sandbox.run(sandbox.command(&["bench", "--json", "--updates", "1", "--threads", "1"]), 0);
    let rows: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!((rows.len(), said.err.as_str()), (4, ""));
    let row = &rows[0];
    assert_eq!(
        (&row["target"], &row["process"], &row["loss"]),
        (&"funnel_d10".into(), &"CMCD".into(), &"rkl_ld".into())
    );
    for row in &rows {
        assert_eq!((&row["batch"], &row["num_steps"], &row["updates"]), (&2000.into(), &128.into(), &1.into()));
        for figure in ["cpu_s_per_update", "wall_s_per_update", "peak_mib", "first_step_s", "reference_cpu_s"] {
            assert!(row[figure].as_f64().is_some_and(|value| value > 0.0), "{figure}: {row}");
        }
    }
}
