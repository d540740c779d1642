//! Time of a long run of many chains on a fine resolution.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::config::InverseConfig;
use super::setup::Setup;
use crate::log::table::{Table, figure};
use crate::samplers::inverse::Plan;
use crate::torch::threads;
use crate::train::bridge::bench::{cpu_seconds, peak_mib};

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub problem: String,
    pub preconditioner: String,
    pub modes: i64,
    pub chains: i64,
    pub iterations: u64,
    pub threads: usize,
    pub wall_s: f64,
    pub cpu_s: f64,
    /// CPU time of one step of one mode of one chain.
    pub cpu_ns_per_mode_step: f64,
    pub peak_mib: f64,
    /// Largest relative deviation of a mode's variance from that of the chain's exact law, of the first hundred modes.
    pub variance_error: f64,
}

/// The Brownian sheet with `modes` an axis under the optimal preconditioner, averages of every mode kept.
pub fn measure(modes: i64, chains: i64, iterations: u64) -> Result<Row> {
    let config = json!({
        "problem": {
            "basis": {"type": "brownian_sheet", "modes": modes},
            "covariance": {"type": "brownian"},
            "operator": {"type": "identity"},
            "sigma": 0.01,
        },
        "sampler": {"preconditioner": {"type": "optimal"}, "step": 0.5, "iterations": iterations, "chains": chains},
    });
    let config: InverseConfig = serde_json::from_value(config).context("the built-in config is wrong")?;
    let setup = Setup::new(&config)?;
    let plan = Plan {
        seed: 0,
        iterations,
        burn_in: iterations / 10,
        thin: 1,
        snapshots: vec![iterations],
        traced: Vec::new(),
        traced_chains: 1,
    };
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let record = setup.run(&config, None, &plan)?;
    let (wall_s, cpu_s) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);

    let law = setup.law.as_ref().and_then(|law| law.chain_variance(config.sampler.step)).context("no law")?;
    let off = (record.variance() / law - 1.0).abs().narrow(0, 0, setup.problem.dim().min(100));
    let steps = iterations as f64 * (chains * setup.problem.dim()) as f64;
    Ok(Row {
        problem: "brownian_sheet".into(),
        preconditioner: config.sampler.preconditioner.name().into(),
        modes: setup.problem.dim(),
        chains,
        iterations,
        threads: threads::workers(),
        wall_s,
        cpu_s,
        cpu_ns_per_mode_step: cpu_s * 1e9 / steps,
        peak_mib: peak_mib(),
        variance_error: off.max().double_value(&[]),
    })
}

pub fn table(rows: &[Row]) -> Table {
    let header =
        ["problem", "modes", "chains", "iterations", "threads", "wall s", "CPU s", "CPU ns/mode step", "peak MiB"];
    let mut table = Table::new(header);
    for row in rows {
        table.row([
            row.problem.clone(),
            row.modes.to_string(),
            row.chains.to_string(),
            row.iterations.to_string(),
            row.threads.to_string(),
            figure(row.wall_s, 4),
            figure(row.cpu_s, 4),
            figure(row.cpu_ns_per_mode_step, 3),
            figure(row.peak_mib, 4),
        ]);
    }
    table
}
