//! One run as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use super::plan::Job;
use super::pool::{Outcome, Place};
use crate::bad_input;
use crate::claims::record::DONE;
use crate::config::cli::Interrupted;

/// Exit statuses of this project's binaries.
const WRONG_INPUT: i32 = 2;
const INTERRUPTED: i32 = 130;

/// A project's binary, beside the running one.
fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("the running binary's path")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        return Err(bad_input!("'run.binary': there is no '{name}' beside {}; build it", own.display()));
    }
    Ok(path)
}

fn command(job: &Job) -> Result<Command> {
    let mut command = Command::new(binary(&job.binary)?);
    command.arg(&job.verb).arg(&job.config).args(&job.overrides);
    command.arg(format!("--seed={}", job.seed)).args(&job.arguments).stdin(Stdio::null());
    Ok(command)
}

/// The run's resolved config, by `--dry-run`. What is wrong with it is wrong with the claim.
pub fn resolved(job: &Job) -> Result<String> {
    let output =
        command(job)?.arg("--dry-run").output().with_context(|| format!("{} cannot be started", job.binary))?;
    if !output.status.success() {
        let said = last_line(&String::from_utf8_lossy(&output.stderr));
        return Err(bad_input!("{}: {} {}: {said}", job.line(), job.binary, job.verb));
    }
    String::from_utf8(output.stdout).map_err(|_| anyhow!("{}: --dry-run printed no text", job.binary))
}

/// Makes the run in its place. A failure is an outcome; only an interruption, or an input that the run refuses, is an
/// error.
pub fn make(job: &Job, place: &Place) -> Result<Outcome> {
    let (run, said) = (place.run(), place.folder.join("stderr.txt"));
    let mut command = command(job)?;
    command.arg("--out").arg(&run);
    if prepare(&run, &job.verb)? {
        command.arg("--resume");
    }
    let log = File::create(&said).with_context(|| format!("{}: cannot be written", said.display()))?;
    command.stdout(Stdio::null()).stderr(log);

    let (started, clock) = (SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(), Instant::now());
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", job.binary))?;
    let mut late = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if job.time_limit_s > 0.0 && clock.elapsed().as_secs_f64() > job.time_limit_s {
            late = true;
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    };

    let error = last_line(&fs::read_to_string(&said).unwrap_or_default());
    match status.code() {
        Some(INTERRUPTED) => return Err(Interrupted(format!("{}: {error}", job.line())).into()),
        Some(WRONG_INPUT) => return Err(bad_input!("{}: {error}", job.line())),
        None if !late => return Err(Interrupted(format!("{}: it was killed", job.line())).into()),
        _ => {}
    }
    let done = status.success();
    let outcome = Outcome {
        status: if late {
            "stopped at the time limit"
        } else if done {
            DONE
        } else {
            "failed"
        }
        .into(),
        exit_code: status.code(),
        error: if done { String::new() } else { error },
        started_unix: started,
        wall_s: clock.elapsed().as_secs_f64(),
        config_sha256: place.config_sha256.clone(),
    };
    place.finish(&outcome)?;
    Ok(outcome)
}

/// Clears what an interrupted run left, unless it can go on from there.
fn prepare(run: &Path, verb: &str) -> Result<bool> {
    if !run.exists() {
        return Ok(false);
    }
    if verb == "train" && run.join("config.yaml").is_file() {
        return Ok(true);
    }
    fs::remove_dir_all(run).with_context(|| format!("{}: cannot be removed", run.display()))?;
    Ok(false)
}

fn last_line(text: &str) -> String {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    line.trim_start_matches("error: ").to_string()
}
