//! Which folder `--resume` means, and whether the run in it may go on.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::run::Plan;
use crate::bad_input;
use crate::config::flat;
use crate::io::checkpoint::Checkpoint;
use crate::io::run_dir::{RunDir, Wanted};

/// Keys that may change between the sessions of one run: they bear on no update.
const FREE_TO_CHANGE: [&str; 7] = [
    "train.steps",
    "train.keep_checkpoints",
    "train.checkpoint_every",
    "train.max_skipped",
    "mcmc.checkpoint_every",
    "run.steps",
    "run.keep_checkpoints",
];

/// The folder to work in: that of the run to go on with, or a new one.
///
/// Under `--resume` without `--out`, the newest run of the same config name, seed and config is meant. If none is the
/// same, the newest that is not a sibling from the sweep is refused for its first changed key; without one, a new
/// run begins, so that a cluster job may always say `--resume`.
pub fn choose(plan: &Plan) -> Result<RunDir> {
    let wanted = Wanted {
        root: Path::new("runs"),
        task: plan.task,
        config_name: plan.name,
        seed: plan.seed,
        out: plan.out,
        resume: plan.resume,
    };
    if plan.resume && plan.out.is_none() {
        return match earlier(plan, &wanted)? {
            Some(dir) => Ok(dir),
            None => RunDir::open(&Wanted { resume: false, ..wanted }),
        };
    }
    let dir = RunDir::open(&wanted)?;
    if dir.resumed
        && let Some(change) = changes(&dir, plan.yaml)?.first()
    {
        return Err(change.refusal(&dir));
    }
    Ok(dir)
}

fn earlier(plan: &Plan, wanted: &Wanted) -> Result<Option<RunDir>> {
    let mut refused = None;
    for dir in RunDir::earlier(wanted)? {
        // Without a config it was killed before it began, or is being made by another process just now.
        if dir.stored_config()?.is_none() {
            continue;
        }
        let changes = changes(&dir, plan.yaml)?;
        let Some(first) = changes.first() else { return Ok(Some(dir)) };
        let sibling = changes.iter().any(|change| plan.swept.iter().any(|key| change.is_below(key)));
        if !sibling && refused.is_none() {
            refused = Some(first.refusal(&dir));
        }
    }
    refused.map_or(Ok(None), Err)
}

/// A key whose value in a run's stored config differs from the present one.
struct Change {
    key: String,
    was: Option<Value>,
    is: Option<Value>,
}

impl Change {
    fn is_below(&self, key: &str) -> bool {
        self.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn refusal(&self, dir: &RunDir) -> anyhow::Error {
        let show = |value: &Option<Value>| value.as_ref().map_or("not set".to_string(), Value::to_string);
        bad_input!(
            "{}/config.yaml: key '{}' was {} and is now {}; resume with the same config, or start a new run without \
             --resume",
            dir.path.display(),
            self.key,
            show(&self.was),
            show(&self.is)
        )
    }
}

/// What differs between the config that `dir` was started with and `yaml`, but for what is free to change.
fn changes(dir: &RunDir, yaml: &str) -> Result<Vec<Change>> {
    let Some(stored) = dir.stored_config()? else { return Ok(Vec::new()) };
    let file = dir.file("config.yaml");
    let old = flat(&stored).map_err(|error| bad_input!("{}: is damaged ({error:#})", file.display()))?;
    let new = flat(yaml).context("the present config")?;
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let bound = |key: &str| !FREE_TO_CHANGE.contains(&key) && !key.starts_with("analysis.");
    let changed = keys.filter(|key| bound(key) && old.get(*key) != new.get(*key));
    Ok(changed.map(|key| Change { key: key.clone(), was: old.get(key).cloned(), is: new.get(key).cloned() }).collect())
}

/// A run cannot be made shorter than it already is.
pub fn check_reach(checkpoint: &Checkpoint, yaml: &str) -> Result<()> {
    let steps = flat(yaml)?.get("train.steps").and_then(Value::as_u64);
    match steps.filter(|steps| *steps < checkpoint.step) {
        None => Ok(()),
        Some(steps) => {
            let (reached, path) = (checkpoint.step, checkpoint.path.display());
            Err(bad_input!(
                "'train.steps' must be {reached} or larger to resume, found {steps}: {path} is already there"
            ))
        }
    }
}
