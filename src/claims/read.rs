//! Reading records: JSON lines, a JSON list, or CSV with a header.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::record::{DONE, Record, Records, Split, Summary};
use crate::bad_input;
use crate::io::csv;

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

/// Records of a file, by its ending `.csv`, or as JSON otherwise.
pub fn read(path: &Path) -> Result<Records> {
    let shown = path.display();
    let bytes =
        std::fs::read(path).map_err(|error| bad_input!("{shown}: cannot be read ({error}); expected records"))?;
    let text = String::from_utf8(bytes).map_err(|_| bad_input!("{shown}: is not UTF-8 text; expected records"))?;
    let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let objects = if is_csv { csv_objects(path, &text)? } else { json_objects(path, &text)? };
    collect(path, objects)
}

/// Every object with where it stands.
fn json_objects(path: &Path, text: &str) -> Result<Vec<(String, Map<String, Value>)>> {
    let shown = path.display();
    let object = |place: String, value: Value| match value {
        Value::Object(map) => Ok((place, map)),
        other => Err(bad_input!("{shown}: {place}: found {}, expected a record {{...}}", short(&other))),
    };
    if let Ok(whole) = serde_json::from_str::<Value>(text) {
        let items = match whole {
            Value::Array(items) => items,
            Value::Object(mut map) => {
                let list = ["records", "tests"].iter().find_map(|key| match map.get_mut(*key) {
                    Some(Value::Array(items)) => Some(std::mem::take(items)),
                    _ => None,
                });
                let claim = map.remove("claim").filter(Value::is_object);
                let head = claim.map(|claim| Value::Object([("claim".to_string(), claim)].into_iter().collect()));
                match list {
                    Some(items) => head.into_iter().chain(items).collect(),
                    None => vec![Value::Object(map)],
                }
            }
            other => vec![other],
        };
        return items.into_iter().enumerate().map(|(i, item)| object(format!("record {}", i + 1), item)).collect();
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(i, line)| {
        let value = serde_json::from_str(line).map_err(|error| {
            bad_input!("{shown}: line {}: is not JSON ({error}); expected one record a line", i + 1)
        })?;
        object(format!("line {}", i + 1), value)
    });
    parsed.collect()
}

/// Rows under a header; empty fields are left out, fields that are numbers become such.
fn csv_objects(path: &Path, text: &str) -> Result<Vec<(String, Map<String, Value>)>> {
    let table = csv::parse(path, text)?;
    let row = |(line, fields): &(usize, Vec<String>)| {
        let pairs = table.header.iter().zip(fields).filter(|(_, field)| !field.is_empty());
        let value = |field: &String| match field.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            Ok(_) => Value::Null,
            Err(_) => Value::from(field.as_str()),
        };
        (format!("line {line}"), pairs.map(|(name, field)| (name.clone(), value(field))).collect())
    };
    Ok(table.rows.iter().map(row).collect())
}

fn collect(path: &Path, objects: Vec<(String, Map<String, Value>)>) -> Result<Records> {
    let mut records = Records::default();
    let mut merged: BTreeMap<Key, usize> = BTreeMap::new();
    let mut numbered: BTreeMap<Key, usize> = BTreeMap::new();
    for (place, map) in objects {
        if let Some(claim) = map.get("claim").filter(|claim| claim.is_object()) {
            records.claim = Some(claim.clone());
            continue;
        }
        if map.contains_key("schema") && text(&map, METHOD).is_none() {
            continue; // A head.
        }
        if let Some(summary) = summary(&map) {
            records.summaries.push(summary);
            continue;
        }
        let mut record = observation(path, &place, &map)?;
        if record.unit.is_empty() {
            // Nothing pairs such records; their order numbers them.
            let count = numbered.entry(key(&record, &first_metric(&record))).or_default();
            *count += 1;
            record.unit = format!("#{count}");
        }
        merge(path, &place, &mut records.observations, &mut merged, record)?;
    }
    if records.observations.is_empty() && records.summaries.is_empty() {
        return Err(bad_input!("{}: holds no records; docs/claims.md shows what they look like", path.display()));
    }
    if !numbered.is_empty() {
        records.notes.push("some records name no unit (seed, rater, prompt): their order numbers them".into());
    }
    Ok(records)
}

type Key = (Split, String, String, String, String, String);

fn key(record: &Record, metric: &str) -> Key {
    let x = record.x.map_or(String::new(), |x| x.to_string());
    let place = format!("{}\u{1f}{x}", record.config);
    (record.split, record.method.clone(), record.setting.clone(), record.unit.clone(), place, metric.into())
}

fn first_metric(record: &Record) -> String {
    record.metrics.keys().next().cloned().unwrap_or_default()
}

/// Records of one run that give its metrics one by one become one; the same metric twice is an error.
fn merge(
    path: &Path,
    place: &str,
    observations: &mut Vec<Record>,
    merged: &mut BTreeMap<Key, usize>,
    record: Record,
) -> Result<()> {
    let run = key(&record, "");
    let Some(at) = merged.get(&run).copied() else {
        merged.insert(run, observations.len());
        observations.push(record);
        return Ok(());
    };
    let known = &mut observations[at];
    let twice = record.metrics.keys().find(|name| known.metrics.contains_key(*name));
    if twice.is_some() || record.metrics.is_empty() {
        let name = twice.cloned().unwrap_or_else(|| "status".into());
        return Err(bad_input!(
            "{}: {place}: '{name}' of method '{}', setting '{}', unit '{}' stands there a second time; give each \
             record its own unit or config",
            path.display(),
            record.method,
            record.setting,
            record.unit
        ));
    }
    known.metrics.extend(record.metrics);
    known.budget.extend(record.budget);
    if record.status != DONE {
        known.status = record.status;
    }
    Ok(())
}

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

fn summary(map: &Map<String, Value>) -> Option<Summary> {
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

fn observation(path: &Path, place: &str, map: &Map<String, Value>) -> Result<Record> {
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

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 40 { text.chars().take(40).chain("...".chars()).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(ending: &str, text: &str) -> Result<Records> {
        let file = tempfile::Builder::new().suffix(ending).tempfile()?;
        std::fs::write(file.path(), text)?;
        read(file.path())
    }

    #[test]
    fn three_forms_of_the_same_records() {
        let lines = "{\"method\":\"A\",\"setting\":\"s\",\"seed\":1,\"metrics\":{\"m\":0.5},\"target_calls\":7}\n\n\
                     {\"method\":\"B\",\"setting\":\"s\",\"seed\":1.0,\"metric\":\"m\",\"value\":0.25}\n";
        let list = "[{\"sampler\":\"A\",\"task\":\"s\",\"rater\":\"1\",\"m\":0.5,\"target_calls\":7},\
                    {\"method\":\"B\",\"setting\":\"s\",\"unit\":\"1\",\"m\":0.25}]";
        let table = "method,setting,seed,m,target_calls\nA,s,1,0.5,7\nB,s,1,0.25,\n";
        let [a, b, c] = [(".jsonl", lines), (".json", list), (".csv", table)].map(|(e, t)| parsed(e, t).unwrap());
        assert_eq!(a, b);
        assert_eq!(a, c);
        assert_eq!(a.observations[0].budget["target_calls"], 7.0);
        assert_eq!((a.methods(), a.metrics()), (vec!["A".into(), "B".into()], vec!["m".to_string()]));
    }

    #[test]
    fn summaries_and_factors_are_understood() {
        let text = "{\"tests\":[{\"metric\":\"Quality\",\"temperature\":1.0,\"comparison\":\"Min-p > Top-p\",\"n\":53,\
                    \"mean_diff\":0.3,\"sd_diff\":1.2,\"p_one_sided\":0.02}]}";
        let records = parsed(".json", text).unwrap();
        let summary = &records.summaries[0];
        assert_eq!((summary.method.as_str(), summary.baseline.as_str()), ("Min-p", "Top-p"));
        assert_eq!((summary.setting.as_str(), summary.n), ("temperature 1", 53));
    }

    #[test]
    fn metrics_of_one_run_are_gathered_and_repeats_refused() {
        let row = |metric: &str| format!("{{\"method\":\"A\",\"seed\":1,\"metric\":\"{metric}\",\"value\":1}}\n");
        let records = parsed(".jsonl", &(row("a") + &row("b"))).unwrap();
        assert_eq!(records.observations.len(), 1);
        assert_eq!(records.observations[0].metrics.len(), 2);
        let error = parsed(".jsonl", &(row("a") + &row("a"))).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("second time"), "{error}");
    }

    #[test]
    fn failed_runs_stay_and_faults_are_named() {
        let failed = parsed(".jsonl", "{\"method\":\"A\",\"seed\":1,\"status\":\"failed\"}").unwrap();
        assert!(!failed.observations[0].done());
        for (text, part) in [
            ("{\"seed\":1,\"v\":2}", "'method'"),
            ("{\"method\":\"A\"}", "no figure"),
            ("{\"method\":\"A\",\"v\":1,\"split\":\"train\"}", "'train'"),
            ("{\"method\":\"A\",\"v\":1}\nnonsense", "line 2"),
            ("[3]", "expected a record"),
            ("", "no records"),
        ] {
            let error = parsed(".jsonl", text).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn records_without_units_are_numbered() {
        let records = parsed(".csv", "method,m\nA,1\nA,2\nB,3\n").unwrap();
        let units: Vec<&str> = records.observations.iter().map(|r| r.unit.as_str()).collect();
        assert_eq!(units, ["#1", "#2", "#1"]);
        assert_eq!(records.notes.len(), 1);
    }
}
