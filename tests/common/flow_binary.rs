//! The `flow` binary in a folder of its own, with small weights and small ensembles.
#![allow(dead_code)] // each test file is a crate of its own and uses a part

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sampler::flows::{AutoregressiveFlow, Flow, FlowConfig, NetworkConfig, store};
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::torch::seed::{Stream, reseed};
use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

pub const SCALE: f64 = 0.35;

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prose/energy").join(name)
}

/// A file that ships.
pub fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Frames of a simulation in nm, `[16, A, 3]`.
pub fn frames(sequence: &str) -> Tensor {
    read_tensors(&fixture(&format!("{sequence}.safetensors"))).unwrap().remove("x_nm").unwrap()
}

pub fn write_frames(path: &Path, positions: &Tensor) {
    write_tensors(path, &[("positions", positions)], &BTreeMap::new()).unwrap();
}

pub fn tiny() -> FlowConfig {
    FlowConfig::Prose(NetworkConfig {
        channels: 16,
        head_dim: 8,
        num_blocks: 2,
        layers_per_block: 1,
        expansion: 2,
        max_num_tokens: 80,
        ..NetworkConfig::default()
    })
}

/// A flow of random weights that is not the identity.
pub fn scrambled(seed: u64) -> AutoregressiveFlow {
    reseed(seed, Stream::Init, 0);
    let flow = tiny().build(Kind::Float, Device::Cpu).unwrap();
    tch::no_grad(|| flow.params().named().iter_mut().for_each(|(_, p)| *p += p.randn_like() * 0.05));
    flow
}

/// A temporary working directory.
pub struct Sandbox(tempfile::TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Weights of [`scrambled`] with notes in their metadata.
    pub fn weights(&self, name: &str, seed: u64, notes: &[(&str, &str)]) -> PathBuf {
        let notes = notes.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        store::write(&self.path(name), &scrambled(seed), &notes).unwrap();
        self.path(name)
    }

    /// Runs `flow` on one thread of the CPU, demands the exit status, returns stdout and stderr.
    pub fn flow(&self, arguments: &[&str], status: i32) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow"));
        command.current_dir(self.0.path()).args(arguments).stdin(Stdio::null());
        let output = command.env("OMP_NUM_THREADS", "1").env_remove("SLURM_ARRAY_TASK_ID").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    /// The one line with which wrong input is refused.
    pub fn refusal(&self, arguments: &[&str]) -> String {
        let (_, err) = self.flow(arguments, 2);
        assert!(err.starts_with("error: ") && err.lines().count() == 1 && !err.contains("internal"), "{err}");
        err
    }
}

pub fn json(path: &Path) -> Map<String, Value> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn largest(t: &Tensor) -> f64 {
    t.to_kind(Kind::Double).abs().max().double_value(&[])
}
