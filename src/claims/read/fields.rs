//! The fields of a record, under the names that people give them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::bad_input;
use crate::claims::record::{DONE, Record, Split, Summary};

/// Names that mean the same; the first is the schema's.
const METHOD: &[&str] = &["method", "sampler", "algorithm", "model"];
const SETTING: &[&str] = &["setting", "task", "condition", "target", "dataset"];
const UNIT: &[&str] = &["unit", "seed", "rater", "prompt", "participant", "annotator", "pair"];
const METRIC: &[&str] = &["metric", "measure"];
const VALUE: &[&str] = &["value", "score"];
const MEAN: &[&str] = &["mean_difference", "mean_diff"];
const DEVIATION: &[&str] = &["deviation", "sd_diff", "sd_difference"];
/// Columns that divide a setting where they stand beside it or in its place.
const FACTORS: &[&str] = &["temperature", "diversity", "dimension"];
/// Keys of a record that are no metrics.
const KNOWN: &[&str] = &[
    "claim",
    "split",
    "config",
    "x",
    "status",
    "metrics",
    "budget",
    "sha256",
    "environment",
    "error",
    "schema",
    "n",
    "baseline",
    "comparison",
    "attention",
    "role",
];
/// Costs, where they stand beside the metrics.
const COSTS: &[&str] = &["target_calls", "network_calls", "score_calls", "wall_s"];

fn text(map: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| map.get(*name)).and_then(plain)
}

/// A scalar as the text that names it: 3.0 and 3 are one unit.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_string()),
        Value::Number(number) => number.as_f64().map(|v| v.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn number(map: &Map<String, Value>, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| map.get(*name)).and_then(Value::as_f64)
}

/// The setting with the factors beside it; `all` where nothing tells settings apart.
fn setting(map: &Map<String, Value>) -> String {
    let factor = |name: &&str| map.get(*name).and_then(plain).map(|value| format!("{name} {value}"));
    let named = text(map, SETTING).into_iter().chain(FACTORS.iter().filter_map(factor));
    let joined = named.collect::<Vec<_>>().join(", ");
    if joined.is_empty() { "all".into() } else { joined }
}

/// What a file says of itself, which is no record.
pub fn is_head(map: &Map<String, Value>) -> bool {
    map.contains_key("schema") && text(map, METHOD).is_none()
}

/// A comparison known by its summary alone.
pub fn summary(map: &Map<String, Value>) -> Option<Summary> {
    let (mean_difference, deviation) = (number(map, MEAN)?, number(map, DEVIATION)?);
    let compared = text(map, &["comparison"]);
    let (method, baseline) = match compared.as_deref().and_then(|text| text.split_once('>')) {
        Some((method, baseline)) => (method.trim().to_string(), baseline.trim().to_string()),
        None => (text(map, METHOD)?, text(map, &["baseline"])?),
    };
    let n = number(map, &["n"]).filter(|n| *n >= 0.0 && n.fract() == 0.0)? as usize;
    let metric = text(map, METRIC).unwrap_or_else(|| "value".into());
    Some(Summary { method, baseline, setting: setting(map), metric, n, mean_difference, deviation })
}

/// One observation; `place` is where it stands in the file.
pub fn observation(path: &Path, place: &str, map: &Map<String, Value>) -> Result<Record> {
    let shown = path.display();
    let method = text(map, METHOD).ok_or_else(|| {
        let keys = map.keys().cloned().collect::<Vec<_>>().join(", ");
        bad_input!("{shown}: {place}: no key 'method' among {keys}; docs/claims.md shows what a record looks like")
    })?;
    let split = match text(map, &["split"]).as_deref() {
        None | Some("evaluation" | "test" | "eval") => Split::Evaluation,
        Some("tuning" | "validation") => Split::Tuning,
        Some(other) => {
            return Err(bad_input!("{shown}: {place}: 'split' cannot be '{other}' (valid: tuning, evaluation)"));
        }
    };
    let mut record = Record {
        claim: text(map, &["claim"]).unwrap_or_default(),
        split,
        method,
        setting: setting(map),
        unit: text(map, UNIT).unwrap_or_default(),
        config: text(map, &["config"]).unwrap_or_default(),
        x: number(map, &["x"]),
        status: text(map, &["status"]).unwrap_or_else(|| DONE.into()),
        error: text(map, &["error"]).unwrap_or_default(),
        ..Record::default()
    };
    record.metrics = metrics(map);
    record.budget = numbers(map.get("budget"));
    let beside = COSTS.iter().filter_map(|name| Some((name.to_string(), map.get(*name)?.as_f64()?)));
    record.budget.extend(beside);
    if let Some(Value::Object(hashes)) = map.get("sha256") {
        record.sha256 = hashes.iter().filter_map(|(name, hash)| Some((name.clone(), plain(hash)?))).collect();
    }
    if let Some(Value::Object(facts)) = map.get("environment") {
        record.environment = facts.iter().map(|(name, fact)| (name.clone(), fact.clone())).collect();
    }
    if record.metrics.is_empty() && record.done() {
        let found = map.keys().cloned().collect::<Vec<_>>().join(", ");
        return Err(bad_input!(
            "{shown}: {place}: no figure among {found}; give 'metrics': {{name: number}}, or 'metric' and 'value', or \
             a status other than done"
        ));
    }
    Ok(record)
}

/// `metrics: {…}`, or `metric` with `value`, or every other number.
fn metrics(map: &Map<String, Value>) -> BTreeMap<String, f64> {
    let nested = numbers(map.get("metrics"));
    if !nested.is_empty() || map.contains_key("metrics") {
        return nested;
    }
    if let Some(value) = VALUE.iter().find_map(|name| map.get(*name)) {
        let name = text(map, METRIC).unwrap_or_else(|| "value".into());
        return value.as_f64().map(|v| (name, v)).into_iter().collect();
    }
    let aside = [METHOD, SETTING, UNIT, METRIC, FACTORS, KNOWN, COSTS].concat();
    let left = map.iter().filter(|(name, _)| !aside.contains(&name.as_str()));
    left.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

fn numbers(value: Option<&Value>) -> BTreeMap<String, f64> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}
