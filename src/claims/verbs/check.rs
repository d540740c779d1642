//! `claims check`: register, run, judge.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{Required, require, say};
use crate::bad_input;
use crate::claims::claim::Claim;
use crate::claims::lint::lint;
use crate::claims::open;
use crate::claims::run::check::{Case, Options, check, publish};
use crate::claims::run::plan::nothing_to_run;
use crate::log::progress::Terminal;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Claim files; all are registered before the first run
    #[arg(required = true)]
    pub claims: Vec<PathBuf>,
    /// Folder for claims (ID/HASH/) and the pool of runs that they share
    #[arg(long, value_name = "DIR", default_value = "runs/claims")]
    pub runs: PathBuf,
    /// Make every N-th run, beginning with the I-th, counted from 0: --array $SLURM_ARRAY_TASK_ID/8
    #[arg(long, value_name = "I/N")]
    pub array: Option<String>,
    /// Make every run anew that the binaries as they are now have not made: what an older build found does not count
    #[arg(long)]
    pub this_binary: bool,
    /// List the runs and stop; the evaluation's as far as tuning is done
    #[arg(long)]
    pub dry_run: bool,
    /// Go on in spite of design flaws
    #[arg(long)]
    pub despite_flaws: bool,
    /// Copy claim.yaml, registered.json, records.jsonl, reports and plots of each claim to DIR/ID/
    #[arg(long, value_name = "DIR")]
    pub publish: Option<PathBuf>,
    /// End with status 1 unless every verdict is this
    #[arg(long, value_enum)]
    pub require: Option<Required>,
}

/// The verb. Every claim is checked and registered before the first run of any.
pub fn check_all(args: &CheckArgs) -> Result<()> {
    let share = share(args.array.as_deref())?;
    let options = Options { root: args.runs.clone(), share, this_binary: args.this_binary, dry_run: args.dry_run };
    let claims = args.claims.iter().map(|path| open::load_claim(path)).collect::<Result<Vec<_>>>()?;
    claims.iter().zip(&args.claims).try_for_each(|(claim, path)| refuse(claim, path, args.despite_flaws))?;
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

/// Claims with flaws, and claims that make no runs.
fn refuse(claim: &Claim, path: &Path, despite_flaws: bool) -> Result<()> {
    let flaws: Vec<String> = lint(claim).into_iter().filter(|f| f.flaw).map(|f| f.text).collect();
    if !flaws.is_empty() && !despite_flaws {
        return Err(bad_input!("{}: {} (--despite-flaws goes on)", path.display(), flaws.join("; ")));
    }
    if claim.run.is_none() {
        return Err(nothing_to_run(claim));
    }
    Ok(())
}

fn share(array: Option<&str>) -> Result<Option<(usize, usize)>> {
    let Some(text) = array else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse::<usize>().ok()?, n.parse::<usize>().ok()?)));
    match parsed {
        Some((index, count)) if index < count => Ok(Some((index, count))),
        _ => Err(bad_input!("--array '{text}': expected I/N with I from 0 to N - 1")),
    }
}
