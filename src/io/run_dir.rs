//! Run folders: `runs/<task>/<config name>/<NNN>-seed<S>/`, or the one that `--out` names.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use super::atomic::{self, cannot_write, write_atomic};
use crate::bad_input;

const CONFIG: &str = "config.yaml";
const ENVIRONMENT: &str = "environment.json";
const SUMMARY: &str = "summary.json";

/// Which run folder is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Usually `runs`.
    pub root: &'a Path,
    pub task: &'a str,
    pub config_name: &'a str,
    pub seed: u64,
    /// A folder to use in place of a numbered one.
    pub out: Option<&'a Path>,
    /// Go on in the newest folder of this config and seed (or in `out`), if there is one.
    pub resume: bool,
}

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    pub path: PathBuf,
    /// Whether an earlier run is continued here.
    pub resumed: bool,
}

impl RunDir {
    /// Finds the folder to resume in, or makes a new one that no other process has.
    ///
    /// `--out` takes a folder that is empty or not there yet, unless it holds a run that is to be resumed.
    pub fn open(wanted: &Wanted) -> Result<Self> {
        if let Some(out) = wanted.out {
            return open_named(out, wanted.resume);
        }
        if wanted.resume
            && let Some(newest) = Self::earlier(wanted)?.into_iter().next()
        {
            return Ok(newest);
        }
        Ok(Self { path: create_next(&folder(wanted), wanted.seed)?, resumed: false })
    }

    /// The numbered folders of earlier runs of this config's name and seed, the newest first.
    pub fn earlier(wanted: &Wanted) -> Result<Vec<Self>> {
        let mut runs = runs(&folder(wanted))?;
        runs.retain(|(_, seed, _)| *seed == wanted.seed);
        runs.sort_by_key(|(number, _, _)| std::cmp::Reverse(*number));
        Ok(runs.into_iter().map(|(_, _, path)| Self { path, resumed: true }).collect())
    }

    /// Keeps other processes from this folder until the file is dropped, or the process ends in whatever way; removes
    /// what a killed one left half written.
    ///
    /// A file system that knows no locks is taken at its word: nothing is kept, and nothing fails.
    pub fn lock(&self) -> Result<File> {
        let shown = self.path.display();
        let file = File::open(&self.path).map_err(|error| bad_input!("{shown}: cannot be opened ({error})"))?;
        // SAFETY: flock on a descriptor that is open for the whole call.
        let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if taken != 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
            return Err(bad_input!(
                "{shown}: another process is training in this folder; wait for it or stop it first"
            ));
        }
        atomic::sweep_temporary(&self.path);
        Ok(file)
    }

    /// Where checkpoints go.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// A file of this run, by name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `config.yaml`: the resolved config, enough to repeat the run.
    pub fn write_config(&self, yaml: &str) -> Result<()> {
        write_atomic(&self.file(CONFIG), yaml.as_bytes())
    }

    /// The config that the run was started with, if the folder has one.
    pub fn stored_config(&self) -> Result<Option<String>> {
        let path = self.file(CONFIG);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad_input!("{}: cannot be read ({error})", path.display())),
        }
    }

    /// Writes `environment.json`; what an earlier start of the same run wrote moves into its list `earlier`.
    pub fn write_environment(&self, environment: Map<String, Value>) -> Result<()> {
        let path = self.file(ENVIRONMENT);
        let mut environment = environment;
        let before = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Map<String, Value>>(&text).ok());
        if let Some(mut before) = before {
            let earlier = before.remove("earlier").and_then(|list| list.as_array().cloned()).unwrap_or_default();
            let all = [vec![Value::Object(before)], earlier].concat();
            environment.insert("earlier".to_string(), Value::Array(all));
        }
        write_json(&path, &environment)
    }

    /// `summary.json` as an earlier session left it; `None` if there is none or it cannot be understood.
    pub fn summary(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&fs::read(self.file(SUMMARY)).ok()?).ok()
    }

    /// Writes `summary.json`: a flat map of names to numbers and short texts. Numbers that are not finite become null.
    pub fn write_summary(&self, summary: &Map<String, Value>) -> Result<()> {
        write_json(&self.file(SUMMARY), summary)
    }
}

fn write_json(path: &Path, map: &Map<String, Value>) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(map)?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Where the numbered folders lie.
fn folder(wanted: &Wanted) -> PathBuf {
    let name = if wanted.config_name.is_empty() { "config" } else { wanted.config_name };
    wanted.root.join(wanted.task).join(name)
}

/// The folder that a person named.
fn open_named(out: &Path, resume: bool) -> Result<RunDir> {
    let shown = out.display();
    if out.exists() && !out.is_dir() {
        return Err(bad_input!("--out {shown}: is a file, expected a folder"));
    }
    fs::create_dir_all(out).map_err(|error| bad_input!("--out {shown}: cannot be created ({error})"))?;
    let entries = fs::read_dir(out).map_err(|error| bad_input!("--out {shown}: cannot be listed ({error})"))?;
    // A run killed while it wrote its very first file leaves that file's temporary form: nothing yet.
    let empty = entries.flatten().all(|entry| atomic::is_temporary(&entry.file_name().to_string_lossy()));
    let holds_run = out.join(CONFIG).is_file();
    match (empty, resume) {
        (true, _) => Ok(RunDir { path: out.to_path_buf(), resumed: false }),
        (false, true) if holds_run => Ok(RunDir { path: out.to_path_buf(), resumed: true }),
        (false, true) => Err(bad_input!("--out {shown}: holds no run to resume (no {CONFIG}); choose another folder")),
        (false, false) => {
            let remedy = if holds_run {
                "add --resume to go on with the run in it, or choose another"
            } else {
                "choose another"
            };
            Err(bad_input!("--out {shown}: is not empty; {remedy}"))
        }
    }
}

/// Number and seed of a run folder's name.
fn parse(name: &str) -> Option<(u64, u64)> {
    let (number, seed) = name.split_once("-seed")?;
    Some((number.parse().ok()?, seed.parse().ok()?))
}

fn runs(folder: &Path) -> Result<Vec<(u64, u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(bad_input!("{}: cannot be listed ({error})", folder.display())),
        Ok(entries) => entries.flatten(),
    };
    let named = entries.filter_map(|entry| {
        let (number, seed) = parse(&entry.file_name().to_string_lossy())?;
        Some((number, seed, entry.path()))
    });
    Ok(named.collect())
}

/// The folder after the last. Making a folder fails if it is there: of two processes that want it, one goes on to the
/// next number.
fn create_next(folder: &Path, seed: u64) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    let mut number = runs(folder)?.iter().map(|run| run.0 + 1).max().unwrap_or(0);
    loop {
        let path = folder.join(format!("{number:03}-seed{seed}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(cannot_write(&path, &error)),
        }
    }
}
