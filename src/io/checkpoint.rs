//! Checkpoints: folders that count only once they hold `DONE`.
//!
//! `checkpoints/step_00000500/` holds `weights.safetensors`, whatever else a run needs to go on as if never stopped,
//! and `state.json`. A folder is filled under another name, brought to disk, renamed, and only then marked with `DONE`:
//! whenever the process or the machine stops, every folder with `DONE` is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tch::Tensor;

use super::atomic::{cannot_write, sync_parent, write_synced};
use super::safetensors_file;
use super::weights::{Weights, read_weights};
use crate::bad_input;

const PREFIX: &str = "step_";
const PARTIAL: &str = ".partial";
/// A complete checkpoint that is about to be replaced by one of the same step.
const OLD: &str = ".old";
const DONE: &str = "DONE";
const STATE: &str = "state.json";

/// Writes checkpoints into one folder and keeps the newest few.
#[derive(Debug)]
pub struct CheckpointWriter {
    folder: PathBuf,
    keep: usize,
}

/// Named tensors for one file of a checkpoint.
pub type Named = Vec<(String, Tensor)>;

impl CheckpointWriter {
    /// `folder` (created if need be) is a run's `checkpoints/`; at least one checkpoint is kept.
    pub fn new(folder: &Path, keep: usize) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        Ok(Self { folder: folder.to_path_buf(), keep: keep.max(1) })
    }

    /// Saves `files` (each becomes `<name>.safetensors`) and `state` as the checkpoint of `step`, then removes the
    /// oldest beyond those to keep. Returns its folder.
    ///
    /// On failure the checkpoints before this one are as they were, and the error names path and cause.
    pub fn save(&self, step: u64, files: &[(&str, Named)], state: &Value) -> Result<PathBuf> {
        self.sweep_partial()?;
        let path = self.folder.join(format!("{PREFIX}{step:08}"));
        let partial = self.folder.join(format!("{PREFIX}{step:08}{PARTIAL}"));
        if let Err(error) = fill(&partial, files, state) {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }

        // The same step again, as after a resume: the old one stays readable until the new one is marked.
        let old = self.folder.join(format!("{PREFIX}{step:08}{OLD}"));
        if path.join(DONE).is_file() {
            remove(&old)?;
            fs::rename(&path, &old).map_err(|error| cannot_write(&old, &error))?;
        }
        remove(&path)?;
        fs::rename(&partial, &path).map_err(|error| cannot_write(&path, &error))?;
        let done = path.join(DONE);
        let marked =
            write_synced(&done, |_| Ok(())).and_then(|()| sync_parent(&done)).and_then(|()| sync_parent(&path));
        marked.map_err(|error| cannot_write(&done, &error))?;
        remove(&old)?;
        self.prune(step)?;
        Ok(path)
    }

    /// Removes what interrupted writers left.
    fn sweep_partial(&self) -> Result<()> {
        for name in names(&self.folder)?.iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(PARTIAL)) {
            remove(&self.folder.join(name))?;
        }
        Ok(())
    }

    /// Keeps the newest complete checkpoints, and that of `step` in any case.
    fn prune(&self, step: u64) -> Result<()> {
        let complete = complete(&self.folder)?;
        let surplus = complete.len().saturating_sub(self.keep);
        for checkpoint in complete.iter().take(surplus).filter(|checkpoint| checkpoint.step != step) {
            remove(&checkpoint.path)?;
        }
        Ok(())
    }
}

fn fill(partial: &Path, files: &[(&str, Named)], state: &Value) -> Result<()> {
    fs::create_dir(partial).map_err(|error| cannot_write(partial, &error))?;
    for (name, tensors) in files {
        let path = partial.join(format!("{name}.safetensors"));
        let written = write_synced(&path, |out| safetensors_file::write(out, tensors, &[]));
        written.map_err(|error| cannot_write(&path, &error))?;
    }
    let path = partial.join(STATE);
    let text = serde_json::to_vec_pretty(state)?;
    let written = write_synced(&path, |out| out.write_all(&text)).and_then(|()| sync_parent(&path));
    written.map_err(|error| cannot_write(&path, &error))
}

/// Removes a checkpoint, if there; `DONE` goes first, so that it never seems whole while it goes.
fn remove(path: &Path) -> Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let removed = gone(fs::remove_file(path.join(DONE))).and_then(|()| gone(fs::remove_dir_all(path)));
    removed.with_context(|| format!("{}: cannot be removed", path.display()))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("{}: cannot be listed", folder.display()))?,
    };
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().to_string()).collect())
}

/// Complete checkpoints in `folder`, the oldest step first.
pub fn complete(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut found = BTreeMap::new();
    for name in names(folder)? {
        let stem = name.strip_suffix(OLD).unwrap_or(&name);
        let step = stem.strip_prefix(PREFIX).and_then(|digits| digits.parse::<u64>().ok());
        let path = folder.join(&name);
        let Some(step) = step.filter(|_| path.join(DONE).is_file()) else { continue };
        // One that was being replaced counts only if its replacement was not completed.
        if stem == name {
            found.insert(step, path);
        } else {
            found.entry(step).or_insert(path);
        }
    }
    Ok(found.into_iter().map(|(step, path)| Checkpoint { step, path }).collect())
}

/// The newest complete checkpoint in `folder`; none if the folder has none or does not exist.
pub fn latest(folder: &Path) -> Result<Option<Checkpoint>> {
    Ok(complete(folder)?.pop())
}

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub step: u64,
    pub path: PathBuf,
}

impl Checkpoint {
    /// The path of `<name>.safetensors`, for messages.
    pub fn file(&self, name: &str) -> String {
        self.path.join(format!("{name}.safetensors")).display().to_string()
    }

    /// The tensors of `<name>.safetensors`.
    pub fn tensors(&self, name: &str) -> Result<Weights> {
        read_weights(&self.path.join(format!("{name}.safetensors")))
    }

    /// [`tensors`](Checkpoint::tensors), if the checkpoint has such a file.
    pub fn tensors_if_any(&self, name: &str) -> Result<Option<Weights>> {
        let there = self.path.join(format!("{name}.safetensors")).exists();
        there.then(|| self.tensors(name)).transpose()
    }

    /// `state.json`.
    pub fn state(&self) -> Result<Value> {
        let path = self.path.join(STATE);
        let text = fs::read(&path).map_err(|error| bad_input!("{}: cannot be read ({error})", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| bad_input!("{}: is damaged: {error}", path.display()))
    }

    /// A count that `state`, read from `state.json`, must hold.
    pub fn count(&self, state: &Value, key: &str) -> Result<u64> {
        state.get(key).and_then(Value::as_u64).ok_or_else(|| {
            let found = state.get(key).map_or("nothing".to_string(), Value::to_string);
            bad_input!("{}: '{key}' is {found}, expected a count", self.path.join(STATE).display())
        })
    }
}
