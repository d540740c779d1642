//! `claims`: write a claim down, run it, get a verdict that anyone can recompute.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sampler::bad_input;
use sampler::claims::claim::Quantifier;
use sampler::claims::import::{self, Layout};
use sampler::claims::judge::Verdict;
use sampler::claims::lint::lint;
use sampler::claims::open::{self, Question};
use sampler::claims::report::Report;
use sampler::claims::run::check::{Case, Options, check, publish};
use sampler::claims::run::plan::nothing_to_run;
use sampler::config::cli;
use sampler::io::atomic::write_atomic;
use sampler::log::progress::Terminal;

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

#[derive(Args)]
struct CheckArgs {
    /// Claim files; all are registered before the first run
    #[arg(required = true)]
    claims: Vec<PathBuf>,
    /// Folder for claims (ID/HASH/) and the pool of runs that they share
    #[arg(long, value_name = "DIR", default_value = "runs/claims")]
    runs: PathBuf,
    /// Make every N-th run, beginning with the I-th, counted from 0: --array $SLURM_ARRAY_TASK_ID/8
    #[arg(long, value_name = "I/N")]
    array: Option<String>,
    /// List the runs and stop; the evaluation's as far as tuning is done
    #[arg(long)]
    dry_run: bool,
    /// Go on in spite of design flaws
    #[arg(long)]
    despite_flaws: bool,
    /// Copy claim.yaml, registered.json, records.jsonl, reports and plots of each claim to DIR/ID/
    #[arg(long, value_name = "DIR")]
    publish: Option<PathBuf>,
    /// End with status 1 unless every verdict is this
    #[arg(long, value_enum)]
    require: Option<Required>,
}

#[derive(Args)]
struct VerdictArgs {
    /// Records: .jsonl, .json or .csv
    records: PathBuf,
    /// The claim [default: the one in the records' head, or claim.yaml beside them]
    #[arg(long, value_name = "FILE")]
    claim: Option<PathBuf>,
    /// Folder for report.json, report.md, claim.yaml and plots/
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Without a claim: of whom it is asked whether it is better [default: the first in the records]
    #[arg(long)]
    method: Option<String>,
    /// Without a claim: which direction is better
    #[arg(long, value_enum, default_value = "higher")]
    direction: Better,
    /// Without a claim: all, average or some settings
    #[arg(long, default_value = "all")]
    quantifier: String,
    /// Without a claim: the least difference asked about
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    delta: f64,
    /// Without a claim: the level
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// End with status 1 unless the verdict is this
    #[arg(long, value_enum)]
    require: Option<Required>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Better {
    Higher,
    Lower,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Required {
    Supported,
    Refuted,
    Inconclusive,
}

#[derive(Args)]
struct LintArgs {
    /// Claim files
    #[arg(required = true)]
    claims: Vec<PathBuf>,
}

#[derive(Args)]
struct ImportArgs {
    /// Comma-separated text with a header
    csv: PathBuf,
    /// The column that names the rater
    #[arg(long, default_value = "rater")]
    rater: String,
    /// What names of condition columns are made of, and what divides them
    #[arg(long, default_value = "setting|method|metric")]
    columns: String,
    /// COLUMN or COLUMN=VALUE: rows that fail are left out and counted
    #[arg(long)]
    attention: Option<String>,
    /// Where to write the records (JSON lines)
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    cli::run(move || match cli::parse::<Cli>().verb {
        Verb::Check(args) => check_all(&args),
        Verb::Verdict(args) => verdict(&args),
        Verb::Lint(args) => lint_all(&args),
        Verb::Import(args) => import_table(&args),
    })
}

fn check_all(args: &CheckArgs) -> Result<()> {
    let options = Options { root: args.runs.clone(), share: share(args.array.as_deref())?, dry_run: args.dry_run };
    let claims = args.claims.iter().map(|path| open::load_claim(path)).collect::<Result<Vec<_>>>()?;
    for (claim, path) in claims.iter().zip(&args.claims) {
        let flaws: Vec<String> = lint(claim).into_iter().filter(|f| f.flaw).map(|f| f.text).collect();
        if !flaws.is_empty() && !args.despite_flaws {
            let all = flaws.join("; ");
            return Err(bad_input!("{}: {all} (--despite-flaws goes on)", path.display()));
        }
        if claim.run.is_none() {
            return Err(nothing_to_run(claim));
        }
    }
    let cases = claims.into_iter().map(|claim| Case::register(claim, &args.runs)).collect::<Result<Vec<_>>>()?;

    let mut terminal = Terminal::new();
    let mut reports = Vec::new();
    for case in &cases {
        let Some(written) = check(case, &options, &mut terminal)? else { continue };
        say(&mut terminal, &written.report, &case.folder);
        if let Some(folder) = &args.publish {
            publish(case, &written, &folder.join(&case.claim.id))?;
        }
        reports.push(written.report);
    }
    reports.iter().try_for_each(|report| require(report, args.require))
}

fn share(array: Option<&str>) -> Result<Option<(usize, usize)>> {
    let Some(text) = array else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse::<usize>().ok()?, n.parse::<usize>().ok()?)));
    match parsed {
        Some((index, count)) if index < count => Ok(Some((index, count))),
        _ => Err(bad_input!("--array '{text}': expected I/N with I from 0 to N - 1")),
    }
}

fn verdict(args: &VerdictArgs) -> Result<()> {
    let question = Question {
        method: args.method.clone(),
        lower_is_better: matches!(args.direction, Better::Lower),
        quantifier: Some(cli::named::<Quantifier>("--quantifier", &args.quantifier)?),
        delta: args.delta,
        alpha: Some(args.alpha),
    };
    let written = open::verdict(&args.records, args.claim.as_deref(), &question)?;
    written.write(&args.out)?;
    say(&mut Terminal::new(), &written.report, &args.out);
    require(&written.report, args.require)
}

fn say(terminal: &mut Terminal, report: &Report, out: &std::path::Path) {
    let reasons = report.reasons.iter().map(|reason| format!("  {reason}\n")).collect::<String>();
    terminal.result(&format!("{}: {}\n{reasons}", report.claim.id, report.verdict.word()));
    terminal.line(&format!("written: {0}/report.md, {0}/report.json", out.display()));
}

fn require(report: &Report, required: Option<Required>) -> Result<()> {
    let found = match report.verdict {
        Verdict::Supported => Required::Supported,
        Verdict::Refuted => Required::Refuted,
        Verdict::Inconclusive => Required::Inconclusive,
    };
    match required {
        Some(required) if required != found => {
            anyhow::bail!("{}: the verdict is {}", report.claim.id, report.verdict.word())
        }
        _ => Ok(()),
    }
}

fn lint_all(args: &LintArgs) -> Result<()> {
    let mut flaws = 0;
    for path in &args.claims {
        let claim = open::load_claim(path)?;
        println!("{} ({}, SHA-256 {})", path.display(), claim.id, claim.hash()?);
        for finding in lint(&claim) {
            println!("  {}: {}", if finding.flaw { "flaw" } else { "advice" }, finding.text);
            flaws += usize::from(finding.flaw);
        }
    }
    if flaws > 0 {
        return Err(bad_input!("{flaws} design flaws; mend them before anything runs"));
    }
    Ok(())
}

fn import_table(args: &ImportArgs) -> Result<()> {
    let layout = Layout { rater: args.rater.clone(), columns: args.columns.clone(), attention: args.attention.clone() };
    let imported = import::import(&args.csv, &layout)?;
    let mut text = serde_json::to_string(&imported.head)? + "\n";
    for record in &imported.records {
        text += &(serde_json::to_string(record)? + "\n");
    }
    write_atomic(&args.out, text.as_bytes())?;
    let (records, excluded) = (imported.records.len(), imported.excluded.len());
    Terminal::new().line(&format!(
        "{records} records; {excluded} raters failed the attention check; written: {}",
        args.out.display()
    ));
    Ok(())
}
