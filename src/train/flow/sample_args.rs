//! The command line of `flow sample`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tch::Kind;

use super::open::Reading;
use super::sample::{CHUNK, HELD, Notes, SamplePlan, draw};
use super::team::FlowTeam;
use crate::config::cli;
use crate::io::environment::sha256;
use crate::log::progress::Terminal;
use crate::log::table::{Table, figure};
use crate::samplers::importance::snis::EssConfig;
use crate::samplers::importance::{ReweightConfig, SmcConfig};
use crate::targets::molecule::peptide;
use crate::torch::{device, threads};

#[derive(Debug, Args)]
pub struct SampleArgs {
    /// A sequence such as AA, or a PDB file
    #[arg(value_name = "SEQUENCE|PDB")]
    pub peptide: String,
    /// Weights of a flow: a file that `flow train` or `flow import` wrote, or any other
    #[arg(long)]
    pub weights: PathBuf,
    #[command(flatten)]
    pub reading: Reading,
    /// Number of proposals
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(i64).range(2..))]
    pub n: i64,
    /// OpenMM System file for energies and weights; without it assets/peptides/SEQUENCE/system.xml, where that exists
    #[arg(long)]
    pub system: Option<PathBuf>,
    /// Conformations to compare with, `x` or `positions` in nm; without it assets/peptides/SEQUENCE/ensemble.safetensors,
    /// where that exists
    #[arg(long)]
    pub reference: Option<PathBuf>,
    /// Temperature of the weights in K; without it that of the weights file, else 310
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Length in nm that the flow sees as 1; without it that of the weights file, else 0.35
    #[arg(long)]
    pub scale: Option<f64>,
    /// Proposals that go through the network at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(i64).range(1..))]
    pub batch: i64,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Largest weights: drop (0.2 % of them), truncate, or none
    #[arg(long, default_value = "drop")]
    pub filter: String,
    /// Centre of mass in the weights: gaussian, chi3 (as published), or none
    #[arg(long, default_value = "gaussian")]
    pub center: String,
    /// Effective sample size over the first so many kept weights only
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub ess_first: Option<u64>,
    /// Anneal the proposals to the molecule's energy too (sequential Monte Carlo): ula or mala
    #[arg(long, value_name = "KERNEL")]
    pub smc: Option<String>,
    /// Temperatures of --smc; without it 100 for ula, 50 for mala
    #[arg(long, value_name = "K")]
    pub smc_steps: Option<u64>,
    /// Langevin step of --smc per unit of annealing time; without it 1e-5 for ula, 5e-4 for mala
    #[arg(long, value_name = "H")]
    pub smc_step_size: Option<f64>,
    /// repaired, or upstream as in the published code, which leaves out the last temperature
    #[arg(long, default_value = "repaired")]
    pub smc_schedule: String,
    /// Proposals of --smc start below this energy in kT
    #[arg(long, default_value_t = 100.0, allow_negative_numbers = true)]
    pub smc_energy_cutoff: f64,
    /// Models in samples.pdb
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i64).range(1..))]
    pub models: i64,
    /// Folder of the results; without it runs/flow/samples/SEQUENCE
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Keep the proposals that an interrupted run, or one with a smaller --n, left in the folder
    #[arg(long)]
    pub resume: bool,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// CPU threads
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Draws, weighs, writes, and shows the figures.
pub fn sample(args: &SampleArgs) -> Result<()> {
    threads::configure(args.threads.map(NonZeroUsize::get));
    let (device, _) = device::select(&args.device)?;
    let plan = plan(args)?;
    let mut team = FlowTeam::new(args.reading.flow(&args.weights, (Kind::Float, device))?.0)?;
    let mut terminal = Terminal::new();
    let figures = draw(&plan, &mut team, &mut terminal)?;
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
        chunk: CHUNK,
        held: HELD,
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
        smc: smc(args)?,
        out: args.out.clone().unwrap_or_else(|| PathBuf::from("runs/flow/samples").join(&sequence)),
        resume: args.resume,
        peptide: args.peptide.clone(),
    };
    plan.validate()?;
    Ok(plan)
}

fn smc(args: &SampleArgs) -> Result<Option<SmcConfig>> {
    let Some(kernel) = &args.smc else { return Ok(None) };
    let config = SmcConfig {
        num_steps: args.smc_steps,
        step_size: args.smc_step_size,
        schedule: cli::named("--smc-schedule", &args.smc_schedule)?,
        energy_cutoff: Some(args.smc_energy_cutoff),
        ..SmcConfig::new(cli::named("--smc", kernel)?)
    };
    config.resolve()?;
    Ok(Some(config))
}
