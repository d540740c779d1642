//! Molecules by themselves: what a pair of files holds, and what energies and forces cost.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::config::{self, cli};
use sampler::log::table::Table;
use sampler::targets::molecule;
use sampler::targets::molecule::features::{l_fraction, torsions};
use sampler::targets::molecule::force_field::ForceField;
use sampler::torch::{device, threads};
use sampler::train::molecule::bench::{self, MOLECULES, Protocol};
use sampler::train::molecule::check::{self, CheckArgs};
use sampler::train::molecule::openmm::OpenMm;
use sampler::train::molecule::reference::condense;
use tch::{Device, Kind};

/// Looks into molecule files, measures what their energies cost, and condenses ensembles.
///
/// Files are a System serialised by OpenMM and a PDB file of the same atoms (assets/molecules/README.md).
#[derive(Parser)]
#[command(after_help = "Examples:
  molecule info assets/molecules/CAVQ_amber14_obc1/system.xml assets/molecules/CAVQ_amber14_obc1/topology.pdb
  molecule check
  molecule bench
  molecule bench --json --threads 2 --precision f64
  MOLECULE_PYTHON=~/openmm/bin/python molecule bench
  molecule reference runs/md/aldp_ff96_obc1/000-seed0/samples.safetensors \\
      --topology assets/molecules/aldp_ff96_obc1/topology.pdb --out ensemble.safetensors")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Atoms, forces, energies and torsions of the PDB file's conformation
    Info { system: PathBuf, topology: PathBuf },
    /// How far energies and forces are from OpenMM's values that ship
    Check(CheckArgs),
    /// CPU milliseconds for energies and forces of 1000 conformations; beside OpenMM's, measured in the same run, where
    /// python3 (or the interpreter that MOLECULE_PYTHON names) imports openmm
    Bench(BenchArgs),
    /// Backbone torsions of an ensemble in a small file, for eval.torsions.reference: some frames, and a histogram of all
    Reference {
        /// A tensor file with `x` [M, D] or `positions` [M, atoms, 3] in nm, such as samples.safetensors of `md run`
        samples: PathBuf,
        /// A PDB file of the same atoms
        #[arg(long)]
        topology: PathBuf,
        /// Frames whose angles are kept
        #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(i64).range(1..))]
        frames: i64,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args)]
struct BenchArgs {
    /// Print a JSON array of rows instead of a table
    #[arg(long)]
    json: bool,
    /// Folder that holds the molecules
    #[arg(long, default_value = "assets/molecules")]
    folder: PathBuf,
    /// The molecules, as sub-folders of it
    #[arg(long, value_delimiter = ',', default_values = MOLECULES)]
    molecules: Vec<String>,
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
}

fn main() -> ExitCode {
    let arguments = Cli::parse();
    cli::run(move || match &arguments.verb {
        Verb::Info { system, topology } => info(system, topology),
        Verb::Check(args) => check::check(args),
        Verb::Bench(args) => time_energies(args),
        Verb::Reference { samples, topology, frames, out } => {
            let condensed = condense(samples, topology, *frames, out)?;
            println!("{}: {} of {} frames", out.display(), condensed.kept, condensed.frames);
            Ok(())
        }
    })
}

fn time_energies(args: &BenchArgs) -> Result<()> {
    config::check::at_least("--batch", args.batch, 1)?;
    config::check::at_least("--repeat", args.repeat, 1)?;
    config::check::at_least("--threads", args.threads, 1)?;
    config::check::one_of("--precision", &args.precision, &["f32", "f64"])?;
    threads::configure(Some(args.threads));
    let kind = if args.precision == "f32" { Kind::Float } else { Kind::Double };
    let options = (kind, device::select(&args.device)?.0);
    let protocol = Protocol { options, batch: args.batch, repeat: args.repeat };
    let openmm = OpenMm::find();
    let rows = args.molecules.iter().map(|name| bench::measure(name, &args.folder, protocol, openmm.as_ref()));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    println!("Energies and forces of 1000 conformations, milliseconds.");
    print!("{}", bench::table(&rows).to_text());
    println!("{}", bench::note(&rows));
    Ok(())
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
