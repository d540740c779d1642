//! OpenMM beside our own code: the scripts of `scripts/`, run by whichever Python has OpenMM.
//!
//! Only the benches come here, and only to compare: nothing else needs Python.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Names the interpreter; `python3` where it is not set.
pub const INTERPRETER: &str = "MOLECULE_PYTHON";

const SPEED: &str = include_str!("../../../scripts/openmm_speed.py");
const MD_SPEED: &str = include_str!("../../../scripts/openmm_md_speed.py");

/// Conformations that OpenMM is timed on, and passes of which the cheapest counts.
const CONFORMATIONS: &str = "200";
const PASSES: &str = "3";
/// Steps of dynamics that OpenMM is timed on.
const STEPS: &str = "3000";

/// A Python that imports OpenMM.
pub struct OpenMm {
    interpreter: String,
}

/// Energies and forces of 1000 conformations, milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Speed {
    pub version: String,
    pub threads: usize,
    pub cpu_ms: f64,
    pub wall_ms: f64,
}

/// Steps of one molecule on one of OpenMM's platforms.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MdSpeed {
    pub platform: String,
    pub wall_ms_per_step: f64,
    pub cpu_ms_per_step: f64,
    pub ns_per_day: f64,
}

impl OpenMm {
    /// The interpreter of `MOLECULE_PYTHON`, or `python3`, if there is one and it imports OpenMM.
    pub fn find() -> Option<Self> {
        let interpreter = std::env::var(INTERPRETER).unwrap_or_else(|_| "python3".to_string());
        let found = Self { interpreter };
        found.run("import openmm, numpy\n", &[]).is_ok_and(|output| output.status.success()).then_some(found)
    }

    /// What energies and forces cost on the CPU platform with two threads, one conformation at a time; `folder` holds
    /// `system.xml` and `topology.pdb`.
    pub fn speed(&self, folder: &Path) -> Result<Speed> {
        self.answer("scripts/openmm_speed.py", SPEED, &[&folder.display().to_string(), CONFORMATIONS, PASSES])
    }

    /// What steps of `step_fs` cost on each of the CPU's platforms.
    pub fn md_speed(&self, system: &Path, topology: &Path, step_fs: f64) -> Result<Vec<MdSpeed>> {
        let (system, topology) = (system.display().to_string(), topology.display().to_string());
        self.answer("scripts/openmm_md_speed.py", MD_SPEED, &[&system, &topology, STEPS, &step_fs.to_string()])
    }

    /// Runs a script and reads the JSON that it prints.
    fn answer<T: DeserializeOwned>(&self, name: &str, script: &str, arguments: &[&str]) -> Result<T> {
        let python = &self.interpreter;
        let output = self.run(script, arguments).with_context(|| format!("{name}: cannot run {python}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
            bail!("{name}: {python} ended with {}: {last}", output.status);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{name}: {python} printed something else"))
    }

    /// Hands the script to the interpreter on its standard input, so that no file needs to be found.
    fn run(&self, script: &str, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new(&self.interpreter);
        // OpenMM counts its own threads; those of numpy must not compete.
        command.arg("-").args(arguments).env("OMP_NUM_THREADS", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // An interpreter that ends early closes the pipe: what it said tells more than that.
        let _ = child.stdin.take().map(|mut input| input.write_all(script.as_bytes()));
        child.wait_with_output()
    }
}
