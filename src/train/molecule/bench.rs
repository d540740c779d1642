//! What energies and forces of 1000 conformations cost, beside OpenMM's CPU platform where that is installed.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::openmm::{INTERPRETER, OpenMm, Speed};
use crate::log::table::{Table, figure};
use crate::targets::Options;
use crate::targets::molecule;
use crate::targets::molecule::force_field::ForceField;
use crate::torch::{autograd, device, threads};
use crate::train::bridge::bench::cpu_seconds;

/// The molecules of the table.
pub const MOLECULES: [&str; 4] =
    ["aldp_ff96_obc1", "CAVQ_amber14_obc1", "AAAAAA_amber14_obc1", "AHKILWHG_amber14_obc1"];

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub options: Options,
    /// Conformations in a batch.
    pub batch: i64,
    /// Repetitions, of which the cheapest counts.
    pub repeat: u32,
}

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Serialize)]
pub struct Row {
    pub molecule: String,
    pub atoms: usize,
    pub precision: String,
    pub device: String,
    pub threads: usize,
    pub batch: i64,
    /// CPU and wall milliseconds for 1000 conformations.
    pub cpu_ms: f64,
    pub wall_ms: f64,
    /// The same by tensor operations and their gradient.
    pub tensor_cpu_ms: f64,
    pub tensor_wall_ms: f64,
    /// OpenMM's CPU platform with two threads, one conformation at a time from Python, in the same run; absent where
    /// OpenMM is not installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmm: Option<Speed>,
    /// OpenMM's CPU time over ours, and its wall time over ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmm_cpu_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openmm_wall_ratio: Option<f64>,
}

/// Measures the molecule whose files are in `folder/name`.
pub fn measure(name: &str, folder: &Path, protocol: Protocol, openmm: Option<&OpenMm>) -> Result<Row> {
    let folder = folder.join(name);
    let (system, topology) = molecule::read(&folder.join("system.xml"), &folder.join("topology.pdb"))?;
    let Protocol { options, batch, repeat } = protocol;
    let field = ForceField::new(&system, options)?;
    let x = conformations(&topology.flat_positions(), batch).to_device(options.1).to_kind(options.0);
    let scale = 1e6 / batch as f64;

    let fast = cheapest(repeat, options, || field.energy_and_forces(&x))?;
    let tensors = cheapest(repeat.min(2), options, || by_tensors(&field, &x))?;
    let openmm = openmm.map(|openmm| openmm.speed(&folder)).transpose()?;
    let (cpu_ms, wall_ms) = (fast.0 * scale, fast.1 * scale);
    Ok(Row {
        molecule: name.to_string(),
        atoms: field.atoms(),
        precision: if options.0 == Kind::Float { "f32" } else { "f64" }.to_string(),
        device: format!("{:?}", options.1).to_lowercase(),
        threads: threads::workers(),
        batch,
        cpu_ms,
        wall_ms,
        tensor_cpu_ms: tensors.0 * scale,
        tensor_wall_ms: tensors.1 * scale,
        openmm_cpu_ratio: openmm.as_ref().map(|speed| speed.cpu_ms / cpu_ms),
        openmm_wall_ratio: openmm.as_ref().map(|speed| speed.wall_ms / wall_ms),
        openmm,
    })
}

/// Conformations about the file's, spread as widely as at room temperature, `[N, 3 A]` f64.
fn conformations(start: &Tensor, batch: i64) -> Tensor {
    let noise = (Tensor::arange(batch * start.size()[1], (Kind::Double, start.device())) * 7.13).sin() * 0.01;
    start + noise.view([batch, -1])
}

/// Energies and slopes by tensor operations, in pieces of a size that caches hold.
fn by_tensors(field: &ForceField, x: &Tensor) -> (Tensor, Tensor) {
    let rows = ((1 << 19) / (field.atoms() * field.atoms()) as i64).max(1);
    let one = |rows: &Tensor| autograd::value_and_grad(rows, |x| field.energy_by_tensors(x));
    let (energy, slope): (Vec<Tensor>, Vec<Tensor>) = x.split(rows, 0).iter().map(one).unzip();
    (Tensor::cat(&energy, 0), Tensor::cat(&slope, 0))
}

/// CPU and wall seconds of the cheapest of `repeat` runs after one that warms up.
fn cheapest(repeat: u32, options: Options, run: impl Fn() -> (Tensor, Tensor)) -> Result<(f64, f64)> {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for k in 0..=repeat {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let (energy, forces) = run();
        device::synchronize(options.1);
        let spent = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
        let finite = energy.isfinite().all().logical_and(&forces.isfinite().all()).int64_value(&[]) == 1;
        if !finite {
            bail!("energies or forces are not finite");
        }
        if k > 0 {
            best = (best.0.min(spent.0), best.1.min(spent.1));
        }
    }
    Ok(best)
}

/// The rows as a table, with OpenMM's columns where it was measured.
pub fn table(rows: &[Row]) -> Table {
    let compared = rows.iter().any(|row| row.openmm.is_some());
    let mut header = vec!["molecule", "atoms", "kind", "CPU ms", "wall ms", "by tensors, CPU ms"];
    if compared {
        header.extend(["OpenMM, CPU ms", "wall ms", "OpenMM / ours, CPU", "wall"]);
    }
    let mut table = Table::new(header);
    for row in rows {
        let mut cells = vec![row.molecule.clone(), row.atoms.to_string(), row.precision.clone()];
        cells.extend([row.cpu_ms, row.wall_ms, row.tensor_cpu_ms].map(|ms| figure(ms, 3)));
        if compared {
            let openmm = row.openmm.as_ref().map(|speed| [speed.cpu_ms, speed.wall_ms]);
            let ratios = row.openmm_cpu_ratio.zip(row.openmm_wall_ratio);
            cells.extend(openmm.map_or(["–", "–"].map(String::from), |ms| ms.map(|ms| figure(ms, 3))));
            cells.extend(ratios.map_or(["–", "–"].map(String::from), |(a, b)| [a, b].map(|r| format!("{r:.0}x"))));
        }
        table.row(cells);
    }
    table
}

/// What stands below the table.
pub fn note(rows: &[Row]) -> String {
    match rows.iter().find_map(|row| row.openmm.as_ref()) {
        Some(Speed { version, threads, .. }) => format!(
            "OpenMM {version}, CPU platform, {threads} threads, one conformation at a time from Python, in this run."
        ),
        None => format!("Not compared with OpenMM: no Python imports it (python3, or {INTERPRETER}=PATH)."),
    }
}
