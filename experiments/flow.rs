//! `flow`: transferable normalizing flows of peptides.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::config::load;
use sampler::flows::{FlowConfig, NetworkConfig};
use sampler::io::environment::sha256;
use sampler::log::progress::Terminal;
use sampler::log::table::{Table, figure};
use sampler::samplers::importance::ReweightConfig;
use sampler::samplers::importance::snis::EssConfig;
use sampler::targets::molecule::pdb_writer::write_topology;
use sampler::targets::molecule::peptide;
use sampler::torch::{device, threads};
use sampler::train::flow::bench::{BenchArgs, bench};
use sampler::train::flow::info::{InfoArgs, info};
use sampler::train::flow::measure::measure;
use sampler::train::flow::reference::Reference;
use sampler::train::flow::sample::{self, Notes, SamplePlan};
use sampler::train::flow::subject::Subject;
use sampler::train::flow::topology::Described;
use sampler::train::flow::transform::{TransformArgs, transform};
use sampler::train::flow::tune;
use sampler::train::flow::weights_file::{ImportArgs, InitArgs, import, init};
use sampler::train::flow::{FlowTrainConfig, launch};
use tch::Kind;

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
    Sample(SampleArgs),
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
struct EvalArgs {
    /// A config as for `flow train`; its data: and eval: sections count
    config: PathBuf,
    /// Keys to change
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Weights of a flow
    #[arg(long)]
    weights: PathBuf,
    /// Proposals of each molecule
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(2..))]
    n: i64,
    /// Folder for eval.md, eval.json and plots/; without it runs/flow/eval/CONFIG
    #[arg(long)]
    out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// CPU threads
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct SampleArgs {
    /// A sequence such as AA, or a PDB file
    #[arg(value_name = "SEQUENCE|PDB")]
    peptide: String,
    /// Weights of a flow: a file that `flow train` or `flow import` wrote, or any other with --config
    #[arg(long)]
    weights: PathBuf,
    /// The network, where the weights do not say it themselves
    #[arg(long, value_name = "YAML")]
    config: Option<PathBuf>,
    /// Number of proposals
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(i64).range(2..))]
    n: i64,
    /// OpenMM System file for energies and weights; without it assets/peptides/SEQUENCE/system.xml, where that exists
    #[arg(long)]
    system: Option<PathBuf>,
    /// Conformations to compare with, `x` or `positions` in nm; without it assets/peptides/SEQUENCE/ensemble.safetensors,
    /// where that exists
    #[arg(long)]
    reference: Option<PathBuf>,
    /// Temperature of the weights in K; without it that of the weights file, else 310
    #[arg(long)]
    temperature: Option<f64>,
    /// Length in nm that the flow sees as 1; without it that of the weights file, else 0.35
    #[arg(long)]
    scale: Option<f64>,
    /// Proposals that go through the network at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(i64).range(1..))]
    batch: i64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Largest weights: drop (0.2 % of them), truncate, or none
    #[arg(long, default_value = "drop")]
    filter: String,
    /// Centre of mass in the weights: gaussian, chi3 (as published), or none
    #[arg(long, default_value = "gaussian")]
    center: String,
    /// Effective sample size over the first so many kept weights only
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    ess_first: Option<u64>,
    /// Models in samples.pdb
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i64).range(1..))]
    models: i64,
    /// Folder of the results; without it runs/flow/samples/SEQUENCE
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep the proposals that an interrupted run, or one with a smaller --n, left in the folder
    #[arg(long)]
    resume: bool,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// CPU threads
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
struct ReferenceArgs {
    /// A sequence such as AA, or a PDB file
    #[arg(value_name = "SEQUENCE|PDB")]
    peptide: String,
    /// Trajectory: `x` or `positions` in nm, in order of time; `chain` tells several apart
    samples: PathBuf,
    /// Conformations to keep
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i64).range(2..))]
    frames: i64,
    #[arg(long)]
    out: PathBuf,
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
        Verb::Sample(args) => draw(&args),
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

fn evaluate(args: &EvalArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&args.device)?;
    let mut loaded = load::load::<FlowTrainConfig>(&args.config, &args.overrides)?;
    (loaded.value.flow, loaded.value.init) = (None, Some(args.weights.clone()));
    let checked = loaded.value.validate();
    checked.map_err(|error| loaded.locate(error))?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs/flow/eval").join(&loaded.name));
    let table = measure(&loaded.value, args.n, device, &out).map_err(|error| loaded.locate(error))?;
    let mut terminal = Terminal::new();
    terminal.result(&table.to_text());
    terminal.line(&format!("written: {0}/eval.md, {0}/eval.json, {0}/plots/", out.display()));
    Ok(())
}

fn draw(args: &SampleArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&args.device)?;
    let plan = plan(args)?;
    let config = args.config.as_ref().map(|path| sample::network(path)).transpose()?;
    let mut team = sample::team_of(&args.weights, config.as_ref(), (Kind::Float, device))?;
    let mut terminal = Terminal::new();
    let figures = sample::sample(&plan, &mut team, &mut terminal)?;
    let mut table = Table::new(["figure", "value"]);
    figures.iter().for_each(|(name, value)| table.row([name.clone(), figure(*value, 4)]));
    terminal.result(&table.to_text());
    if plan.system.is_none() {
        terminal.line("no energies and no weights: --system names an OpenMM System file of this peptide");
    }
    terminal.line(&format!("written: {0}/samples.safetensors, {0}/samples.pdb, {0}/plots/", plan.out.display()));
    Ok(())
}

fn plan(args: &SampleArgs) -> Result<SamplePlan> {
    let topology = peptide::read(&args.peptide)?;
    let sequence = peptide::Peptide::of(&topology)?.sequence();
    let shipped = |file: &str| Some(PathBuf::from("assets/peptides").join(&sequence).join(file)).filter(|p| p.exists());
    let notes = Notes::of(&args.weights)?;
    let plan = SamplePlan {
        topology,
        weights_sha256: sha256(&args.weights)?,
        chunk: sample::CHUNK,
        held: sample::HELD,
        system: args.system.clone().or_else(|| shipped("system.xml")),
        reference: args.reference.clone().or_else(|| shipped("ensemble.safetensors")),
        scale: args.scale.or(notes.scale).unwrap_or(0.35),
        temperature: args.temperature.or(notes.temperature).unwrap_or(310.0),
        n: args.n,
        batch: args.batch,
        seed: args.seed,
        models: args.models,
        reweight: ReweightConfig {
            filter: cli::named("--filter", &args.filter)?,
            center: cli::named("--center", &args.center)?,
            ess: EssConfig { first: args.ess_first.map(|first| first as usize) },
            ..ReweightConfig::default()
        },
        out: args.out.clone().unwrap_or_else(|| PathBuf::from("runs/flow/samples").join(&sequence)),
        resume: args.resume,
        peptide: args.peptide.clone(),
    };
    plan.validate()?;
    Ok(plan)
}

fn condense(args: &ReferenceArgs) -> Result<()> {
    // Any network does: only what is refused depends on it.
    let network = FlowConfig::Prose(NetworkConfig::default());
    let subject = Subject::new(&args.peptide, peptide::read(&args.peptide)?, &network)?;
    let reference = Reference::read(&args.samples, &subject, 1.0)?;
    reference.condense(args.frames, 1.0, &args.out)?;
    let slow = if reference.tica.is_some() { "the map of" } else { "too short for a map of" };
    Terminal::new().line(&format!("written: {} ({slow} slow components)", args.out.display()));
    Ok(())
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
