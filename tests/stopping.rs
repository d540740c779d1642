//! Runs that cannot go on: told to stop, out of disk, nowhere to write, diverged. What they had saved stays good.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use bridge_binary::{
    Said, Sandbox, assert_same_record, checkpoints, ended, last_step, metrics, signal, small_config, summary,
    wait_until,
};
use libc::{SIGINT, SIGTERM, SIGUSR1};

/// A run that no test sees the end of. Its rates do not depend on its length, which may therefore change.
fn endless() -> String {
    let saving = "checkpoint_every: 1000, eval_every: 1000, keep_checkpoints: 1";
    small_config("cmcd", "rkl_ld", &format!("steps: 1000000, schedule: {{type: constant}}, ema_decay: 0.9, {saving}"))
}

#[test]
fn a_signal_saves_at_the_very_step_and_the_run_goes_on_from_there() {
    for number in [SIGINT, SIGTERM, SIGUSR1] {
        let sandbox = Sandbox::new(&endless());
        let (run, reference) = (sandbox.path("run"), sandbox.path("alone"));
        let child = sandbox.train(&["--out", "run"]).spawn().unwrap();
        wait_until("some updates", || last_step(&run).is_some_and(|step| step >= 7));
        signal(&child, number);
        let said = ended(child);

        let step = last_step(&run).unwrap();
        let saved = format!("run/checkpoints/step_{step:08}");
        let line = format!("interrupted: stopped at step {step}; saved in {saved}; go on with --resume");
        assert_eq!((said.status, said.err.lines().last()), (Some(130), Some(line.as_str())));
        assert!(!said.err.contains("error:"), "{}", said.err);
        assert_eq!(checkpoints(&run), [step]);
        assert_eq!((&summary(&run)["status"], &summary(&run)["steps"]), (&"interrupted".into(), &step.into()));

        let steps = format!("train.steps={}", step + 10);
        let said = sandbox.run(sandbox.train(&["--out", "run", "--resume", &steps]), 0);
        assert!(said.err.contains(&format!("resuming at step {step} from {saved}\n")), "{}", said.err);
        sandbox.run(sandbox.train(&["--out", "alone", &steps]), 0);
        assert_same_record(&run, &reference);
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    // An update of many seconds, in the midst of which no first signal can be answered.
    let slow = endless().replace("batch: 16", "batch: 20000").replace("hidden: 8", "hidden: 256");
    let sandbox = Sandbox::new(&slow.replace("num_steps: 5", "num_steps: 200").replace("samples: 64", "samples: 16"));
    let run = sandbox.path("run");
    let mut child = sandbox.train(&["--out", "run"]).spawn().unwrap();
    wait_until("the first evaluation", || last_step(&run) == Some(0));
    let before = busy_ticks(&child);
    wait_until("the first update", || busy_ticks(&child) > before + 20);

    // Signals that wait to be delivered are one: an impatient person presses again until something happens.
    wait_until("the end", || {
        signal(&child, SIGINT);
        child.try_wait().unwrap().is_some()
    });
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.status, Some(130));
    assert!(!said.err.contains("interrupted"), "{}", said.err);
    assert!(checkpoints(&run).is_empty() && last_step(&run) == Some(0));
}

/// Processor time of a child so far, in hundredths of a second.
fn busy_ticks(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The command's process cannot make a file longer than `bytes`: writing past that fails as on a full disk.
fn with_full_disk(mut command: Command, bytes: u64) -> Command {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: between fork and exec only two system calls are made, of plain values.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            if libc::setrlimit(libc::RLIMIT_FSIZE, &limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    command
}

#[test]
fn a_full_disk_is_named_and_the_checkpoint_before_goes_on() {
    let large = endless().replace("hidden: 8", "hidden: 64").replace("checkpoint_every: 1000", "checkpoint_every: 5");
    let sandbox = Sandbox::new(&large.replace("eval_every: 1000", "eval_every: 10"));
    let run = sandbox.path("run");
    sandbox.run(sandbox.train(&["--out", "run", "train.steps=10"]), 0);

    // The less fits, the earlier it fails: at the config, the metrics, the weights, the optimiser's larger file.
    let optimizer = run.join("checkpoints/step_00000010/optimizer.safetensors").metadata().unwrap().len();
    let mut failed_at = std::collections::BTreeSet::new();
    for bytes in [0, 500, 2000, 10_000, optimizer / 4, optimizer - 1] {
        let command = sandbox.train(&["--out", "run", "--resume", "train.steps=20"]);
        let said = sandbox.run(with_full_disk(command, bytes), 1);
        let line = said.complaint();
        assert!(line.contains("run/") && line.contains("File too large"), "{line}");
        failed_at.insert(line.split(':').nth(1).unwrap().rsplit('/').next().unwrap().to_string());
        assert_eq!(checkpoints(&run), [10], "{line}");
    }
    assert!(failed_at.contains("optimizer.safetensors") && failed_at.len() >= 3, "{failed_at:?}");

    sandbox.run(sandbox.train(&["--out", "run", "--resume", "train.steps=20"]), 0);
    sandbox.run(sandbox.train(&["--out", "alone", "train.steps=20"]), 0);
    assert_same_record(&run, &sandbox.path("alone"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let sandbox = Sandbox::new(&endless());
    std::fs::write(sandbox.path("runs"), "a file where the folder should be").unwrap();
    let said = sandbox.run(sandbox.train(&["--out", "runs/run"]), 2);
    assert!(said.complaint().contains("--out runs/run: cannot be created"), "{}", said.err);
    let said = sandbox.run(sandbox.train(&[]), 1);
    assert!(said.complaint().contains("runs/bridge/run: cannot be written"), "{}", said.err);
}

#[test]
fn divergence_stops_the_run_and_is_counted() {
    let sandbox = Sandbox::new(&endless());
    let absurd = ["--out", "run", "train.learning_rate=1e12", "train.max_skipped=4"];
    let said = sandbox.run(sandbox.train(&absurd), 1);
    let line = said.complaint();
    for part in ["training diverged: 4 updates in a row", "train.learning_rate", "train.max_skipped"] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(said.err.matches("update skipped").count(), 1, "said once, not at every update: {}", said.err);

    let run = sandbox.path("run");
    let skipped: Vec<f64> = metrics(&run).iter().filter_map(|line| line.get("train/skipped")?.as_f64()).collect();
    assert!(skipped.ends_with(&[1.0, 2.0, 3.0]), "{skipped:?}");
    assert_eq!((&summary(&run)["status"], &summary(&run)["train/skipped"]), (&"failed".into(), &4.0.into()));
}
