//! Runs that are killed and resumed end as if they had never been stopped, bit for bit.

#[path = "common/bridge_binary.rs"]
mod bridge_binary;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bridge_binary::{Said, Sandbox, assert_same_record, checkpoints, last_step, small_config, wait_until};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const INTERVAL: u64 = 5;
const STEPS: u64 = 120;

/// A run of a second, of which every fifth update is saved.
fn config(process: &str, loss: &str, more: &str) -> String {
    let saved = format!("steps: {STEPS}, eval_every: 10, checkpoint_every: {INTERVAL}");
    small_config(process, loss, &format!("{saved}, {more}"))
}

/// When to kill a session, counted from its start.
enum Moment {
    /// After so many milliseconds, mostly before the first update.
    Starting(u64),
    /// After so many updates and some microseconds.
    Updating(u64, u64),
    /// When a checkpoint is seen half written.
    Saving,
}

impl Moment {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..5) {
            0 => Self::Starting(rng.random_range(0..400)),
            1 => Self::Saving,
            _ => Self::Updating(rng.random_range(1..18), rng.random_range(0..4000)),
        }
    }

    fn wait(&self, run: &Path, from: u64) {
        let reached = |updates: u64| last_step(run).is_some_and(|step| step >= from + updates);
        match *self {
            Self::Starting(milliseconds) => spin(Duration::from_millis(milliseconds)),
            Self::Updating(updates, microseconds) => {
                wait_until("updates", || reached(updates));
                spin(Duration::from_micros(microseconds));
            }
            // The sight may be missed: saving takes a few milliseconds.
            Self::Saving => wait_until("a checkpoint", || half_saved(run) || reached(3 * INTERVAL)),
        }
    }
}

/// A random moment is to come about by itself, not to be slept through till the scheduler's next tick.
fn spin(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn half_saved(run: &Path) -> bool {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().ends_with(".partial"))
}

/// Kills a run up to `kills` times, resumes it to its end, and compares it with one that was left alone. Returns the
/// number of kills that hit.
fn survives(yaml: &str, threads: &str, seed: u64, kills: usize) -> usize {
    let sandbox = Sandbox::new(yaml);
    let (run, reference) = (sandbox.path("killed"), sandbox.path("alone"));
    let session = || sandbox.train_on(threads, &["--out", "killed", "--resume"]);
    sandbox.run(sandbox.train_on(threads, &["--out", "alone"]), 0);

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut hits = 0;
    let newest = || checkpoints(&run).last().copied().unwrap_or(0);
    while hits < kills {
        let from = newest();
        let mut child = session().spawn().unwrap();
        Moment::draw(&mut rng).wait(&run, from);
        child.kill().unwrap();
        let said = Said::from(child.wait_with_output().unwrap());
        assert!(matches!(said.status, None | Some(0)), "{}", said.err);
        if said.status.is_some() {
            break;
        }
        hits += 1;
        assert!(
            from == 0 || said.err.is_empty() || said.err.contains(&format!("resuming at step {from} ")),
            "{}",
            said.err
        );
        assert!(newest() + INTERVAL >= last_step(&run).unwrap_or(0), "more than one interval is lost");
    }

    let said = sandbox.run(session(), 0);
    assert!(newest() == STEPS && said.err.contains("resuming at step"), "{}", said.err);
    assert_same_record(&run, &reference);
    hits
}

#[test]
fn a_run_killed_at_any_moment_resumes_bit_for_bit() {
    let cases = [
        ("1", config("cmcd", "rkl_ld", "")),
        ("1", config("dbs", "rkl", "")),
        ("1", config("cmcd", "lv", "ema_decay: 0.9, optimizer: {type: adam}")),
        ("1", config("dis", "tb", "ema_decay: 0.99")),
        ("1", config("cmcd", "subtb, partial_energy: true", "")),
        ("2", config("cmcd", "vargrad", "")),
    ];
    let hits = cases.iter().zip(1..).map(|((threads, yaml), seed)| survives(yaml, threads, seed, 5)).sum::<usize>();
    assert!(hits >= 20, "only {hits} kills hit");
    println!("{hits} kills");
}
