//! Reading records: JSON lines, a JSON list, or CSV with a header.

mod fields;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::record::{DONE, Record, Records, Split};
use crate::bad_input;
use crate::io::csv;
use fields::{observation, summary};

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
        if fields::is_head(&map) {
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
