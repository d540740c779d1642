//! From run folders to records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::plan::Job;
use super::pool::{Outcome, Place};
use super::printed::ROWS;
use crate::bad_input;
use crate::claims::claim::{Assertion, Claim, Figure, digest};
use crate::claims::record::{DONE, Record};
use crate::io::environment::sha256;

/// Facts of environment.json that a record keeps; names of hosts and folders stay behind.
const FACTS: &[&str] = &["crate_version", "commit", "dirty", "binary_sha256", "libtorch", "device", "cpu", "threads"];
/// Artefacts with a hash of their own; all others are in the hash `everything`.
const ARTEFACTS: &[&str] = &["config.yaml", "summary.json", "metrics.jsonl", "samples.safetensors"];
/// Keys of summary.json that are costs.
const COSTS: &[&str] = &["target_calls", "network_calls", "score_calls", "hvp_calls", "hessian_calls", "wall_s", CPU_S];
/// CPU seconds of the whole run, all threads, measured from outside.
const CPU_S: &str = "cpu_s";

/// The record of a finished run.
pub fn record(claim: &Claim, hash: &str, job: &Job, place: &Place, outcome: &Outcome) -> Result<Record> {
    let run = place.run();
    let mut record = Record {
        claim: hash.to_string(),
        split: job.split,
        method: job.method.clone(),
        setting: job.setting.clone(),
        unit: job.seed.to_string(),
        config: job.tuned.clone(),
        x: job.x,
        status: outcome.status.clone(),
        error: outcome.error.clone(),
        environment: facts(&run, outcome),
        sha256: hashes(&run)?,
        ..Record::default()
    };
    if record.done() {
        let summary = summary(&run)?;
        let mut figures = figures(&summary);
        figures.entry(CPU_S.into()).or_insert(outcome.cpu_s);
        record.budget = COSTS.iter().filter_map(|key| Some((key.to_string(), *figures.get(*key)?))).collect();
        fill(claim, job, &summary, figures, &mut record)?;
    }
    Ok(record)
}

fn summary(run: &Path) -> Result<Map<String, Value>> {
    let path = run.join("summary.json");
    let shown = path.display();
    let bytes =
        fs::read(&path).map_err(|error| bad_input!("{shown}: cannot be read ({error}), though its run ended well"))?;
    serde_json::from_slice(&bytes).map_err(|error| bad_input!("{shown}: {error}; expected an object of figures"))
}

/// Numbers of a summary; the items of a list under `name/0`, `name/1`, ….
fn figures(summary: &Map<String, Value>) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    for (name, value) in summary {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let listed = items.iter().enumerate().filter_map(|(i, v)| Some((format!("{name}/{i}"), v.as_f64()?)));
        figures.extend(value.as_f64().map(|v| (name.clone(), v)).into_iter().chain(listed));
    }
    figures
}

/// The claim's metrics. One that is null, as figures are that are not finite, makes the run a failed one.
fn fill(
    claim: &Claim,
    job: &Job,
    summary: &Map<String, Value>,
    figures: BTreeMap<String, f64>,
    record: &mut Record,
) -> Result<()> {
    for wanted in wanted(claim, &job.setting) {
        let of_row = wanted.figure.map(|figure| row(figure, job, summary)).transpose()?.flatten();
        let (value, null) = match of_row {
            Some(value) => (value.as_f64(), value.is_null()),
            None => (figures.get(&wanted.name).copied(), summary.get(&wanted.name).is_some_and(Value::is_null)),
        };
        match value {
            Some(value) => {
                record.metrics.insert(wanted.name, value);
            }
            None if null => {
                record.status = "diverged".into();
                record.error = format!("{} is no finite number", wanted.name);
            }
            None => {
                let there = figures.keys().cloned().collect::<Vec<_>>().join(", ");
                let name = &wanted.name;
                return Err(bad_input!("'metrics': {}: its summary has no '{name}' (there are: {there})", job.line()));
            }
        }
    }
    match summary.get("status").and_then(Value::as_str) {
        Some(status) if status != DONE => record.status = status.to_string(),
        _ => {}
    }
    Ok(())
}

/// The metric of a figure in the one row of a table that has the figure's values; `None` for figures of no row.
fn row<'a>(figure: &Figure, job: &Job, summary: &'a Map<String, Value>) -> Result<Option<&'a Value>> {
    if figure.row.is_empty() {
        return Ok(None);
    }
    let rows = summary.get(ROWS).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fits = |row: &&Value| figure.row.iter().all(|(key, value)| row.get(key) == Some(value));
    let found: Vec<&Value> = rows.iter().filter(fits).collect();
    match found.as_slice() {
        [row] => Ok(row.get(&figure.metric)),
        other => {
            let (key, line, count, all) = (figure.key(), job.line(), other.len(), rows.len());
            Err(bad_input!(
                "'assertion.figures': {line}: {count} of {all} rows fit '{key}'; name values of one row alone"
            ))
        }
    }
}

/// A metric that matters, under its name in the record.
struct Wanted<'a> {
    name: String,
    figure: Option<&'a Figure>,
}

/// Metrics that matter in a setting: those of its figures where the claim lists figures.
fn wanted<'a>(claim: &'a Claim, setting: &str) -> Vec<Wanted<'a>> {
    match &claim.assertion {
        Assertion::Figures { figures } => {
            let here = figures.iter().filter(|f| f.setting == setting);
            let mut all: Vec<Wanted> = here.map(|figure| Wanted { name: figure.key(), figure: Some(figure) }).collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            all.dedup_by(|a, b| a.name == b.name);
            all
        }
        _ => claim.metrics.iter().map(|metric| Wanted { name: metric.name.clone(), figure: None }).collect(),
    }
}

fn facts(run: &Path, outcome: &Outcome) -> BTreeMap<String, Value> {
    let bytes = fs::read(run.join("environment.json")).unwrap_or_default();
    let all: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut facts: BTreeMap<String, Value> =
        FACTS.iter().filter_map(|key| Some((key.to_string(), all.get(*key)?.clone()))).collect();
    facts.insert("started_unix".into(), outcome.started_unix.into());
    facts.insert("config_sha256".into(), outcome.config_sha256.clone().into());
    facts
}

/// SHA-256 of the main artefacts, and one over names and hashes of all files.
fn hashes(run: &Path) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    walk(run, run, &mut all)?;
    let listed: String = all.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect();
    let mut kept: BTreeMap<String, String> =
        all.into_iter().filter(|(name, _)| ARTEFACTS.contains(&name.as_str())).collect();
    kept.insert("everything".into(), digest(listed.as_bytes()));
    Ok(kept)
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, found)?;
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.insert(name, sha256(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_numbered_figures_and_texts_are_left() {
        let summary = serde_json::json!({"w2": 0.5, "mean": [1.0, 2.0], "status": "done", "bad": null});
        let found = figures(summary.as_object().unwrap());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["mean/0", "mean/1", "w2"]);
    }
}
