//! What the verbs of `claims` do, and their options.

pub mod check;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::claim::Quantifier;
use super::import::{self, Layout};
use super::judge::Verdict;
use super::lint::lint;
use super::open::{self, Question};
use super::report::Report;
use crate::bad_input;
use crate::config::cli;
use crate::io::atomic::write_atomic;
use crate::log::progress::Terminal;

#[derive(Debug, Args)]
pub struct VerdictArgs {
    /// Records: .jsonl, .json or .csv
    pub records: PathBuf,
    /// The claim [default: the one in the records' head, or claim.yaml beside them]
    #[arg(long, value_name = "FILE")]
    pub claim: Option<PathBuf>,
    /// Folder for report.json, report.md, claim.yaml and plots/
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Without a claim: of whom it is asked whether it is better [default: the first in the records]
    #[arg(long)]
    pub method: Option<String>,
    /// Without a claim: which direction is better
    #[arg(long, value_enum, default_value = "higher")]
    pub direction: Better,
    /// Without a claim: all, average or some settings
    #[arg(long, default_value = "all")]
    pub quantifier: String,
    /// Without a claim: the least difference asked about
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub delta: f64,
    /// Without a claim: the level
    #[arg(long, default_value_t = 0.05)]
    pub alpha: f64,
    /// End with status 1 unless the verdict is this
    #[arg(long, value_enum)]
    pub require: Option<Required>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Better {
    Higher,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub enum Required {
    Supported,
    Refuted,
    Inconclusive,
}

#[derive(Debug, Args)]
pub struct LintArgs {
    /// Claim files
    #[arg(required = true)]
    pub claims: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Comma-separated text with a header
    pub csv: PathBuf,
    /// The column that names the rater
    #[arg(long, default_value = "rater")]
    pub rater: String,
    /// What names of condition columns are made of, and what divides them
    #[arg(long, default_value = "setting|method|metric")]
    pub columns: String,
    /// COLUMN or COLUMN=VALUE: rows that fail are left out and counted
    #[arg(long)]
    pub attention: Option<String>,
    /// Where to write the records (JSON lines)
    #[arg(long)]
    pub out: PathBuf,
}

/// `claims verdict`: a report from records alone.
pub fn verdict(args: &VerdictArgs) -> Result<()> {
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

/// `claims lint`: an error if a claim has a flaw.
pub fn lint_all(args: &LintArgs) -> Result<()> {
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

/// `claims import`: a table of ratings as records.
pub fn import_table(args: &ImportArgs) -> Result<()> {
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

fn say(terminal: &mut Terminal, report: &Report, out: &Path) {
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
