//! The `bridge` binary as a person runs it, in a folder of its own.
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// Far beyond what any step of these tests takes; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Tags that tell of time: they differ between runs that are otherwise the same to the bit.
const CLOCKS: [&str; 2] = ["wall_s", "train/steps_per_s"];

/// A temporary working directory that holds `run.yaml`.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// A config whose updates take milliseconds; every one is logged. `train` adds keys to that section.
pub fn small_config(process: &str, loss: &str, train: &str) -> String {
    format!(
        "target: {{type: funnel, dim: 3}}\n\
         process: {{type: {process}, num_steps: 5}}\n\
         net: {{type: pis_grad, hidden: 8}}\n\
         loss: {{type: {loss}}}\n\
         train: {{batch: 16, learning_rate: 5.0e-3, log_every: 1, {train}}}\n\
         eval: {{samples: 64, distances: always}}\n"
    )
}

/// How a command ended and what it said.
pub struct Said {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
        Self { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Said {
    /// The one line that begins with `error: `; fails if there are more, or a back-trace.
    pub fn complaint(&self) -> &str {
        let lines: Vec<&str> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "{}", self.err);
        assert_eq!(self.err.lines().last(), Some(lines[0]), "{}", self.err);
        assert!(!self.err.contains("internal:") && !self.err.contains("frame #"), "{}", self.err);
        lines[0]
    }
}

impl Sandbox {
    pub fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.yaml"), yaml).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `bridge` with arguments; one thread, and nothing of a cluster that the tests may themselves run on.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridge"));
        command.current_dir(self.folder.path()).args(arguments);
        command.env("OMP_NUM_THREADS", "1").env_remove("SLURM_ARRAY_TASK_ID");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `bridge train run.yaml` on one thread of the CPU.
    pub fn train(&self, more: &[&str]) -> Command {
        self.train_on("1", more)
    }

    /// `bridge train run.yaml` on some threads of the CPU.
    pub fn train_on(&self, threads: &str, more: &[&str]) -> Command {
        self.command(&[&["train", "run.yaml", "--device", "cpu", "--threads", threads], more].concat())
    }

    /// Runs a command to its end and demands the exit status.
    pub fn run(&self, mut command: Command, status: i32) -> Said {
        let said = Said::from(command.output().unwrap());
        assert_eq!(said.status, Some(status), "{command:?}\n{}\n{}", said.out, said.err);
        said
    }
}

/// Asks again and again until `holds`, which must happen.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Waits for a child to end by itself.
pub fn ended(mut child: Child) -> Said {
    wait_until("the end of the run", || child.try_wait().unwrap().is_some());
    Said::from(child.wait_with_output().unwrap())
}

/// Sends a signal to a child.
pub fn signal(child: &Child, signal: i32) {
    // SAFETY: plain values; the process is ours and not yet waited for, so its number is no one else's.
    unsafe { libc::kill(child.id() as i32, signal) };
}

/// Complete lines of a run's `metrics.jsonl`, as maps; none if there is no file yet.
pub fn metrics(run: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let complete = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    complete.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"))).collect()
}

/// The step of the last complete line, or none.
pub fn last_step(run: &Path) -> Option<u64> {
    metrics(run).last().and_then(|line| line["step"].as_u64())
}

/// Steps of the complete checkpoints, ascending.
pub fn checkpoints(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| entry.path().join("DONE").is_file());
    let mut steps: Vec<u64> =
        whole.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("step_")?.parse().ok()).collect();
    steps.sort();
    steps
}

pub fn summary(run: &Path) -> Map<String, Value> {
    serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap()
}

/// Everything in a run folder that must not depend on how often the run was stopped, as text or bytes by name.
pub fn record(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut record = BTreeMap::new();
    let lines: Vec<String> = metrics(run).into_iter().map(without_clocks).collect();
    record.insert("metrics.jsonl".to_string(), lines.join("\n").into_bytes());
    record.insert("summary.json".to_string(), without_clocks(summary(run)).into_bytes());
    record.insert("checkpoints".to_string(), format!("{:?}", checkpoints(run)).into_bytes());
    let mut keep = |path: PathBuf| {
        let name = path.strip_prefix(run).unwrap().display().to_string();
        let bytes = fs::read(&path).unwrap();
        let is_state = name.ends_with("state.json");
        let bytes = if is_state { without_clocks(serde_json::from_slice(&bytes).unwrap()).into_bytes() } else { bytes };
        record.insert(name, bytes);
    };
    keep(run.join("config.yaml"));
    keep(run.join("samples.safetensors"));
    for step in checkpoints(run) {
        files(&run.join(format!("checkpoints/step_{step:08}"))).into_iter().for_each(&mut keep);
    }
    files(&run.join("plots")).into_iter().for_each(&mut keep);
    record
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Numbers are kept as their text, so that they are compared bit for bit.
fn without_clocks(mut map: Map<String, Value>) -> String {
    CLOCKS.iter().for_each(|clock| drop(map.remove(*clock)));
    Value::Object(map).to_string()
}

/// Fails on the first difference, saying in which file.
pub fn assert_same_record(run: &Path, reference: &Path) {
    let (found, expected) = (record(run), record(reference));
    assert!(found.keys().eq(expected.keys()), "{:?}\n{:?}", found.keys(), expected.keys());
    for (name, bytes) in &found {
        let other = &expected[name];
        let (lines, others) = (String::from_utf8_lossy(bytes), String::from_utf8_lossy(other));
        let differs = lines.lines().zip(others.lines()).find(|(line, other)| line != other);
        assert!(bytes == other, "{name} differs, first in\n{differs:?}");
    }
}
