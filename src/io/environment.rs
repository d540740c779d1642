//! What a run ran on: a closed list of facts, none of them an environment variable.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The facts for `environment.json`; those that cannot be had are null.
///
/// `device` is the device's name as a person knows it. Commit and dirty flag are of the repository that the running
/// binary lies in.
pub fn environment(device: &str, seed: u64) -> Map<String, Value> {
    let binary = std::env::current_exe().ok();
    let home = binary.as_deref().and_then(Path::parent);
    let commit = home.and_then(|home| git(home, &["rev-parse", "HEAD"]));
    let changes = home.and_then(|home| git(home, &["status", "--porcelain", "--untracked-files=no"]));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).ok();

    let facts = json!({
        "crate_version": env!("CARGO_PKG_VERSION"),
        "commit": commit,
        "dirty": commit.is_some().then(|| changes.is_some_and(|changes| !changes.is_empty())),
        "binary_sha256": binary.as_deref().and_then(|path| sha256(path).ok()),
        "libtorch": libtorch_version(),
        "device": device,
        "cpu": cpu_name(),
        "cores": std::thread::available_parallelism().ok().map(|cores| cores.get()),
        "threads": crate::torch::threads::workers(),
        "seed": seed,
        "command_line": std::env::args().collect::<Vec<_>>(),
        "hostname": hostname(),
        "started_unix": started,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

/// What git says, in one line or none; `None` without git or outside a repository.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

/// Hexadecimal SHA-256 of a file.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The version written beside the libtorch that this process has loaded; the library itself does not tell.
fn libtorch_version() -> Option<String> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let loaded = maps
        .lines()
        .find_map(|line| line.split_whitespace().last().filter(|path| path.ends_with("libtorch_cpu.so")))?;
    let home = PathBuf::from(loaded).parent()?.parent()?.to_path_buf();
    if let Ok(version) = fs::read_to_string(home.join("build-version")) {
        return Some(version.trim().to_string());
    }
    let python = fs::read_to_string(home.join("version.py")).ok()?;
    let line = python.lines().find(|line| line.starts_with("__version__"))?;
    line.split(['\'', '"']).nth(1).map(str::to_string)
}

fn cpu_name() -> Option<String> {
    let about = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = about.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_string())
}

fn hostname() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_string())
}
