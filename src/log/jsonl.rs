//! `metrics.jsonl`: one JSON object a logging step, `{"step": 100, "wall_s": 1.5, "train/loss": 0.25}`.
//!
//! JSON has no NaN or infinities; they are written as the strings `"NaN"`, `"inf"` and `"-inf"`, so that a reader can
//! tell a diverged loss from a missing one. Numbers are written with as many digits as it takes to read back the same
//! double.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::bad_input;

/// Appends lines to a metrics file. Each line is handed to the system in one piece, so a killed run can at most leave
/// its last line torn.
pub struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Opens a file to append to; a missing one is made. A torn last line is removed first.
    pub fn append(path: &Path) -> Result<Self> {
        Self::open(path, u64::MAX)
    }

    /// Opens the file of a run that continues after `last_step`: lines of later steps are removed first.
    pub fn resume(path: &Path, last_step: u64) -> Result<Self> {
        Self::open(path, last_step)
    }

    fn open(path: &Path, last_step: u64) -> Result<Self> {
        if path.exists() {
            truncate_after(path, last_step)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(|| format!("{}: cannot open to append", path.display()))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Appends one line: the step, the seconds of wall time since training began, and the values.
    pub fn write<'a>(
        &mut self,
        step: u64,
        wall_s: f64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let mut object = Map::new();
        object.insert("step".to_string(), step.into());
        object.insert("wall_s".to_string(), json_number(wall_s));
        object.extend(values.into_iter().map(|(tag, value)| (tag.to_string(), json_number(value))));

        let line = format!("{}\n", Value::Object(object));
        self.file.write_all(line.as_bytes()).with_context(|| format!("{}: cannot write", self.path.display()))
    }
}

/// All lines of a metrics file as maps from name to number. A torn last line is passed over.
///
/// Errors name the file and line of anything else that is not an object of numbers.
pub fn read(path: &Path) -> Result<Vec<BTreeMap<String, f64>>> {
    Ok(read_lines(path)?.into_iter().map(|(_, line)| line).collect())
}

/// Removes all lines from the first one on whose step is larger than `last_step`, and a torn last line.
///
/// The file is cut in one go: a kill in the middle leaves it as it was or as it should be.
pub fn truncate_after(path: &Path, last_step: u64) -> Result<()> {
    let lines = read_lines(path)?;
    let kept = lines.iter().take_while(|(_, line)| line["step"] <= last_step as f64);
    let end = kept.last().map_or(0, |(end, _)| *end);

    let file = OpenOptions::new().write(true).open(path);
    let cut = file.and_then(|file| file.set_len(end));
    cut.with_context(|| format!("{}: cannot shorten", path.display()))
}

/// Every complete line with the offset of its end in bytes.
fn read_lines(path: &Path) -> Result<Vec<(u64, BTreeMap<String, f64>)>> {
    // A torn line may end inside a character, so the text is taken apart as bytes.
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot read", path.display()))?;
    let mut lines = Vec::new();
    let mut end = 0;
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if line.last() != Some(&b'\n') {
            break;
        }
        end += line.len() as u64;
        let parsed = parse(line).map_err(|found| {
            bad_input!("{}: line {}: {found}; expected an object of numbers with a 'step'", path.display(), number + 1)
        })?;
        lines.push((end, parsed));
    }
    Ok(lines)
}

fn parse(line: &[u8]) -> Result<BTreeMap<String, f64>, String> {
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let entry = |(name, value): (String, Value)| match number(&value) {
        Some(number) => Ok((name, number)),
        None => Err(format!("'{name}' is {value}")),
    };
    let map: BTreeMap<String, f64> = object.into_iter().map(entry).collect::<Result<_, _>>()?;
    if map.contains_key("step") { Ok(map) } else { Err("there is no 'step'".to_string()) }
}

fn json_number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if matches!(text.as_str(), "NaN" | "inf" | "-inf") => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(steps: std::ops::Range<u64>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::append(&path).unwrap();
        for step in steps {
            lines.write(step, step as f64 / 10.0, [("train/loss", 1.0 / 3.0 + step as f64)]).unwrap();
        }
        (folder, path)
    }

    fn steps(path: &Path) -> Vec<f64> {
        read(path).unwrap().iter().map(|line| line["step"]).collect()
    }

    #[test]
    fn numbers_come_back_bit_for_bit() {
        let (_folder, path) = written(0..0);
        let values = [1.0 / 3.0, f64::MIN_POSITIVE / 8.0, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0];
        let names: Vec<String> = (0..values.len()).map(|i| format!("v{i}")).collect();
        let pairs = names.iter().map(String::as_str).zip(values);
        JsonLines::append(&path).unwrap().write(7, 0.5, pairs).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"step":7,"wall_s":0.5,"v0":0.333"#), "{text}");
        assert!(text.contains(r#""v3":"inf","v4":"-inf","v5":"NaN""#), "{text}");
        let line = &read(&path).unwrap()[0];
        for (name, value) in names.iter().zip(values) {
            assert_eq!(line[name].to_bits(), value.to_bits(), "{name}");
        }
    }

    #[test]
    fn resuming_drops_later_steps_and_continues() {
        let (_folder, path) = written(0..10);
        let mut lines = JsonLines::resume(&path, 6).unwrap();
        assert_eq!(steps(&path), (0..=6).map(f64::from).collect::<Vec<_>>());
        lines.write(7, 0.7, [("train/loss", -1.0)]).unwrap();
        let all = read(&path).unwrap();
        assert_eq!((all.len(), all[7]["train/loss"]), (8, -1.0));

        truncate_after(&path, 0).unwrap();
        assert_eq!(steps(&path), [0.0]);
    }

    #[test]
    fn a_torn_last_line_is_ignored_and_then_removed() {
        let (_folder, path) = written(0..5);
        let whole = std::fs::read(&path).unwrap();
        let last_line = whole.split_inclusive(|b| *b == b'\n').next_back().unwrap().len();
        for lost in 1..last_line {
            std::fs::write(&path, &whole[..whole.len() - lost]).unwrap();
            assert_eq!(steps(&path), [0.0, 1.0, 2.0, 3.0], "{lost} bytes lost");
            JsonLines::append(&path).unwrap().write(4, 0.0, []).unwrap();
            assert_eq!(steps(&path), [0.0, 1.0, 2.0, 3.0, 4.0], "{lost} bytes lost");
        }
    }

    #[test]
    fn damage_elsewhere_names_file_and_line() {
        let (_folder, path) = written(0..1);
        for bad in ["{\"step\": 1, \"x\": \"high\"}", "{\"x\": 1.0}", "[1]", "{\"step\": 1"] {
            std::fs::write(&path, format!("{{\"step\": 0}}\n{bad}\n")).unwrap();
            let error = read(&path).unwrap_err();
            assert!(crate::torch::error::is_bad_input(&error));
            assert!(error.to_string().contains("metrics.jsonl: line 2: "), "{error}");
            assert!(!error.to_string().contains('\n'));
        }
    }
}
