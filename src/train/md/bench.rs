//! How fast replicas move: nanoseconds a day.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use tch::{Device, Tensor};

use super::config::MdConfig;
use super::system::{self, System};
use crate::log::table::{Table, figure};
use crate::targets::TargetConfig;
use crate::torch::device;
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;
use crate::train::bridge::bench::{cpu_seconds, median};
use crate::train::molecule::openmm::{MdSpeed, OpenMm};

/// One measured config; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub target: String,
    pub device: String,
    pub threads: usize,
    /// Replicas in the batch.
    pub batch: i64,
    pub step_fs: f64,
    pub steps: i64,
    pub wall_ms_per_step: f64,
    pub cpu_ms_per_step: f64,
    /// Simulated time of one replica, and of all together.
    pub ns_per_day: f64,
    pub ns_per_day_batch: f64,
    /// One molecule on each of OpenMM's platforms, in the same run; absent where OpenMM is not installed or the density
    /// is no molecule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmm: Option<Vec<MdSpeed>>,
    /// The whole batch's nanoseconds a day over those of OpenMM's fastest platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmm_ratio: Option<f64>,
}

/// Steps timed at once; the median over such stretches counts.
const STRETCH: i64 = 20;

/// Times `steps` steps of `batch` replicas at the config's first temperature.
pub fn measure(name: &str, config: &MdConfig, batch: i64, steps: i64, device: Device) -> Result<Row> {
    let _guard = tch::no_grad_guard();
    let mut config = config.clone();
    config.dynamics.temperatures.truncate(1);
    config.run.chains = batch;
    let System { mut replicas, start: mut state } = system::build(&config, device)?;
    let shape = [STRETCH, batch, state.x.size()[1]];
    let options = (state.x.kind(), state.x.device());
    let mut timings = Vec::new();
    // The first stretch warms up.
    for stretch in 0..=(steps as u64).div_ceil(STRETCH as u64) {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        reseed(config.seed, Stream::Train, stretch);
        state = replicas.advance(state, &Tensor::randn(shape, options)).0;
        device::synchronize(device);
        timings.push((wall.elapsed().as_secs_f64(), cpu_seconds() - cpu));
    }
    let per_step = |values: Vec<f64>| median(values.into_iter()) / STRETCH as f64;
    let wall_s = per_step(timings[1..].iter().map(|t| t.0).collect());
    let ns_per_day = config.dynamics.step * 1e-3 * 86_400.0 / wall_s;
    Ok(Row {
        target: name.to_string(),
        device: device::describe(device),
        threads: if device == Device::Cpu { threads::workers() } else { 1 },
        batch,
        step_fs: config.dynamics.step * 1e3,
        steps: (timings.len() as i64 - 1) * STRETCH,
        wall_ms_per_step: wall_s * 1e3,
        cpu_ms_per_step: per_step(timings[1..].iter().map(|t| t.1).collect()) * 1e3,
        ns_per_day,
        ns_per_day_batch: ns_per_day * batch as f64,
        openmm: None,
        openmm_ratio: None,
    })
}

impl Row {
    /// Measures the same molecule with OpenMM.
    pub fn compare(&mut self, config: &MdConfig, openmm: &OpenMm) -> Result<()> {
        let TargetConfig::Molecule(molecule) = &config.target else { return Ok(()) };
        let speeds = openmm.md_speed(&molecule.system, &molecule.topology, self.step_fs)?;
        let fastest = speeds.iter().map(|speed| speed.ns_per_day).fold(f64::NAN, f64::max);
        self.openmm_ratio = Some(self.ns_per_day_batch / fastest);
        self.openmm = Some(speeds);
        Ok(())
    }

    /// The fastest of OpenMM's platforms.
    fn fastest(&self) -> Option<&MdSpeed> {
        self.openmm.as_ref()?.iter().max_by(|a, b| a.ns_per_day.total_cmp(&b.ns_per_day))
    }
}

/// The rows as a table, with OpenMM's columns where it was measured.
pub fn table(rows: &[Row]) -> Table {
    let mut header = vec![
        "config",
        "device",
        "threads",
        "batch",
        "fs",
        "wall ms/step",
        "CPU ms/step",
        "ns/day",
        "ns/day, whole batch",
    ];
    let compared = rows.iter().any(|row| row.openmm.is_some());
    if compared {
        header.extend(["OpenMM, fastest platform", "ns/day, one molecule", "whole batch / OpenMM"]);
    }
    let mut table = Table::new(header);
    for row in rows {
        let mut cells = vec![
            row.target.clone(),
            row.device.clone(),
            row.threads.to_string(),
            row.batch.to_string(),
            figure(row.step_fs, 2),
            figure(row.wall_ms_per_step, 3),
            figure(row.cpu_ms_per_step, 3),
            figure(row.ns_per_day, 3),
            figure(row.ns_per_day_batch, 4),
        ];
        if let (Some(speed), Some(ratio)) = (row.fastest(), row.openmm_ratio) {
            cells.extend([speed.platform.clone(), figure(speed.ns_per_day, 3), format!("{ratio:.1}x")]);
        } else if compared {
            cells.extend(["–"; 3].map(String::from));
        }
        table.row(cells);
    }
    table
}
