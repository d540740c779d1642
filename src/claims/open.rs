//! Records with the claim that they are to be judged under.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::claim::{Assertion, Budget, Claim, Direction, Method, Metric, Pairing, Quantifier, Setting};
use super::read;
use super::record::Records;
use super::report::{Declared, Origin, Written, compute};
use crate::bad_input;
use crate::config::load;
use crate::io::environment::sha256;

/// What is asked of records that come without a claim.
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub method: Option<String>,
    pub lower_is_better: bool,
    pub quantifier: Option<Quantifier>,
    pub delta: f64,
    pub alpha: Option<f64>,
}

/// The mark that a claim's folder gets before the first run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    pub claim_sha256: String,
    pub registered_unix: u64,
}

pub const CLAIM: &str = "claim.yaml";
pub const REGISTERED: &str = "registered.json";

/// A claim file, checked.
pub fn load_claim(path: &Path) -> Result<Claim> {
    let loaded = load::load::<Claim>(path, &[])?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    Ok(loaded.value)
}

/// The mark in a claim's folder, if there is one.
pub fn registered(folder: &Path) -> Result<Option<Registered>> {
    let path = folder.join(REGISTERED);
    let Ok(bytes) = std::fs::read(&path) else { return Ok(None) };
    let found = serde_json::from_slice(&bytes);
    found
        .map(Some)
        .map_err(|error| bad_input!("{}: {error}; expected claim_sha256 and registered_unix", path.display()))
}

/// Recomputes the report from records alone: under `claim_file`, or the claim in the records' head, or `claim.yaml`
/// beside them, or the question. A folder stands for the `records.jsonl` in it.
pub fn verdict(records_file: &Path, claim_file: Option<&Path>, question: &Question) -> Result<Written> {
    let inside = records_file.join("records.jsonl");
    let records_file = if records_file.is_dir() { inside.as_path() } else { records_file };
    let records = read::read(records_file)?;
    let folder = records_file.parent().unwrap_or(Path::new("."));
    let beside = folder.join(CLAIM);
    let file: Option<PathBuf> = claim_file.map(Path::to_path_buf).or_else(|| beside.is_file().then_some(beside));
    let (claim, declared) = match (&file, &records.claim) {
        (Some(file), _) => (load_claim(file)?, true),
        (None, Some(claim)) => (embedded(records_file, claim)?, true),
        (None, None) => (read_off(&records, question)?, false),
    };
    let hash = claim.hash()?;
    if let Some(other) = records.observations.iter().find(|r| declared && !r.claim.is_empty() && r.claim != hash) {
        return Err(bad_input!(
            "{}: holds records of the claim {}…, this claim is {}…; a changed claim is a new claim, with runs of its own",
            records_file.display(),
            shortened(&other.claim),
            shortened(&hash)
        ));
    }
    let mark = registered(folder)?.filter(|mark| mark.claim_sha256 == hash);
    let origin = Origin {
        records: records_file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        records_sha256: sha256(records_file)?,
        declared: if declared { when(&records, mark.as_ref()) } else { Declared::Nowhere },
        registered_unix: mark.map(|mark| mark.registered_unix),
    };
    compute(&claim, &records, origin)
}

/// The first digits of a hash, for messages.
pub fn shortened(hash: &str) -> String {
    hash.chars().take(12).collect()
}

fn when(records: &Records, mark: Option<&Registered>) -> Declared {
    let Some(mark) = mark else { return Declared::WithRecords };
    let started = |r: &super::Record| r.environment.get("started_unix").and_then(serde_json::Value::as_u64);
    let times: Option<Vec<u64>> = records.observations.iter().map(started).collect();
    match times {
        None => Declared::WithRecords,
        Some(times) if times.iter().all(|t| *t >= mark.registered_unix) => Declared::BeforeRuns,
        Some(_) => Declared::AfterSomeRuns,
    }
}

fn embedded(path: &Path, claim: &serde_json::Value) -> Result<Claim> {
    let shown = path.display();
    let claim: Claim =
        serde_json::from_value(claim.clone()).map_err(|error| bad_input!("{shown}: the claim in its head: {error}"))?;
    claim.validate().map_err(|error| bad_input!("{shown}: the claim in its head: {error}"))?;
    Ok(claim)
}

/// "The first method is better than the others" in every metric and setting there is.
fn read_off(records: &Records, question: &Question) -> Result<Claim> {
    let (methods, method) = (records.methods(), asked_method(records, question)?);
    let direction = if question.lower_is_better { Direction::Lower } else { Direction::Higher };
    let plain = |name: &String| Method { name: name.clone(), overrides: vec![], tuning: Default::default() };
    let setting = |name: String| Setting {
        name,
        config: String::new(),
        overrides: vec![],
        binary: None,
        verb: None,
        command: None,
        seeds: None,
    };
    let metric = |name: String| {
        let range = unit_range(records, &name);
        Metric { range, name, direction, of: Default::default(), failed: None }
    };
    let numbered = records.observations.iter().any(|r| r.unit.starts_with('#'));
    let claim = Claim {
        id: "read-off-the-records".into(),
        text: format!("{method} is better"),
        source: "no claim was declared".into(),
        notes: String::new(),
        assertion: Assertion::Superiority {
            quantifier: question.quantifier.unwrap_or(Quantifier::All),
            delta: question.delta,
            test: Default::default(),
        },
        metrics: records.metrics().into_iter().map(metric).collect(),
        baselines: methods.iter().filter(|name| **name != method).map(plain).collect(),
        method: plain(&method),
        settings: records.settings().into_iter().map(setting).collect(),
        sweep: None,
        alpha: question.alpha.unwrap_or(0.05),
        unit: "unit".into(),
        pairing: if numbered { Pairing::None } else { Pairing::Unit },
        crossed: false,
        budget: Budget {
            measure: measure(records).into(),
            reason: "the records give no cost of every run".into(),
            ..Budget::default()
        },
        tuning_seeds: vec![],
        evaluation_seeds: vec![],
        units: None,
        stopping: "unknown".into(),
        planning: Default::default(),
        bootstrap: Default::default(),
        run: None,
    };
    claim.validate()?;
    Ok(claim)
}

/// The method that is asked for, or the first that the records name.
fn asked_method(records: &Records, question: &Question) -> Result<String> {
    let methods = records.methods();
    match &question.method {
        Some(name) if methods.contains(name) => Ok(name.clone()),
        Some(name) => Err(bad_input!("--method: no record is of '{name}' (there are: {})", methods.join(", "))),
        None => Ok(methods.first().cloned().unwrap_or_default()),
    }
}

/// Scores that all lie in [0, 1] are taken to be meant so.
fn unit_range(records: &Records, name: &str) -> Option<(f64, f64)> {
    let values: Vec<f64> = records.observations.iter().filter_map(|r| r.value(name)).collect();
    (!values.is_empty() && values.iter().all(|v| (0.0..=1.0).contains(v))).then_some((0.0, 1.0))
}

/// A cost that every record gives.
fn measure(records: &Records) -> &'static str {
    let all =
        |key: &str| !records.observations.is_empty() && records.observations.iter().all(|r| r.budget.contains_key(key));
    ["target_calls", "score_calls", "wall_s"].into_iter().find(|key| all(key)).unwrap_or("none")
}
