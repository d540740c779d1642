//! What a flow costs: CPU and wall milliseconds a sample, and peak memory.
//!
//! Networks, molecules and batches are those for which the authors' own code was timed. Weights are random, on which
//! the cost does not depend. Each row runs in a process of its own, so that its peak memory is its own.

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::proposals::shares;
use super::subject::Subject;
use super::team::FlowTeam;
use crate::bad_input;
use crate::flows::{Flow, FlowConfig, Inversion, NetworkConfig};
use crate::log::progress::Terminal;
use crate::log::table::{Table, figure};
use crate::targets::molecule::peptide;
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::bridge::bench::{cpu_seconds, peak_mib};

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Print a JSON array and nothing else: network, parameters, molecule, atoms, batch, operation, device, threads,
    /// repeats, cpu_ms_per_sample, wall_ms_per_sample, samples_per_s, peak_mib (of the process, not of a GPU)
    #[arg(long)]
    pub json: bool,

    /// Only rows whose name (network/molecule/batch/operation, as full/ARIP/4/sample) contains one of these words
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub rows: Vec<String>,

    /// Samples at once, in place of each row's own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub batch: Option<i64>,

    /// Calls timed a row, after one that is not; the fastest counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeats: u32,

    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,

    /// CPU threads among which a batch is divided [default: OMP_NUM_THREADS, else one a core]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,

    /// Measure this row alone, in this process
    #[arg(long, hide = true)]
    pub row: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// `log q` of given points.
    LogProb,
    /// Points from noise, with their `log q`.
    Sample,
    /// `log q` of given points and its gradient.
    Gradient,
}

impl Operation {
    const ALL: [Self; 3] = [Self::LogProb, Self::Sample, Self::Gradient];

    fn name(self) -> &'static str {
        match self {
            Operation::LogProb => "log_prob",
            Operation::Sample => "sample",
            Operation::Gradient => "gradient",
        }
    }
}

/// One row to measure.
#[derive(Debug, Clone, Copy)]
struct Case {
    network: &'static str,
    molecule: &'static str,
    batch: i64,
    operation: Operation,
}

impl Case {
    fn name(&self) -> String {
        format!("{}/{}/{}/{}", self.network, self.molecule, self.batch, self.operation.name())
    }
}

fn cases() -> Vec<Case> {
    let sizes = [("mid", "AA", 1), ("mid", "AA", 32), ("mid", "ARIP", 16), ("full", "AA", 8), ("full", "ARIP", 4)];
    let each =
        |(network, molecule, batch)| Operation::ALL.map(|operation| Case { network, molecule, batch, operation });
    sizes.into_iter().flat_map(each).collect()
}

/// The networks of the rows: `full` is the published one (configs/flow/prose.yaml), `mid` has a ninth of its
/// parameters (configs/flow/mid.yaml).
pub fn network(name: &str) -> FlowConfig {
    let full = NetworkConfig::default();
    let mid = || NetworkConfig { channels: 256, num_blocks: 4, layers_per_block: 4, ..NetworkConfig::default() };
    FlowConfig::Prose(if name == "mid" { mid() } else { full })
}

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub network: String,
    pub parameters: i64,
    pub molecule: String,
    pub atoms: i64,
    pub batch: i64,
    pub operation: String,
    pub device: String,
    pub threads: usize,
    pub repeats: u32,
    pub cpu_ms_per_sample: f64,
    pub wall_ms_per_sample: f64,
    pub samples_per_s: f64,
    pub peak_mib: f64,
}

/// The verb: every row in a process of its own, or one row in this.
pub fn bench(args: &BenchArgs) -> Result<()> {
    if let Some(name) = &args.row {
        let case = cases().into_iter().find(|case| case.name() == *name);
        let row = measure(case.context("no such row")?, args)?;
        Terminal::new().result(&serde_json::to_string(&row)?);
        return Ok(());
    }
    device::parse(&args.device)?;
    let chosen = |case: &Case| args.rows.is_empty() || args.rows.iter().any(|word| case.name().contains(word));
    let cases: Vec<Case> = cases().into_iter().filter(chosen).collect();
    if cases.is_empty() {
        let all: Vec<String> = self::cases().iter().map(Case::name).collect();
        return Err(bad_input!("--rows {}: no row has such a name, there are {}", args.rows.join(","), all.join(" ")));
    }
    let rows = cases.iter().map(|case| apart(case, args)).collect::<Result<Vec<_>>>()?;
    let text = if args.json { serde_json::to_string_pretty(&rows)? } else { table(&rows).to_text() };
    Terminal::new().result(&text);
    Ok(())
}

/// This program again, for one row.
fn apart(case: &Case, args: &BenchArgs) -> Result<Row> {
    let name = case.name();
    let mut child = Command::new(std::env::current_exe().context("this program's own file is not known")?);
    child.args(["bench", "--row", &name, "--device", &args.device, "--repeats", &args.repeats.to_string()]);
    child.args(args.batch.map(|n| format!("--batch={n}")));
    child.args(args.threads.map(|n| format!("--threads={n}")));
    let output = child.stderr(Stdio::inherit()).output().with_context(|| format!("row {name} cannot be started"))?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("row {name} failed"))
}

fn measure(case: Case, args: &BenchArgs) -> Result<Row> {
    threads::configure(args.threads.map(usize::from));
    let (device, _) = device::select(&args.device)?;
    let config = network(case.network);
    let subject = Subject::new(case.molecule, peptide::topology(case.molecule)?, &config)?;
    reseed(0, Stream::Init, 0);
    let mut team = FlowTeam::new(config.build(Kind::Float, device)?)?;
    let batch = args.batch.unwrap_or(case.batch);
    let points = Tensor::randn([batch, subject.atoms(), 3], (Kind::Float, device));

    // The first call pages everything in.
    once(&mut team, &subject, &points, case.operation);
    let (mut cpu_s, mut wall_s) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..args.repeats {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        once(&mut team, &subject, &points, case.operation);
        wall_s = wall_s.min(wall.elapsed().as_secs_f64());
        cpu_s = cpu_s.min(cpu_seconds() - cpu);
    }
    let ms_per_sample = |seconds: f64| seconds * 1e3 / batch as f64;
    Ok(Row {
        network: case.network.to_string(),
        parameters: team.params().count(),
        molecule: case.molecule.to_string(),
        atoms: subject.atoms(),
        batch,
        operation: case.operation.name().to_string(),
        device: device::describe(device),
        threads: team.len(),
        repeats: args.repeats,
        cpu_ms_per_sample: ms_per_sample(cpu_s),
        wall_ms_per_sample: ms_per_sample(wall_s),
        samples_per_s: batch as f64 / wall_s,
        peak_mib: peak_mib(),
    })
}

/// One call for the whole batch, conditioning included, as for a molecule that is new to the network.
fn once(team: &mut FlowTeam, subject: &Subject, points: &Tensor, operation: Operation) {
    let device = team.device();
    let share = |points: Tensor| (points, subject.conditioning.to_device(device));
    let shares = shares(points, team.len()).into_iter().map(share).collect();
    team.each(shares, |flow, (points, conditioning)| {
        let _guard = tch::no_grad_guard();
        let molecule = flow.prepare(&conditioning);
        match operation {
            Operation::LogProb => drop(flow.log_q(&points, &molecule)),
            Operation::Sample => drop(flow.sample(&points, &molecule, Inversion::Sequential)),
            Operation::Gradient => drop(flow.log_q_and_score(&points, &molecule)),
        }
    });
    device::synchronize(device);
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "network",
        "parameters",
        "molecule",
        "atoms",
        "batch",
        "operation",
        "device",
        "threads",
        "CPU ms/sample",
        "wall ms/sample",
        "samples/s",
        "peak MiB",
    ]);
    for row in rows {
        table.row([
            row.network.clone(),
            row.parameters.to_string(),
            row.molecule.clone(),
            row.atoms.to_string(),
            row.batch.to_string(),
            row.operation.clone(),
            row.device.clone(),
            row.threads.to_string(),
            figure(row.cpu_ms_per_sample, 3),
            figure(row.wall_ms_per_sample, 3),
            figure(row.samples_per_s, 3),
            figure(row.peak_mib, 4),
        ]);
    }
    table
}
