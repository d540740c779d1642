//! Human ratings and external scores: a table with a row a rater becomes records.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::record::{DONE, Record};
use crate::bad_input;
use crate::io::csv::{self, Csv};
use crate::io::environment::sha256;

/// How to read the table.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The column that names the rater.
    pub rater: String,
    /// What the names of condition columns are made of, such as `setting|method|metric`; the character between the
    /// words divides the names too. Words other than method and metric become part of the setting.
    pub columns: String,
    /// `COLUMN` (1, true, yes, pass or passed keep a row) or `COLUMN=VALUE`.
    pub attention: Option<String>,
}

/// Records with a head that says where they are from.
pub struct Imported {
    pub head: Value,
    pub records: Vec<Record>,
    /// Raters that failed the attention check.
    pub excluded: Vec<String>,
}

/// Parts of a condition column's name.
struct Condition {
    column: usize,
    method: String,
    metric: String,
    setting: String,
}

/// Reads the table. A field that is empty is a missing rating; one that is no number is an error.
pub fn import(path: &Path, layout: &Layout) -> Result<Imported> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| bad_input!("{shown}: cannot be read as text ({error})"))?;
    let table = csv::parse(path, &text)?;
    let rater = column(path, &table, &layout.rater)?;
    let keep = attention(path, &table, layout.attention.as_deref())?;
    let conditions = conditions(path, &table, &layout.columns)?;

    let (mut records, mut excluded, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (line, row) in &table.rows {
        let unit = row[rater].clone();
        if unit.is_empty() || !seen.insert(unit.clone()) {
            return Err(bad_input!("{shown}: line {line}: the rater '{unit}' is empty or stands there twice"));
        }
        if !keep(row) {
            excluded.push(unit);
            continue;
        }
        for condition in &conditions {
            let field = row[condition.column].trim();
            if field.is_empty() {
                continue;
            }
            let value: f64 = field.parse().ok().filter(|v: &f64| v.is_finite()).ok_or_else(|| {
                let name = &table.header[condition.column];
                bad_input!("{shown}: line {line}: column '{name}': found '{field}', expected a number")
            })?;
            gather(&mut records, &unit, condition, value);
        }
    }
    let head = json!({
        "schema": "sampler records", "schema_version": 1,
        "imported_from": path.file_name().unwrap_or_default().to_string_lossy(), "sha256": sha256(path)?,
        "raters": seen.len(), "excluded": excluded.len(),
    });
    Ok(Imported { head, records, excluded })
}

/// One record a rater, method and setting, with all its metrics.
fn gather(records: &mut Vec<Record>, unit: &str, condition: &Condition, value: f64) {
    let same = |r: &&mut Record| r.unit == unit && r.method == condition.method && r.setting == condition.setting;
    // Only the rater's own records can match, and they are the last.
    let last = records.iter_mut().rev().take_while(|r| r.unit == unit).find(same);
    if let Some(record) = last {
        record.metrics.insert(condition.metric.clone(), value);
        return;
    }
    records.push(Record {
        unit: unit.into(),
        method: condition.method.clone(),
        setting: condition.setting.clone(),
        status: DONE.into(),
        metrics: [(condition.metric.clone(), value)].into_iter().collect(),
        ..Record::default()
    });
}

fn column(path: &Path, table: &Csv, name: &str) -> Result<usize> {
    table
        .header
        .iter()
        .position(|column| column == name)
        .ok_or_else(|| bad_input!("{}: has no column '{name}' (its columns: {})", path.display(), first_columns(table)))
}

fn first_columns(table: &Csv) -> String {
    let more = if table.header.len() > 8 { ", ..." } else { "" };
    table.header.iter().take(8).cloned().collect::<Vec<_>>().join(", ") + more
}

type Keep = Box<dyn Fn(&[String]) -> bool>;

fn attention(path: &Path, table: &Csv, flag: Option<&str>) -> Result<Keep> {
    let Some(flag) = flag else { return Ok(Box::new(|_| true)) };
    let (name, wanted) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_string())));
    let at = column(path, table, name)?;
    Ok(Box::new(move |row| match &wanted {
        Some(value) => row[at].trim() == value,
        None => ["1", "1.0", "true", "yes", "pass", "passed"].contains(&row[at].trim().to_lowercase().as_str()),
    }))
}

/// Columns whose names have as many parts as the layout.
fn conditions(path: &Path, table: &Csv, layout: &str) -> Result<Vec<Condition>> {
    let divider = layout.chars().find(|c| !c.is_alphanumeric() && *c != '_').unwrap_or('|');
    let words: Vec<&str> = layout.split(divider).map(str::trim).collect();
    if !words.contains(&"method") {
        return Err(bad_input!("--columns '{layout}': names no 'method'; write such as setting|method|metric"));
    }
    let mut found = Vec::new();
    for (column, name) in table.header.iter().enumerate() {
        let parts: Vec<&str> = name.split(divider).map(str::trim).collect();
        if parts.len() != words.len() {
            continue;
        }
        let part = |word: &str| words.iter().position(|w| *w == word).map(|i| parts[i].to_string());
        let others = words.iter().zip(&parts).filter(|(word, _)| **word != "method" && **word != "metric");
        let setting = others.map(|(word, part)| match *word {
            "setting" => part.to_string(),
            _ => format!("{word} {part}"),
        });
        let setting = setting.collect::<Vec<_>>().join(", ");
        found.push(Condition {
            column,
            method: part("method").unwrap_or_default(),
            metric: part("metric").unwrap_or_else(|| "score".into()),
            setting: if setting.is_empty() { "all".into() } else { setting },
        });
    }
    if found.is_empty() {
        let columns = first_columns(table);
        return Err(bad_input!(
            "{}: no column is made like --columns '{layout}' (its columns: {columns})",
            path.display()
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(text: &str, attention: Option<&str>) -> Result<Imported> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let layout = Layout {
            rater: "id".into(),
            columns: "temperature|method|metric".into(),
            attention: attention.map(str::to_string),
        };
        import(file.path(), &layout)
    }

    const TABLE: &str = "id,passed,1.0|min-p|quality,1.0|min-p|diversity,1.0|top-p|quality,comment\n\
                         r1,yes,7,3,6,fine\nr2,no,1,1,1,\nr3,Yes,5,,4,\"a, b\"\n";

    #[test]
    fn condition_columns_become_records_and_inattentive_raters_go() {
        let found = imported(TABLE, Some("passed")).unwrap();
        assert_eq!(found.excluded, ["r2"]);
        assert_eq!(found.records.len(), 4);
        let first = &found.records[0];
        assert_eq!(
            (first.setting.as_str(), first.method.as_str(), first.metrics["diversity"]),
            ("temperature 1.0", "min-p", 3.0)
        );
        assert_eq!(found.records[2].metrics.len(), 1);
        assert_eq!(found.head["raters"], 3);
        assert_eq!(imported(TABLE, Some("passed=no")).unwrap().excluded.len(), 2);
    }

    #[test]
    fn faults_are_named() {
        let message = |text: &str, flag| imported(text, flag).err().unwrap().to_string();
        assert!(message(&TABLE.replace(",7,", ",seven,"), None).contains("found 'seven'"));
        assert!(message(&TABLE.replace("r3", "r1"), None).contains("twice"));
        assert!(message(TABLE, Some("awake")).contains("no column 'awake'"));
        assert!(message("id,score\nr1,2\n", None).contains("no column is made like"));
    }
}
