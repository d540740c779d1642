//! Comparing runs: mean and standard error over seeds for each setting that differs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bad_input;
use crate::config::flat;
use crate::io::atomic::write_atomic;
use crate::log::jsonl;
use crate::log::plot::{Axis, LinePlot, Picture, Series};
use crate::log::table::{Table, figure, mean_std};
use crate::train::objective::History;

/// Figures of `summary.json` that a comparison shows, in this order, where any run has them.
const METRICS: [&str; 15] = [
    "eval/elbo",
    "eval/eubo",
    "eval/log_z",
    "eval/log_z_error",
    "eval/ess",
    "eval/ess_fwd",
    "eval/sinkhorn",
    "eval/w2",
    "eval/mmd",
    "eval/emc",
    "train/skipped",
    "target_calls",
    "network_calls",
    "steps",
    "wall_s",
];

/// Sections that must be the same for figures to be comparable: the density, and how figures are measured.
const PROTOCOL: [&str; 2] = ["target.", "eval."];

/// A finished run as read from its folder.
pub struct Finished {
    pub path: PathBuf,
    config: BTreeMap<String, Value>,
    summary: BTreeMap<String, f64>,
    status: String,
    history: History,
}

/// Runs of one setting.
pub struct Group {
    pub label: String,
    runs: Vec<Finished>,
}

/// Compares the runs at or below the given paths; leaves `compare.md`, `compare.csv` and `compare.png` in `out`.
pub fn write(paths: &[PathBuf], out: &Path) -> Result<Table> {
    let groups = group(&find_runs(paths)?)?;
    let table = table(&groups);
    std::fs::create_dir_all(out).with_context(|| format!("{}: cannot make the folder", out.display()))?;
    write_atomic(&out.join("compare.md"), table.to_markdown().as_bytes())?;
    write_atomic(&out.join("compare.csv"), table.to_csv().as_bytes())?;
    picture(&groups)?.save(&out.join("compare.png"))?;
    Ok(table)
}

/// Run folders at or below the given paths, in order.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for path in paths {
        if !path.exists() {
            return Err(bad_input!("{}: no such folder; expected a run folder or one that holds some", path.display()));
        }
        collect(path, &mut found);
    }
    if found.is_empty() {
        let named: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        return Err(bad_input!("{}: no run folder (one with config.yaml and summary.json) here", named.join(", ")));
    }
    Ok(found.into_iter().collect())
}

fn collect(path: &Path, found: &mut BTreeSet<PathBuf>) {
    if path.join("config.yaml").is_file() {
        if path.join("summary.json").is_file() {
            found.insert(path.to_path_buf());
        }
        return;
    }
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        collect(&entry.path(), found);
    }
}

/// Reads runs and groups them by everything in their configs but the seed; refuses mixed targets or protocols.
pub fn group(paths: &[PathBuf]) -> Result<Vec<Group>> {
    let runs = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    for run in &runs[1..] {
        refuse_mixed(&runs[0], run)?;
    }
    let differing = differing_keys(&runs);
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        let label = label(&run, &differing);
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { label, runs: vec![run] }),
        }
    }
    Ok(groups)
}

fn read(path: &Path) -> Result<Finished> {
    let text = |name: &str| {
        let file = path.join(name);
        std::fs::read_to_string(&file).map_err(|e| bad_input!("{}: cannot be read ({e})", file.display()))
    };
    let damaged = |name: &str| format!("{}: damaged", path.join(name).display());
    let config = flat(&text("config.yaml")?).with_context(|| damaged("config.yaml"))?;
    let summary: BTreeMap<String, Value> =
        serde_json::from_str(&text("summary.json")?).map_err(|e| bad_input!("{} ({e})", damaged("summary.json")))?;
    let status = summary.get("status").and_then(Value::as_str).unwrap_or("unknown").to_string();
    let numbers = summary.iter().map(|(key, v)| (key.clone(), v.as_f64().unwrap_or(f64::NAN)));
    let summary = numbers.filter(|(key, _)| key != "status").collect();
    let metrics = path.join("metrics.jsonl");
    let history = if metrics.is_file() { jsonl::read(&metrics)? } else { Vec::new() };
    Ok(Finished { path: path.to_path_buf(), config, summary, status, history })
}

fn refuse_mixed(first: &Finished, other: &Finished) -> Result<()> {
    let keys: BTreeSet<&String> = first.config.keys().chain(other.config.keys()).collect();
    for key in keys.into_iter().filter(|key| PROTOCOL.iter().any(|section| key.starts_with(section))) {
        let (a, b) = (first.config.get(key), other.config.get(key));
        if a != b {
            let show = |v: Option<&Value>| v.map_or("unset".to_string(), Value::to_string);
            return Err(bad_input!(
                "{} has {key} {} but {} has {}: runs on different targets or evaluation protocols are not compared; \
                 compare them apart",
                first.path.display(),
                show(a),
                other.path.display(),
                show(b)
            ));
        }
    }
    Ok(())
}

/// Keys other than the seed in which runs differ; the loss's type is always part of a label.
///
/// Where the type of a section differs, keys that some types do not have say nothing new.
fn differing_keys(runs: &[Finished]) -> Vec<String> {
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.config.keys()).collect();
    let vary = |key: &str| runs.iter().any(|run| run.config.get(key) != runs[0].config.get(key));
    let belongs_to_a_type = |key: &str| {
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        vary(&format!("{section}.type")) && runs.iter().any(|run| !run.config.contains_key(key))
    };
    let differs = |key: &&&String| vary(key) && !belongs_to_a_type(key);
    let mut list = vec!["loss.type".to_string()];
    list.extend(
        keys.iter().filter(|key| **key != "seed" && **key != "loss.type").filter(differs).map(|k| (*k).clone()),
    );
    list
}

fn label(run: &Finished, keys: &[String]) -> String {
    let show = |v: &Value| v.as_str().map_or_else(|| v.to_string(), String::from);
    let part = |key: &String| {
        let value = run.config.get(key).map_or_else(|| "unset".into(), show);
        if key == "loss.type" { value } else { format!("{key}={value}") }
    };
    keys.iter().map(part).collect::<Vec<_>>().join(" ")
}

/// Mean and standard error; `NaN` error for one run.
fn mean_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// One row a setting: figures as mean ± standard error over its runs.
pub fn table(groups: &[Group]) -> Table {
    let has = |metric: &&str| groups.iter().flat_map(|g| &g.runs).any(|run| run.summary.contains_key(*metric));
    let metrics: Vec<&str> = METRICS.into_iter().filter(has).collect();
    let mut header = vec!["setting".to_string(), "runs".to_string()];
    header.extend(metrics.iter().map(|metric| metric.trim_start_matches("eval/").to_string()));
    let mut table = Table::new(header);
    for group in groups {
        let finished = group.runs.iter().filter(|run| run.status == "done").count();
        let count = match group.runs.len() - finished {
            0 => finished.to_string(),
            broken => format!("{finished} (+{broken} not finished)"),
        };
        let mut cells = vec![group.label.clone(), count];
        cells.extend(metrics.iter().map(|metric| cell(group, metric)));
        table.row(cells);
    }
    table
}

fn cell(group: &Group, metric: &str) -> String {
    let values: Vec<f64> = group.runs.iter().filter_map(|run| run.summary.get(metric)).copied().collect();
    match values.as_slice() {
        [] => "-".into(),
        [one] => figure(*one, 4),
        several => {
            let (mean, error) = mean_error(several);
            if error == 0.0 { figure(mean, 4) } else { mean_std(mean, error) }
        }
    }
}

/// ELBO over updates, mean ± standard error over seeds, one curve a setting.
pub fn picture(groups: &[Group]) -> Result<Picture> {
    let (x, y) = (Axis::linear("updates"), elbo_axis(groups));
    let mut plot = LinePlot::new("ELBO by setting (mean ± s.e. over seeds)", x, y);
    for group in groups {
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for row in group.runs.iter().flat_map(|run| &run.history) {
            if let (Some(step), Some(elbo)) = (row.get("step"), row.get("eval/elbo")) {
                by_step.entry(*step as u64).or_default().push(*elbo);
            }
        }
        let steps: Vec<f64> = by_step.keys().map(|step| *step as f64).collect();
        let (mean, error): (Vec<f64>, Vec<f64>) = by_step.values().map(|values| mean_error(values)).unzip();
        let series = Series::new(&group.label, &steps, &mean);
        let error: Vec<f64> = error.into_iter().map(|e| if e.is_finite() { e } else { 0.0 }).collect();
        plot = plot.series(if group.runs.len() > 1 { series.plus_minus(&error) } else { series });
    }
    plot.draw()
}

/// Spans where the curves end up, not where they start from.
fn elbo_axis(groups: &[Group]) -> Axis {
    let mut settled = Vec::new();
    for run in groups.iter().flat_map(|group| &group.runs) {
        let values: Vec<f64> = run.history.iter().filter_map(|row| row.get("eval/elbo")).copied().collect();
        settled.extend(values[values.len() / 4..].iter().filter(|v| v.is_finite()));
    }
    let (low, high) = settled.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let margin = (high - low) * 0.1;
    if low < high {
        Axis::linear("ELBO (nats)").within(low - margin, high + margin)
    } else {
        Axis::linear("ELBO (nats)")
    }
}
