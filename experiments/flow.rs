use clap::{Parser, Subcommand};
use sampler::config::cli::{self, Common};
use sampler::train::flow::launch;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}
#[derive(Subcommand)]
enum Verb {
    Train(Common),
}
fn main() -> std::process::ExitCode {
    cli::run(|| match cli::parse::<Cli>().verb {
        Verb::Train(common) => launch::train_flow(&common),
    })
}
