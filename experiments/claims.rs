//! `claims`: write a claim down, run it, get a verdict that anyone can recompute.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sampler::claims::verbs::check::{CheckArgs, check_all};
use sampler::claims::verbs::{ImportArgs, LintArgs, VerdictArgs, import_table, lint_all, verdict};
use sampler::config::cli;

/// Claims about samplers: declared before they are tested, judged by fixed rules, recomputable from their records.
///
/// A claim is a YAML file (configs/claims/, docs/claims.md): what is claimed, of which methods, in which settings, with
/// which budget, seeds and test. Records are JSON lines, a JSON list or CSV, one observation each:
///   {"method": "A", "setting": "funnel", "seed": 0, "metrics": {"elbo": -1.2}, "budget": {"target_calls": 1e6}}
/// or, one number each, {"method": ..., "setting": ..., "rater": "r7", "metric": "quality", "value": 8}; a comparison
/// known by its summary is {"method": ..., "baseline": ..., "setting": ..., "metric": ..., "n": 53, "mean_difference":
/// 0.7, "deviation": 1.9}. A status other than done is a failed run, which is a result too.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  claims lint configs/claims/linearisation_order.yaml
  claims check configs/claims/linearisation_order.yaml
  claims verdict runs/claims/ID/HASH/records.jsonl --out again
  claims verdict ratings.csv --method min-p --quantifier some --out report
  claims import ratings.csv --rater id --attention passed --columns 'setting|method|metric' --out records.jsonl";

#[derive(Subcommand)]
enum Verb {
    /// Store the hash of each claim, make the runs that are missing, and judge
    Check(CheckArgs),
    /// Compute report.json, report.md and plots from records alone
    Verdict(VerdictArgs),
    /// Look for design flaws before anything runs
    Lint(LintArgs),
    /// Turn a table of ratings (a row a rater, a column a condition) into records
    Import(ImportArgs),
}

fn main() -> ExitCode {
    cli::run(move || match cli::parse::<Cli>().verb {
        Verb::Check(args) => check_all(&args),
        Verb::Verdict(args) => verdict(&args),
        Verb::Lint(args) => lint_all(&args),
        Verb::Import(args) => import_table(&args),
    })
}
