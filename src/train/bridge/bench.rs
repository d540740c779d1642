//! Cost of one training update: CPU and wall seconds, peak memory, time to the first step.
//!
//! The rows are those for which the papers' own JAX code was timed on a comparable machine (two cores, quiet, float32,
//! compilation excluded). Each row runs in a process of its own, so that its peak memory is its own.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tch::Device;

use super::config::BridgeConfig;
use super::objective::BridgeObjective;
use crate::log::table::{Table, figure};
use crate::torch::device;
use crate::torch::optim::Optimizer;
use crate::torch::seed::{Stream, reseed};
use crate::train::objective::Objective;

/// What the paper's code needs for the same update.
struct Reference {
    code: &'static str,
    cpu_s: f64,
    wall_s: f64,
    peak_mib: f64,
}

/// A row of the table: the update and its reference.
struct Case {
    name: &'static str,
    config: Value,
    reference: Reference,
}

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub target: String,
    pub process: String,
    pub loss: String,
    pub batch: i64,
    pub num_steps: i64,
    pub device: String,
    pub threads: usize,
    pub updates: u32,
    pub cpu_s_per_update: f64,
    pub wall_s_per_update: f64,
    pub updates_per_s: f64,
    pub peak_mib: f64,
    /// Seconds from the start of the process to the end of its first update.
    pub first_step_s: f64,
    pub reference: String,
    pub reference_cpu_s: f64,
    pub reference_wall_s: f64,
    pub reference_peak_mib: f64,
}

fn cases() -> Vec<Case> {
    let case = |name, target: Value, process: Value, net: Value, loss: &str, reference| {
        let train = json!({"steps": 1, "batch": 2000, "learning_rate": 5e-3});
        let config = json!({"target": target, "process": process, "net": net, "loss": {"type": loss}, "train": train});
        Case { name, config, reference }
    };
    let rethinking = |cpu_s, wall_s, peak_mib| Reference { code: "Rethinking Losses (JAX)", cpu_s, wall_s, peak_mib };
    let funnel = || json!({"type": "funnel", "dim": 10});
    let gmm = json!({"type": "gmm40", "dim": 50});
    let pis_grad = || json!({"type": "pis_grad"});
    let udb_net = json!({"type": "pis_grad", "hidden": 128, "guide": false});
    let udb = json!({"type": "cmcd", "form": "udb", "noise": 0.01, "learn_noise": false});
    let udb_reference = Reference { code: "Underdamped Bridges (JAX)", cpu_s: 3.13, wall_s: 5.11, peak_mib: 4309.0 };
    vec![
        case(
            "CMCD",
            funnel(),
            json!({"type": "cmcd", "noise": 0.3}),
            pis_grad(),
            "rkl_ld",
            rethinking(2.76, 2.47, 3135.0),
        ),
        case(
            "DBS",
            funnel(),
            json!({"type": "dbs", "noise": 0.3}),
            pis_grad(),
            "rkl_ld",
            rethinking(5.08, 4.86, 5123.0),
        ),
        case(
            "CMCD",
            gmm,
            json!({"type": "cmcd", "noise": 1.0, "prior_std": 80.0}),
            pis_grad(),
            "rkl_ld",
            rethinking(6.70, 5.0, 5941.0),
        ),
        case("UDB-CMCD", funnel(), udb, udb_net, "lv", udb_reference),
    ]
}

/// Measures every row in a process of its own: this program again, with `bench --row N` and the given options.
pub fn rows(options: &[String]) -> Result<Vec<Row>> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let row = |index: usize| {
        let mut child = Command::new(&program);
        child.args(["bench", "--row", &index.to_string()]).args(options).stderr(Stdio::inherit());
        let output = child.output().with_context(|| format!("row {index} cannot be started"))?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("row {index} failed"))
    };
    (0..cases().len()).map(row).collect()
}

/// Measures row `index` in this process. `started` is when the process started.
pub fn measure(index: usize, updates: u32, device: Device, started: Instant) -> Result<Row> {
    let case = cases().into_iter().nth(index).context("no such row")?;
    let mut config: BridgeConfig = serde_json::from_value(case.config).context("a built-in config is wrong")?;
    config.validate()?;
    let mut objective = super::build(&config, device)?;
    let mut optimizer = Optimizer::new(config.train.optimizer, objective.groups(&config.train));
    let mut update = |step: u64| one_update(&mut objective, &mut optimizer, step, device);
    update(0)?;
    let first_step_s = started.elapsed().as_secs_f64();
    update(1)?;
    let mut timings: Vec<(f64, f64)> = Vec::new();
    for step in 0..u64::from(updates) {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        update(step + 2)?;
        timings.push((wall.elapsed().as_secs_f64(), cpu_seconds() - cpu));
    }
    let wall_s = median(timings.iter().map(|t| t.0));
    Ok(Row {
        target: config_text(&config.target, "type")? + &format!("_d{}", objective.sampler().dim),
        process: case.name.into(),
        loss: config.loss.name().into(),
        batch: config.train.batch,
        num_steps: objective.sampler().process.num_steps,
        device: device::describe(device),
        threads: objective.team.len(),
        updates,
        cpu_s_per_update: median(timings.iter().map(|t| t.1)),
        wall_s_per_update: wall_s,
        updates_per_s: 1.0 / wall_s,
        peak_mib: peak_mib(),
        first_step_s,
        reference: case.reference.code.into(),
        reference_cpu_s: case.reference.cpu_s,
        reference_wall_s: case.reference.wall_s,
        reference_peak_mib: case.reference.peak_mib,
    })
}

fn one_update(objective: &mut BridgeObjective, optimizer: &mut Optimizer, step: u64, on: Device) -> Result<()> {
    reseed(0, Stream::Train, step);
    optimizer.zero_grad();
    objective.accumulate()?;
    optimizer.step(1.0, Some(1.0));
    device::synchronize(on);
    Ok(())
}

/// The rows beside their references.
pub fn table(rows: &[Row]) -> Table {
    let header = [
        "target",
        "process",
        "loss",
        "batch x steps",
        "CPU s",
        "ref CPU s",
        "ratio",
        "wall s",
        "ref wall s",
        "ratio",
        "peak MiB",
        "ref MiB",
        "first step s",
        "updates/s",
    ];
    let mut table = Table::new(header);
    for row in rows {
        let ratio = |reference: f64, own: f64| format!("{:.1}x", reference / own);
        table.row([
            row.target.clone(),
            row.process.clone(),
            row.loss.clone(),
            format!("{} x {}", row.batch, row.num_steps),
            figure(row.cpu_s_per_update, 3),
            figure(row.reference_cpu_s, 3),
            ratio(row.reference_cpu_s, row.cpu_s_per_update),
            figure(row.wall_s_per_update, 3),
            figure(row.reference_wall_s, 3),
            ratio(row.reference_wall_s, row.wall_s_per_update),
            figure(row.peak_mib, 4),
            figure(row.reference_peak_mib, 4),
            figure(row.first_step_s, 2),
            figure(row.updates_per_s, 3),
        ]);
    }
    table
}

fn config_text(value: &impl Serialize, key: &str) -> Result<String> {
    let value = serde_json::to_value(value)?;
    Ok(value[key].as_str().unwrap_or_default().to_string())
}

pub(in crate::train) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// User and system seconds of this process, all threads.
pub(in crate::train) fn cpu_seconds() -> f64 {
    let usage = usage();
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Largest resident set so far, MiB.
pub(in crate::train) fn peak_mib() -> f64 {
    usage().ru_maxrss as f64 / 1024.0
}

fn usage() -> libc::rusage {
    // SAFETY: getrusage fills the zeroed struct it is given.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    }
}
