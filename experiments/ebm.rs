//! `ebm`: energy models of bits.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::train::ebm::launch::train_ebm;

/// Energy models of bits: points of the plane in Gray code, binary images, couplings of spins from samples.
///
/// log_prob is minus the energy, unnormalised, in nats. Every run leaves `energy.safetensors`, which `discrete` samples
/// as a target of type energy_model.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  ebm train configs/ebm/toy_discrepancy.yaml data.name=moons
  ebm train configs/ebm/toy_process.yaml
  ebm train configs/ebm/ising_couplings.yaml
  discrete train configs/discrete/energy_model.yaml target.path=runs/ebm/toy_discrepancy/000-seed0/energy.safetensors";

#[derive(Subcommand)]
enum Verb {
    /// Train a model (or go on with --resume), alone by energy discrepancy or together with the process that samples it
    Train(Common),
}

fn main() -> ExitCode {
    cli::run(|| match cli::parse::<Cli>().verb {
        Verb::Train(common) => train_ebm(&common),
    })
}
