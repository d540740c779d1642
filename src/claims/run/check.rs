//! Checking claims: register, run what is missing, gather, judge.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::plan::{self, Job};
use super::pool::Place;
use super::{child, collect};
use crate::bad_input;
use crate::claims::claim::Claim;
use crate::claims::open::{self, CLAIM, Question, REGISTERED, Registered, shortened};
use crate::claims::record::{Record, Records};
use crate::claims::report::Written;
use crate::config::to_yaml;
use crate::io::atomic::write_atomic;
use crate::log::progress::{Terminal, duration};

/// How to go about it.
pub struct Options {
    /// Holds a folder for each claim, and the pool.
    pub root: PathBuf,
    /// This process makes every `count`-th run, beginning with `index`, and judges nothing while others are missing.
    pub share: Option<(usize, usize)>,
    /// Count only runs made by the binaries as they are now.
    pub this_binary: bool,
    /// List the runs and stop.
    pub dry_run: bool,
}

/// A claim with its folder.
pub struct Case {
    pub claim: Claim,
    pub hash: String,
    pub folder: PathBuf,
}

impl Case {
    /// `ROOT/<id>/<first digits of the hash>/`, with the claim and the time at which its hash was stored. A claim that
    /// changed has another hash, and so another folder.
    pub fn register(claim: Claim, root: &Path) -> Result<Self> {
        let hash = claim.hash()?;
        let folder = root.join(&claim.id).join(shortened(&hash));
        fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        match open::registered(&folder)? {
            Some(mark) if mark.claim_sha256 == hash => {}
            Some(mark) => {
                let other = shortened(&mark.claim_sha256);
                return Err(bad_input!("{}: belongs to the claim {other}…; choose another --runs", folder.display()));
            }
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
                let mark = Registered { claim_sha256: hash.clone(), registered_unix: now };
                write_atomic(&folder.join(CLAIM), to_yaml(&claim)?.as_bytes())?;
                write_atomic(&folder.join(REGISTERED), (serde_json::to_string_pretty(&mark)? + "\n").as_bytes())?;
            }
        }
        Ok(Self { claim, hash, folder })
    }

    fn records_file(&self) -> PathBuf {
        self.folder.join("records.jsonl")
    }
}

/// What became of a phase.
struct Phase {
    records: Vec<Record>,
    /// Runs that other processes still have to make.
    left: usize,
}

/// Runs what a registered claim needs and judges it; `None` while runs are missing, or after a dry run.
pub fn check(case: &Case, options: &Options, terminal: &mut Terminal) -> Result<Option<Written>> {
    let short = shortened(&case.hash);
    terminal.line(&format!("claim {} ({short}…), folder {}", case.claim.id, case.folder.display()));
    let tuning = phase(case, &plan::tuning(&case.claim)?, options, terminal, "tuning")?;
    if tuning.left > 0 {
        return Ok(waiting(terminal, tuning.left, "tuning"));
    }
    let mut records = Records { observations: tuning.records, ..Records::default() };
    let evaluation = phase(case, &plan::evaluation(&case.claim, &records)?, options, terminal, "evaluation")?;
    if evaluation.left > 0 {
        return Ok(waiting(terminal, evaluation.left, "evaluation"));
    }
    if options.dry_run {
        return Ok(None);
    }
    records.observations.extend(evaluation.records);
    let lines: Result<Vec<String>> =
        records.observations.iter().map(|record| Ok(serde_json::to_string(record)? + "\n")).collect();
    write_atomic(&case.records_file(), lines?.concat().as_bytes())?;
    let written = open::verdict(&case.records_file(), Some(&case.folder.join(CLAIM)), &Question::default())?;
    written.write(&case.folder)?;
    Ok(Some(written))
}

fn waiting(terminal: &mut Terminal, left: usize, phase: &str) -> Option<Written> {
    terminal.line(&format!("{left} {phase} runs are not there yet; call again when the other processes are done"));
    None
}

/// Makes the runs of one phase that are this process's and not there yet.
fn phase(case: &Case, jobs: &[Job], options: &Options, terminal: &mut Terminal, name: &str) -> Result<Phase> {
    let pool = options.root.join("pool");
    let mut phase = Phase { records: Vec::new(), left: 0 };
    let (clock, mut made, mut hashes) = (Instant::now(), 0usize, BTreeMap::new());
    terminal.start(0, jobs.len() as u64);
    for (i, job) in jobs.iter().enumerate() {
        let binary = if options.this_binary { Some(hash_of(job, &mut hashes)?) } else { None };
        let place = Place::of(&pool, job, &child::resolved(job)?, binary.as_deref());
        let mut outcome = place.outcome()?;
        let count = format!("{name} {}/{}", i + 1, jobs.len());
        if options.dry_run {
            let there = if outcome.is_some() { "there" } else { "to be made" };
            terminal.result(&format!("{count}: {}: {there}", job.line()));
            continue;
        }
        let mine = options.share.is_none_or(|(index, count)| i % count == index);
        if outcome.is_none() && mine {
            // Another process may be at it, or have finished it between the two looks.
            if let Some(_lock) = place.lock()? {
                outcome = place.outcome()?;
                if outcome.is_none() {
                    let found = child::make(job, &place)?;
                    made += 1;
                    let rest = (jobs.len() - i - 1) as f64 * clock.elapsed().as_secs_f64() / made as f64;
                    let (status, took) = (&found.status, duration(found.wall_s));
                    terminal.line(&format!("{count}: {}: {status} in {took} ({} left)", job.line(), duration(rest)));
                    outcome = Some(found);
                }
            }
        }
        match outcome {
            Some(outcome) => phase.records.push(collect::record(&case.claim, &case.hash, job, &place, &outcome)?),
            None => phase.left += 1,
        }
        terminal.step(i as u64 + 1, &[]);
    }
    terminal.finish();
    if made == 0 && !jobs.is_empty() && !options.dry_run && phase.left == 0 {
        terminal.line(&format!("{name}: all {} runs are there already", jobs.len()));
    }
    Ok(phase)
}

/// The hash of a job's binary, read once a binary.
fn hash_of(job: &Job, known: &mut BTreeMap<String, String>) -> Result<String> {
    if let Some(hash) = known.get(&job.binary) {
        return Ok(hash.clone());
    }
    let hash = child::binary_sha256(job)?;
    known.insert(job.binary.clone(), hash.clone());
    Ok(hash)
}

/// Copies what others need to recompute the verdict, and the report, to `folder`.
pub fn publish(case: &Case, written: &Written, folder: &Path) -> Result<()> {
    written.write(folder)?;
    for name in [REGISTERED, "records.jsonl"] {
        let bytes = fs::read(case.folder.join(name)).with_context(|| format!("{name} of {}", case.claim.id))?;
        write_atomic(&folder.join(name), &bytes)?;
    }
    Ok(())
}
