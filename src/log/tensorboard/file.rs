//! Names of event files.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

const PREFIX: &str = "events.out.tfevents.";

/// Creates `events.out.tfevents.<second>.<host>.<pid>` with a name that is free and sorts last.
///
/// TensorBoard reads the files of a folder in the order of their names, and a restart only hides what was read
/// before it. Two sessions may begin in the same second, or a clock may be set back: the second in the name is then
/// one more than the latest already there.
pub fn create_event_file(folder: &Path) -> Result<(File, PathBuf)> {
    let host = host_name();
    let pid = std::process::id();

    loop {
        let second = now().as_secs().max(latest_second(folder)? + 1);
        let path = folder.join(format!("{PREFIX}{second:010}.{host}.{pid}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            // Another process was faster; its file now counts as the latest.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error).with_context(|| format!("{}: cannot create", path.display())),
        }
    }
}

/// Time since 1970.
pub fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The largest second in the names of the folder's event files; 0 if there are none.
fn latest_second(folder: &Path) -> Result<u64> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}: cannot list", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let seconds = names.filter_map(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
    Ok(seconds.max().unwrap_or(0))
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "localhost".to_string() } else { name }
}
