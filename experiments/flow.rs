//! `flow`: transferable normalizing flows of peptides.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::log::progress::Terminal;
use sampler::targets::molecule::pdb_writer::write_topology;
use sampler::targets::molecule::peptide;
use sampler::train::flow::launch;
use sampler::train::flow::topology::Described;
use sampler::train::flow::tune;

/// Normalizing flows that know peptides by their sequences.
///
/// Lengths are nm. A peptide is a sequence in one-letter code (uncapped, histidines with their hydrogen at NE2)
/// or as a PDB file of one.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  flow train configs/flow/AA_small.yaml
  flow finetune configs/flow/finetune_AA.yaml
  flow topology ARIP --out ARIP.pdb
  flow topology ARIP.pdb --json";

#[derive(Subcommand)]
enum Verb {
    /// Train (or go on with --resume); writes flow.safetensors, which says by itself how to build its network
    Train(Common),
    /// Adapt weights to one molecule without data: learn from their own reweighted proposals, round by round
    Finetune(Common),
    /// Atoms, bonds, tokens and orders of a peptide; with --out a PDB file of it, stretched out
    Topology(TopologyArgs),
}

#[derive(Args)]
struct TopologyArgs {
    /// A sequence such as ARIP, or a PDB file
    #[arg(value_name = "SEQUENCE|PDB")]
    peptide: String,
    /// Write the conformation to this PDB file: of a sequence one from ideal geometry
    #[arg(long, value_name = "FILE.pdb")]
    out: Option<PathBuf>,
    /// Print a JSON object instead of tables: sequence, n_atoms, atoms, bonds, encodings, permutations, stereocentres,
    /// positions (nm)
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::run(|| match cli::parse::<Cli>().verb {
        Verb::Train(common) => launch::train_flow(&common),
        Verb::Finetune(common) => tune::launch::finetune(&common),
        Verb::Topology(args) => topology(&args),
    })
}

fn topology(args: &TopologyArgs) -> Result<()> {
    let topology = peptide::read(&args.peptide)?;
    let described = Described::of(&topology)?;
    let text = if args.json { described.to_json().to_string() } else { described.to_text() };
    let mut terminal = Terminal::new();
    terminal.result(&text);
    if let Some(out) = &args.out {
        write_topology(out, &topology)?;
        terminal.line(&format!("written: {}", out.display()));
    }
    Ok(())
}
