//! Runs of binaries that keep no run folder, such as `bench --json`: what they print becomes a run's files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::child::binary_sha256;
use super::plan::Job;
use crate::bad_input;
use crate::io::atomic::write_atomic;
use crate::io::environment::environment;

/// What a list of rows is kept under in summary.json.
pub const ROWS: &str = "rows";

/// Keeps the printed JSON as summary.json (a list under `rows`) where the command wrote none, and what it ran on.
pub fn keep(job: &Job, run: &Path, printed: &Path) -> Result<()> {
    fs::create_dir_all(run).with_context(|| format!("{}: cannot make the folder", run.display()))?;
    let summary = run.join("summary.json");
    if !summary.is_file() {
        let bytes = fs::read(printed).with_context(|| format!("{}: cannot be read", printed.display()))?;
        let found = object(&bytes).ok_or_else(|| {
            bad_input!(
                "{}: {} printed no JSON object or list and wrote no summary.json into {{out}}",
                job.line(),
                job.binary
            )
        })?;
        write_atomic(&summary, &serde_json::to_vec_pretty(&found)?)?;
    }
    let place = run.join("environment.json");
    if !place.is_file() {
        write_atomic(&place, &serde_json::to_vec_pretty(&facts(job)?)?)?;
    }
    Ok(())
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(figures) => Some(figures),
        Value::Array(rows) => Some(Map::from_iter([(ROWS.to_string(), Value::Array(rows))])),
        _ => None,
    }
}

/// Facts that this process shares with the command, which was built with it; threads and device stand in what it prints.
fn facts(job: &Job) -> Result<Map<String, Value>> {
    let mut facts = environment("cpu", job.seed);
    facts.retain(|key, _| ["crate_version", "commit", "dirty", "libtorch", "cpu"].contains(&key.as_str()));
    facts.insert("binary_sha256".into(), json!(binary_sha256(job)?));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_objects_are_kept_and_texts_are_not() {
        assert_eq!(object(b"[{\"a\": 1}]").unwrap()[ROWS][0]["a"], 1);
        assert_eq!(object(b"{\"a\": 2}").unwrap()["a"], 2);
        assert!(object(b"a table").is_none() && object(b"3").is_none());
    }
}
