//! `flow`: transferable normalizing flows of peptides.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::log::progress::Terminal;
use sampler::targets::molecule::pdb_writer::write_topology;
use sampler::targets::molecule::peptide;
use sampler::train::flow::bench::{BenchArgs, bench};
use sampler::train::flow::info::{InfoArgs, info};
use sampler::train::flow::launch;
use sampler::train::flow::measure::{EvalArgs, evaluate};
use sampler::train::flow::reference::{ReferenceArgs, condense};
use sampler::train::flow::sample_args::{SampleArgs, sample};
use sampler::train::flow::topology::Described;
use sampler::train::flow::transform::{TransformArgs, transform};
use sampler::train::flow::tune;
use sampler::train::flow::weights_file::{ImportArgs, InitArgs, import, init};

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
  flow sample AA --weights weights/flow-AA-small.safetensors
  flow eval configs/flow/dipeptides_small.yaml --weights weights/flow-dipeptides-small.safetensors
  flow finetune configs/flow/finetune_AA.yaml
  flow topology ARIP --out ARIP.pdb
  flow topology ARIP.pdb --json
  flow import prose.pth --out weights/prose.safetensors --note scale=0.35 --note temperature=310
  flow info weights/prose.safetensors
  flow transform --weights weights/prose.safetensors --topology ARIP --points x.safetensors --out z.safetensors
  flow init configs/flow/prose.yaml --out random.safetensors
  flow bench --rows mid --threads 1";

#[derive(Subcommand)]
enum Verb {
    /// Train (or go on with --resume); writes flow.safetensors, which says by itself how to build its network
    Train(Common),
    /// Measure weights on the molecules of a config: likelihood, ESS, distances from reference ensembles
    Eval(EvalArgs),
    /// Draw proposals of a peptide and weigh them; writes samples, a PDB file of the reweighted ones, pictures
    Sample(Box<SampleArgs>),
    /// Thin out an ensemble to a file small enough to ship: conformations, and the map of its slow components
    Reference(ReferenceArgs),
    /// Adapt weights to one molecule without data: learn from their own reweighted proposals, round by round
    Finetune(Common),
    /// Atoms, bonds, tokens and orders of a peptide; with --out a PDB file of it, stretched out
    Topology(TopologyArgs),
    /// Points of a file from data to noise, or with --inverse from noise to data, with log-densities
    Transform(TransformArgs),
    /// Bring published or trained weights into one file that says by itself how to build its network
    Import(ImportArgs),
    /// What a file of weights holds: network, parameters, orders of atoms, metadata, SHA-256
    Info(InfoArgs),
    /// Write random weights of a network, as training would start it
    Init(InitArgs),
    /// Time log_prob, sample and gradient of the paper's network and of one with a ninth of its parameters
    Bench(BenchArgs),
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
        Verb::Eval(args) => evaluate(&args),
        Verb::Sample(args) => sample(&args),
        Verb::Reference(args) => condense(&args),
        Verb::Finetune(common) => tune::launch::finetune(&common),
        Verb::Topology(args) => topology(&args),
        Verb::Transform(args) => transform(&args),
        Verb::Import(args) => import(&args),
        Verb::Info(args) => info(&args),
        Verb::Init(args) => init(&args),
        Verb::Bench(args) => bench(&args),
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
