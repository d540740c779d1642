//! The report: `report.json`, `report.md`, plots.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::claim::Claim;
use super::equal_n::EqualN;
use super::fair::Fairness;
use super::judge::{Verdict, judge};
use super::overall::{Overall, overall};
use super::record::Records;
use super::test::Test;
use super::{markdown, pictures};
use crate::io::atomic::write_atomic;
use crate::io::environment::environment;

/// Grows when a key of report.json changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Where the claim came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// Its hash was stored before the first run.
    BeforeRuns,
    /// Some runs are older than the stored hash.
    AfterSomeRuns,
    /// A claim file, with records that name no claim.
    WithRecords,
    /// Nothing was declared: the question was read off the records.
    Nowhere,
}

impl Declared {
    pub fn words(self) -> &'static str {
        match self {
            Declared::BeforeRuns => "declared before the first run: its hash was stored then",
            Declared::AfterSomeRuns => "declared when some of its runs were already there",
            Declared::WithRecords => "declared in a file; the records do not tell whether before or after them",
            Declared::Nowhere => "not declared: the question was read off the records, so take it as exploration",
        }
    }
}

/// Where the records came from.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// Name of the file of records, without its folder.
    pub records: String,
    pub records_sha256: String,
    pub declared: Declared,
    /// When the claim's hash was stored, if it was.
    pub registered_unix: Option<u64>,
}

/// A run that did not end well.
#[derive(Debug, Clone, Serialize)]
pub struct FailedRun {
    pub method: String,
    pub setting: String,
    pub unit: String,
    pub config: String,
    pub status: String,
    pub error: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub schema: String,
    pub schema_version: u32,
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub claim_sha256: String,
    pub origin: Origin,
    pub claim: Claim,
    /// Every test that was run.
    pub tests: Vec<Test>,
    pub fairness: Fairness,
    pub equal_n: Vec<EqualN>,
    pub overall: Vec<Overall>,
    pub missing: Vec<String>,
    pub failed_runs: Vec<FailedRun>,
    /// What the runs ran on, each distinct value once.
    pub runs: Map<String, Value>,
    /// What the report was computed with.
    pub computed_with: Map<String, Value>,
}

/// A report that can be written.
pub struct Written {
    pub report: Report,
}

/// Judges the records and gathers what is to be said.
pub fn compute(claim: &Claim, records: &Records, origin: Origin) -> Result<Written> {
    let judgement = judge(claim, records);
    let mut reasons = judgement.reasons;
    if matches!(origin.declared, Declared::Nowhere | Declared::AfterSomeRuns) {
        reasons.push(format!("note: {}", origin.declared.words()));
    }
    let failed = records.observations.iter().filter(|r| !r.done()).map(|r| FailedRun {
        method: r.method.clone(),
        setting: r.setting.clone(),
        unit: r.unit.clone(),
        config: r.config.clone(),
        status: r.status.clone(),
        error: r.error.clone(),
    });
    let missing = judgement.tests.iter().filter(|test| !test.missing.is_empty());
    let missing = missing.map(|test| format!("{}: {}", test.name, test.missing.join(", "))).collect();
    let report = Report {
        schema: "sampler claim report".into(),
        schema_version: SCHEMA_VERSION,
        verdict: judgement.verdict,
        reasons,
        claim_sha256: claim.hash()?,
        origin,
        claim: claim.clone(),
        tests: judgement.tests,
        fairness: judgement.fairness,
        equal_n: judgement.equal_n,
        overall: overall(claim, records),
        missing,
        failed_runs: failed.collect(),
        runs: runs(records),
        computed_with: computed_with(claim),
    };
    Ok(Written { report })
}

/// Facts of the runs' environments, each distinct value once.
fn runs(records: &Records) -> Map<String, Value> {
    let keys: BTreeSet<&String> = records.observations.iter().flat_map(|r| r.environment.keys()).collect();
    let values = |key: &str| {
        let mut seen: Vec<Value> = Vec::new();
        for value in records.observations.iter().filter_map(|r| r.environment.get(key)) {
            if !seen.contains(value) {
                seen.push(value.clone());
            }
        }
        Value::Array(seen)
    };
    let per_run = |key: &&String| ["started_unix", "config_sha256", "seed"].contains(&key.as_str());
    keys.into_iter().filter(|key| !per_run(key)).map(|key| (key.clone(), values(key))).collect()
}

/// What can differ between two computations on the same records: no times, names of hosts or folders.
fn computed_with(claim: &Claim) -> Map<String, Value> {
    let mut facts = environment("cpu", claim.bootstrap.seed);
    facts.retain(|key, _| ["crate_version", "commit", "dirty", "binary_sha256"].contains(&key.as_str()));
    facts.insert("resampling".into(), "ChaCha8, seeded by claim.bootstrap.seed".into());
    facts.insert("resamples".into(), claim.bootstrap.draws.into());
    facts
}

impl Written {
    /// Writes report.json, report.md and plots/ into `folder`, and the claim as claim.yaml.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let plots = folder.join("plots");
        std::fs::create_dir_all(&plots).with_context(|| format!("{}: cannot make the folder", plots.display()))?;
        let mut names = Vec::new();
        for (name, picture) in pictures::of(&self.report)? {
            picture.save(&plots.join(format!("{name}.png")))?;
            names.push(name);
        }
        let mut json = serde_json::to_vec_pretty(&self.report)?;
        json.push(b'\n');
        write_atomic(&folder.join("report.json"), &json)?;
        write_atomic(&folder.join("claim.yaml"), crate::config::to_yaml(&self.report.claim)?.as_bytes())?;
        write_atomic(&folder.join("report.md"), self.markdown(&names).as_bytes())
    }

    /// The report for a person; `plots` are names of pictures in plots/.
    pub fn markdown(&self, plots: &[String]) -> String {
        markdown::render(&self.report, plots)
    }
}
