//! `graphs`: independent sets and cuts of graphs by a learned jump process.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sampler::bad_input;
use sampler::config::cli::{self, Common};
use sampler::targets::lattice::graphs::{Problem, file};
use sampler::train::graphs::launch::{EvalArgs, eval, train_graphs};

/// Large independent sets and cuts of graphs: one network for all graphs of a family.
///
/// Answers are judged against exact ones (branch and bound for sets of up to 128 vertices, elimination of vertices for
/// cuts of sparse graphs).
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  graphs train configs/graphs/mis_er_quick.yaml
  graphs eval runs/graphs/mis_er_quick/000-seed0 sampler.dmala_steps=5
  graphs eval runs/graphs/mis_er_quick/000-seed0 'graphs.nodes=[64, 75]'
  graphs exact graph.txt --problem independent-set";

#[derive(Subcommand)]
enum Verb {
    /// Train on random graphs (or go on with --resume); the last evaluation judges with and without the network
    Train(Common),
    /// Judge a trained network on test graphs, of its own family or of another
    Eval(EvalArgs),
    /// The exact answer for one graph from a file
    Exact(ExactArgs),
}

#[derive(Args)]
struct ExactArgs {
    /// A graph: lines `i j` or `i j weight`, nodes from 0; or in the format of the Gset
    #[arg(value_name = "FILE")]
    graph: PathBuf,
    /// What is asked of it
    #[arg(long, value_enum)]
    problem: Asked,
    /// The file is in the format of the Gset: `nodes edges`, then lines `i j weight`, nodes from 1
    #[arg(long)]
    gset: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Asked {
    IndependentSet,
    MaxCut,
}

fn main() -> ExitCode {
    cli::run(|| match cli::parse::<Cli>().verb {
        Verb::Train(common) => train_graphs(&common),
        Verb::Eval(args) => eval(&args),
        Verb::Exact(args) => exact(&args),
    })
}

fn exact(args: &ExactArgs) -> Result<()> {
    let graph = if args.gset { file::gset(&args.graph)? } else { file::edge_list(&args.graph)? };
    let problem = match args.problem {
        Asked::IndependentSet => Problem::IndependentSet { penalty: 1.0001 },
        Asked::MaxCut => Problem::MaxCut {},
    };
    let x = problem.optimum(&graph).ok_or_else(|| {
        bad_input!(
            "{}: no exact method for {} nodes and {} edges; `graphs train` samples",
            args.graph.display(),
            graph.nodes,
            graph.edges.len()
        )
    })?;
    let chosen: Vec<String> = (0..graph.nodes).filter(|i| x[*i] == 1).map(|i| i.to_string()).collect();
    println!("value {}\nchosen {}", problem.value(&graph, &x), chosen.join(" "));
    Ok(())
}
