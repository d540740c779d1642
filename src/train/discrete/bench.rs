//! Speed of training and of sampling, in CPU seconds, beside the authors' PyTorch code on the same kind of machine.
//!
//! The authors' figures were measured with one thread on two shared cores (batch 128, network of width 64 with three
//! blocks, 64 times), so they compare with this program under `--threads 1` on such a machine and nowhere else.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use tch::Device;

use super::config::DiscreteConfig;
use super::objective::{DiscreteObjective, build};
use crate::log::table::{Table, figure};
use crate::samplers::discrete::Keep;
use crate::torch::optim::Optimizer;
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;
use crate::train::bridge::bench::cpu_seconds;
use crate::train::objective::Objective;

/// A law, the rows simulated to measure sampling, and what the authors' code reaches: gradient steps and steps of one
/// chain in a CPU second.
struct Case {
    name: &'static str,
    size: i64,
    beta: f64,
    rows: i64,
    reference: (f64, f64),
}

const CASES: [Case; 3] = [
    Case { name: "4x4, beta 0.2", size: 4, beta: 0.2, rows: 256, reference: (9.3, 3350.0) },
    Case { name: "4x4, beta 0.4407", size: 4, beta: 0.4407, rows: 256, reference: (10.0, 3800.0) },
    Case { name: "10x10, beta 0.2", size: 10, beta: 0.2, rows: 64, reference: (0.97, 412.0) },
];

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub target: String,
    pub net: String,
    pub batch: i64,
    pub num_steps: i64,
    pub threads: usize,
    pub train_steps_per_cpu_s: f64,
    pub train_steps_per_s: f64,
    pub chain_steps_per_cpu_s: f64,
    pub chain_steps_per_s: f64,
    pub reference_train_steps_per_cpu_s: f64,
    pub reference_chain_steps_per_cpu_s: f64,
}

/// Times so many updates of each case, and a rollout.
pub fn rows(updates: u32) -> Result<Vec<Row>> {
    CASES.iter().map(|case| measure(case, updates)).collect()
}

fn measure(case: &Case, updates: u32) -> Result<Row> {
    let config = json!({
        "target": {"type": "ising", "size": case.size, "beta": case.beta},
        "buffer": {"walkers": 32, "every": 1_000_000},
        "train": {"steps": 1, "batch": 128, "learning_rate": 1e-3, "optimizer": {"type": "adamw", "weight_decay": 1e-4}},
    });
    let config: DiscreteConfig = serde_json::from_value(config).context("a built-in config is wrong")?;
    let mut objective = build(&config, Device::Cpu)?;
    let train = config.training()?;
    let mut optimizer = Optimizer::new(train.optimizer, objective.groups(&train));
    let mut update = |objective: &mut DiscreteObjective, step: u64| -> Result<()> {
        reseed(0, Stream::Train, step);
        optimizer.zero_grad();
        objective.accumulate()?;
        optimizer.step(1.0, Some(500.0));
        Ok(())
    };
    // The first updates fill the buffer and allocate.
    (0..2).try_for_each(|step| update(&mut objective, step))?;
    let training = timed(|| (2..2 + u64::from(updates)).try_for_each(|step| update(&mut objective, step)))?;

    let steps = config.rollout.grid().map_or(0, |(_, grid)| grid.num_steps);
    let sampling = timed(|| {
        objective.team.rollout(&config.rollout, case.rows, Keep::Ends);
        Ok(())
    })?;
    let (work, chain) = (f64::from(updates), (steps * case.rows) as f64);
    Ok(Row {
        target: case.name.into(),
        net: "letf, width 64, 3 blocks".into(),
        batch: train.batch,
        num_steps: steps,
        threads: threads::workers(),
        train_steps_per_cpu_s: work / training.0,
        train_steps_per_s: work / training.1,
        chain_steps_per_cpu_s: chain / sampling.0,
        chain_steps_per_s: chain / sampling.1,
        reference_train_steps_per_cpu_s: case.reference.0,
        reference_chain_steps_per_cpu_s: case.reference.1,
    })
}

/// CPU and wall seconds.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    work()?;
    Ok((cpu_seconds() - cpu, wall.elapsed().as_secs_f64()))
}

/// The rows beside their references.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "target",
        "updates/CPU s",
        "authors",
        "ratio",
        "chain steps/CPU s",
        "authors",
        "ratio",
        "updates/s",
        "chain steps/s",
    ]);
    for row in rows {
        let ratio = |own: f64, reference: f64| format!("{:.1}x", own / reference);
        table.row([
            row.target.clone(),
            figure(row.train_steps_per_cpu_s, 3),
            figure(row.reference_train_steps_per_cpu_s, 3),
            ratio(row.train_steps_per_cpu_s, row.reference_train_steps_per_cpu_s),
            figure(row.chain_steps_per_cpu_s, 4),
            figure(row.reference_chain_steps_per_cpu_s, 4),
            ratio(row.chain_steps_per_cpu_s, row.reference_chain_steps_per_cpu_s),
            figure(row.train_steps_per_s, 3),
            figure(row.chain_steps_per_s, 4),
        ]);
    }
    table
}
