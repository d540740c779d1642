//! One run as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use super::plan::Job;
use super::pool::{Outcome, Place};
use super::printed;
use crate::bad_input;
use crate::claims::record::DONE;
use crate::config::cli::Interrupted;
use crate::io::environment::sha256;

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

/// The run as a command, without the folder that it writes to.
fn command(job: &Job) -> Result<Command> {
    let mut command = Command::new(binary(&job.binary)?);
    command.stdin(Stdio::null());
    if job.command.is_none() {
        command.arg(&job.verb).arg(&job.config).args(&job.overrides);
        command.arg(format!("--seed={}", job.seed)).args(&job.arguments);
    }
    Ok(command)
}

/// The run's resolved config, by `--dry-run`; of a command its arguments. What is wrong with it is wrong with the claim.
pub fn resolved(job: &Job) -> Result<String> {
    if let Some(arguments) = &job.command {
        return Ok(serde_json::to_string(arguments)?);
    }
    let output =
        command(job)?.arg("--dry-run").output().with_context(|| format!("{} cannot be started", job.binary))?;
    if !output.status.success() {
        let said = last_words(&String::from_utf8_lossy(&output.stderr));
        return Err(bad_input!("{}: {} {}: {said}", job.line(), job.binary, job.verb));
    }
    String::from_utf8(output.stdout).map_err(|_| anyhow!("{}: --dry-run printed no text", job.binary))
}

/// SHA-256 of the binary that a run would use.
pub fn binary_sha256(job: &Job) -> Result<String> {
    let path = binary(&job.binary)?;
    sha256(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Makes the run in its place. A failure is an outcome; only an interruption, or an input that the run refuses, is an
/// error.
pub fn make(job: &Job, place: &Place) -> Result<Outcome> {
    let (run, mut command) = (place.run(), command(job)?);
    match &job.command {
        Some(arguments) => {
            prepare(&run, "")?;
            let folder = run.display().to_string();
            let filled = |text: &String| text.replace("{out}", &folder).replace("{seed}", &job.seed.to_string());
            command.args(arguments.iter().map(filled));
        }
        None => {
            command.arg("--out").arg(&run).args(prepare(&run, &job.verb)?.then_some("--resume"));
        }
    }
    let (said, printed) = (place.folder.join("stderr.txt"), place.folder.join("stdout.txt"));
    let file = |path: &Path| File::create(path).with_context(|| format!("{}: cannot be written", path.display()));
    command.stdout(file(&printed)?).stderr(file(&said)?);

    let (started, clock, cpu) =
        (SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(), Instant::now(), children_cpu_s());
    let (status, late) = wait(command.spawn().with_context(|| format!("{} cannot be started", job.binary))?, job)?;
    let error = last_words(&fs::read_to_string(&said).unwrap_or_default());
    match status.code() {
        Some(INTERRUPTED) => return Err(Interrupted(format!("{}: {error}", job.line())).into()),
        Some(WRONG_INPUT) => return Err(bad_input!("{}: {error}", job.line())),
        None if !late => return Err(Interrupted(format!("{}: it was killed", job.line())).into()),
        _ => {}
    }
    let done = status.success();
    if done && job.command.is_some() {
        printed::keep(job, &run, &printed)?;
    }
    let ended = if done { DONE } else { "failed" };
    let outcome = Outcome {
        status: if late { "stopped at the time limit" } else { ended }.into(),
        exit_code: status.code(),
        error: if done { String::new() } else { error },
        started_unix: started,
        wall_s: clock.elapsed().as_secs_f64(),
        cpu_s: children_cpu_s() - cpu,
        config_sha256: place.config_sha256.clone(),
    };
    place.finish(&outcome)?;
    Ok(outcome)
}

/// Waits for the end, which the time limit may bring about.
fn wait(mut child: Child, job: &Job) -> Result<(ExitStatus, bool)> {
    let (clock, mut late) = (Instant::now(), false);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, late));
        }
        if job.time_limit_s > 0.0 && clock.elapsed().as_secs_f64() > job.time_limit_s {
            late = true;
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// CPU seconds of all children that have ended, and of theirs.
fn children_cpu_s() -> f64 {
    // SAFETY: getrusage fills the zeroed struct it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
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

/// The error, or else the last line.
fn last_words(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.starts_with("error: ")).or_else(|| lines().next_back());
    error.unwrap_or("it said nothing").trim_start_matches("error: ").to_string()
}
