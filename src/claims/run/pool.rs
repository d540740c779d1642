//! Finished runs, each under the hash of what it is: binary, verb, seed, time limit, resolved config.
//!
//! Two claims that need the same run share it. A run is finished when its `outcome.json` is there, whether it ended well
//! or not: a run that diverged is a result, and is not tried again for a better one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::plan::Job;
use crate::bad_input;
use crate::claims::claim::digest;
use crate::io::atomic::write_atomic;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `done`, `failed` or `stopped at the time limit`.
    pub status: String,
    pub exit_code: Option<i32>,
    /// Its last words, if it failed.
    pub error: String,
    pub started_unix: u64,
    pub wall_s: f64,
    /// CPU seconds, all threads.
    #[serde(default)]
    pub cpu_s: f64,
    pub config_sha256: String,
}

/// A place in the pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub folder: PathBuf,
    pub config_sha256: String,
}

const OUTCOME: &str = "outcome.json";

impl Place {
    /// Where the run of `job` with the resolved config `yaml` lies; `binary` is the hash of its binary where runs of
    /// other builds do not count.
    pub fn of(pool: &Path, job: &Job, yaml: &str, binary: Option<&str>) -> Self {
        let (seed, limit) = (job.seed.to_string(), job.time_limit_s.to_string());
        let mut parts = vec![job.binary.as_str(), job.verb.as_str(), &seed, &limit, yaml];
        parts.extend(binary);
        let key = digest(parts.join("\u{1f}").as_bytes());
        Self { folder: pool.join(&key[..20]), config_sha256: digest(yaml.as_bytes()) }
    }

    /// The run's own folder.
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    pub fn outcome(&self) -> Result<Option<Outcome>> {
        let path = self.folder.join(OUTCOME);
        let Ok(bytes) = fs::read(&path) else { return Ok(None) };
        let found = serde_json::from_slice(&bytes);
        found.map(Some).map_err(|error| bad_input!("{}: {error}; remove it to have the run made again", path.display()))
    }

    pub fn finish(&self, outcome: &Outcome) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(outcome)?;
        text.push(b'\n');
        write_atomic(&self.folder.join(OUTCOME), &text)
    }

    /// Keeps other processes from making the same run; `None` if one is at it.
    pub fn lock(&self) -> Result<Option<File>> {
        fs::create_dir_all(&self.folder).with_context(|| format!("{}: cannot make it", self.folder.display()))?;
        let file = File::create(self.folder.join("lock"))?;
        Ok(file.try_lock().is_ok().then_some(file))
    }
}
