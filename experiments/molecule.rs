//! Molecules by themselves: what a pair of files holds, and what energies and forces cost.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use sampler::config::{check, cli};
use sampler::log::table::{Table, figure};
use sampler::targets::molecule;
use sampler::targets::molecule::features::{l_fraction, torsions};
use sampler::targets::molecule::force_field::ForceField;
use sampler::torch::{autograd, device, threads};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

/// Looks into molecule files and measures what their energies cost.
///
/// Files are a System serialised by OpenMM and a PDB file of the same atoms (assets/molecules/README.md).
#[derive(Parser)]
#[command(after_help = "Examples:
  molecule info assets/molecules/CAVQ_amber14_obc1/system.xml assets/molecules/CAVQ_amber14_obc1/topology.pdb
  molecule bench
  molecule bench --json --threads 2 --precision f64")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Atoms, forces, energies and torsions of the PDB file's conformation
    Info { system: PathBuf, topology: PathBuf },
    /// CPU milliseconds for energies and forces of 1000 conformations, beside OpenMM's
    Bench {
        /// Print a JSON array of rows instead of a table
        #[arg(long)]
        json: bool,
        /// Folder that holds the molecules
        #[arg(long, default_value = "assets/molecules")]
        folder: PathBuf,
        /// f32 or f64
        #[arg(long, default_value = "f32")]
        precision: String,
        /// CPU workers
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Conformations in a batch
        #[arg(long, default_value_t = 1000)]
        batch: i64,
        /// Repetitions, of which the cheapest counts
        #[arg(long, default_value_t = 5)]
        repeat: u32,
        /// Where to compute: auto, cpu, cuda, or cuda:N
        #[arg(long, default_value = "cpu")]
        device: String,
    },
}

fn main() -> ExitCode {
    let arguments = Cli::parse();
    cli::run(move || match &arguments.verb {
        Verb::Info { system, topology } => info(system, topology),
        Verb::Bench { json, folder, precision, threads, batch, repeat, device } => {
            check::at_least("--batch", *batch, 1)?;
            check::at_least("--repeat", *repeat, 1)?;
            check::at_least("--threads", *threads, 1)?;
            check::one_of("--precision", precision, &["f32", "f64"])?;
            threads::configure(Some(*threads));
            let kind = if precision == "f32" { Kind::Float } else { Kind::Double };
            let options = (kind, device::select(device)?.0);
            let rows = REFERENCES.iter().map(|reference| bench(reference, folder, options, *batch, *repeat));
            print(&rows.collect::<Result<Vec<_>>>()?, *json)
        }
    })
}

fn info(system: &std::path::Path, topology: &std::path::Path) -> Result<()> {
    let (system, topology) = molecule::read(system, topology)?;
    let field = ForceField::new(&system, (Kind::Double, Device::Cpu))?;
    let x = topology.flat_positions();
    let mass: f64 = field.masses().iter().sum();
    println!(
        "{} atoms, {} residues, {} bonds, {mass:.3} amu",
        field.atoms(),
        topology.residues.len(),
        topology.bonds.len()
    );
    println!("energies: {}", if field.has_kernel() { "vectorised kernel on the CPU" } else { "tensor operations" });

    let mut table = Table::new(["force", "kJ/mol"]);
    let terms = field.energy_terms(&x);
    for (k, name) in field.names().iter().enumerate() {
        table.row([name.to_string(), format!("{:.6}", terms.double_value(&[0, k as i64]))]);
    }
    table.row(["total".to_string(), format!("{:.6}", field.energy(&x).double_value(&[0]))]);
    print!("{}", table.to_text());

    let centres = topology.chiral_centres();
    println!(
        "L residues: {:.0} of {}",
        l_fraction(&x, &centres).double_value(&[0]) * centres.len() as f64,
        centres.len()
    );
    for (phi, psi) in topology.ramachandran() {
        let angles = torsions(&x, &[phi, psi]);
        let (residue, degrees) = (&topology.residues[phi.residue], |k| angles.double_value(&[0, k]).to_degrees());
        println!("{} {}: phi {:.1}, psi {:.1} degrees", residue.name, residue.number, degrees(0), degrees(1));
    }
    Ok(())
}

/// What others need for the same, measured on two cores of a comparable machine.
struct Reference {
    molecule: &'static str,
    /// OpenMM 8.6.1, CPU platform, two threads, one conformation at a time from Python, as PROSE calls it.
    openmm_cpu_ms: f64,
    /// The formulas written with PyTorch, f32, one thread.
    torch_cpu_ms: f64,
}

const REFERENCES: [Reference; 4] = [
    Reference { molecule: "aldp_ff96_obc1", openmm_cpu_ms: 309.0, torch_cpu_ms: 25.0 },
    Reference { molecule: "CAVQ_amber14_obc1", openmm_cpu_ms: 752.0, torch_cpu_ms: 165.0 },
    Reference { molecule: "AAAAAA_amber14_obc1", openmm_cpu_ms: 838.0, torch_cpu_ms: 224.0 },
    Reference { molecule: "AHKILWHG_amber14_obc1", openmm_cpu_ms: 2572.0, torch_cpu_ms: 1050.0 },
];

/// One measured row; `bench --json` prints an array of these.
#[derive(Debug, Serialize)]
struct Row {
    molecule: String,
    atoms: usize,
    precision: String,
    device: String,
    threads: usize,
    batch: i64,
    /// CPU and wall milliseconds for 1000 conformations.
    cpu_ms: f64,
    wall_ms: f64,
    /// The same by tensor operations and their gradient.
    tensor_cpu_ms: f64,
    tensor_wall_ms: f64,
    reference_openmm_cpu_ms: f64,
    reference_torch_cpu_ms: f64,
}

fn bench(
    reference: &Reference,
    folder: &std::path::Path,
    options: (Kind, Device),
    batch: i64,
    repeat: u32,
) -> Result<Row> {
    let folder = folder.join(reference.molecule);
    let (system, topology) = molecule::read(&folder.join("system.xml"), &folder.join("topology.pdb"))?;
    let field = ForceField::new(&system, options)?;
    // Conformations about the minimum, spread as widely as at room temperature.
    let start = topology.flat_positions();
    let noise = (Tensor::arange(batch * start.size()[1], (Kind::Double, Device::Cpu)) * 7.13).sin() * 0.01;
    let x = (start + noise.view([batch, -1])).to_device(options.1).to_kind(options.0);
    let scale = 1e6 / batch as f64;

    let fast = cheapest(repeat, || field.energy_and_forces(&x))?;
    let tensors = cheapest(repeat.min(2), || {
        // Pieces of a size that caches hold.
        let rows = x.split((1 << 19) / (field.atoms() * field.atoms()) as i64, 0);
        let parts = rows.iter().map(|rows| autograd::value_and_grad(rows, |x| field.energy_by_tensors(x)));
        let (energy, slope): (Vec<Tensor>, Vec<Tensor>) = parts.unzip();
        (Tensor::cat(&energy, 0), Tensor::cat(&slope, 0))
    })?;
    Ok(Row {
        molecule: reference.molecule.to_string(),
        atoms: field.atoms(),
        precision: if options.0 == Kind::Float { "f32" } else { "f64" }.to_string(),
        device: format!("{:?}", options.1).to_lowercase(),
        threads: threads::workers(),
        batch,
        cpu_ms: fast.0 * scale,
        wall_ms: fast.1 * scale,
        tensor_cpu_ms: tensors.0 * scale,
        tensor_wall_ms: tensors.1 * scale,
        reference_openmm_cpu_ms: reference.openmm_cpu_ms,
        reference_torch_cpu_ms: reference.torch_cpu_ms,
    })
}

/// CPU and wall seconds of the cheapest of `repeat` runs after one that warms up.
fn cheapest(repeat: u32, run: impl Fn() -> (Tensor, Tensor)) -> Result<(f64, f64)> {
    let mut best = (f64::INFINITY, f64::INFINITY);
    for k in 0..=repeat {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        let (energy, forces) = run();
        let finite = energy.isfinite().all().logical_and(&forces.isfinite().all()).int64_value(&[]) == 1;
        if !finite {
            bail!("energies or forces are not finite");
        }
        if k > 0 {
            best = (best.0.min(cpu_seconds() - cpu), best.1.min(wall.elapsed().as_secs_f64()));
        }
    }
    Ok(best)
}

fn cpu_seconds() -> f64 {
    // SAFETY: getrusage fills the zeroed struct it is given.
    let usage: libc::rusage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn print(rows: &[Row], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    println!("Energies and forces of 1000 conformations, milliseconds; the last three columns are CPU time elsewhere.");
    let mut table = Table::new([
        "molecule",
        "atoms",
        "kind",
        "CPU",
        "wall",
        "by tensors",
        "OpenMM, 2 threads",
        "ratio",
        "torch f32",
    ]);
    for row in rows {
        table.row([
            row.molecule.clone(),
            row.atoms.to_string(),
            row.precision.clone(),
            figure(row.cpu_ms, 3),
            figure(row.wall_ms, 3),
            figure(row.tensor_cpu_ms, 3),
            figure(row.reference_openmm_cpu_ms, 3),
            format!("{:.0}x", row.reference_openmm_cpu_ms / row.cpu_ms),
            figure(row.reference_torch_cpu_ms, 3),
        ]);
    }
    print!("{}", table.to_text());
    Ok(())
}
