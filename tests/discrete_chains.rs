//! Chains from the command line that are stopped and taken up again.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use sampler::io::tensors::read_tensors;
use serde_json::Value;

struct Sandbox(tempfile::TempDir);

/// 70 sweeps with checkpoints at 16, 32, 48, 64 and 70, the first of them within the burn-in.
const CONFIG: &str = "target: {type: potts, size: 4, states: 3, beta: 0.9}
mcmc: {chains: 3, burn_in: 20, sweeps: 50, every: 2, samples: 5, blocks: 10, checkpoint_every: 16}
seed: 3
";

const LAST: &str = "step_00000070";

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("chains.yaml"), CONFIG).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mcmc(&self, out: &str, rest: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_discrete"));
        let arguments = [&["mcmc", "chains.yaml", "--threads", "1", "--out", out], rest].concat();
        command.current_dir(self.0.path()).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap()
    }

    fn succeed(&self, out: &str, rest: &[&str]) -> String {
        let output = self.mcmc(out, rest);
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(output.status.success(), "{rest:?}: {said}");
        said
    }

    fn refuse(&self, out: &str, rest: &[&str]) -> String {
        let output = self.mcmc(out, rest);
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(2), "{rest:?}: {said}");
        said
    }

    fn newest(&self, out: &str, name: &str) -> PathBuf {
        self.path(out).join("checkpoints").join(LAST).join(name)
    }

    /// Chains at their end, samples, and figures without clocks.
    fn record(&self, out: &str) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
        let without_clock = |text: &str| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            value.as_object_mut().unwrap().remove("wall_s");
            value
        };
        let text = |name: &str| fs::read_to_string(self.path(out).join(name)).unwrap();
        let mut figures: Vec<Value> = text("metrics.jsonl").lines().map(without_clock).collect();
        assert_eq!(figures.len(), 1, "one line of figures");
        figures.push(without_clock(&text("summary.json")));
        let samples = fs::read(self.path(out).join("samples.safetensors")).unwrap();
        (fs::read(self.newest(out, "chains.safetensors")).unwrap(), samples, figures)
    }

    /// As if killed before the last checkpoint was written.
    fn cut(&self, out: &str) {
        fs::remove_dir_all(self.path(out).join("checkpoints").join(LAST)).unwrap();
        for file in ["summary.json", "samples.safetensors"] {
            fs::remove_file(self.path(out).join(file)).unwrap();
        }
    }
}

#[test]
fn chains_taken_up_again_are_the_uninterrupted_ones_to_the_bit() {
    let kernels: [&[&str]; 4] = [
        &["mcmc.kernel.type=gibbs", "mcmc.tempering=[1, 0.8, 0.5]"],
        &["mcmc.kernel.type=metropolis"],
        &["mcmc.kernel.type=swendsen_wang"],
        &["mcmc.kernel={type: wolff, clusters: 2}"],
    ];
    for kernel in kernels {
        let sandbox = Sandbox::new();
        sandbox.succeed("whole", kernel);
        sandbox.succeed("parts", kernel);
        sandbox.cut("parts");
        let said = sandbox.succeed("parts", &[kernel, &["--resume"]].concat());
        assert!(said.contains("resuming at step 64 "), "{said}");
        assert!(sandbox.record("whole") == sandbox.record("parts"), "{kernel:?}");

        // Where checkpoints are written changes nothing.
        sandbox.succeed("once", &[kernel, &["mcmc.checkpoint_every=1000"]].concat());
        assert!(sandbox.record("whole") == sandbox.record("once"), "{kernel:?}");
    }
}

#[test]
fn a_checkpoint_within_the_burn_in_goes_on_too() {
    let sandbox = Sandbox::new();
    let keys = ["mcmc.checkpoint_every=60", "mcmc.burn_in=64", "mcmc.sweeps=6", "mcmc.samples=1", "mcmc.blocks=2"];
    sandbox.succeed("whole", &keys);
    sandbox.succeed("parts", &keys);
    sandbox.cut("parts");
    let said = sandbox.succeed("parts", &[&keys[..], &["--resume"]].concat());
    assert!(said.contains("resuming at step 60 "), "{said}");
    assert!(sandbox.record("whole") == sandbox.record("parts"));
}

#[test]
fn a_finished_run_is_left_alone_and_what_does_not_fit_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.succeed("run", &[]);
    let before = sandbox.record("run");
    assert!(sandbox.succeed("run", &["--resume"]).contains("already done: all 70 sweeps"));
    assert!(sandbox.refuse("run", &["--resume", "mcmc.sweeps=60"]).contains("'mcmc.sweeps' was 50 and is now 60"));
    assert!(sandbox.record("run") == before);

    // Without its summary it has only its figures to take.
    fs::remove_file(sandbox.path("run").join("summary.json")).unwrap();
    sandbox.succeed("run", &["--resume"]);
    assert!(sandbox.record("run") == before);

    let chains = sandbox.newest("run", "chains.safetensors");
    assert_eq!(read_tensors(&chains).unwrap()["series"].size()[2], 25);
    let whole = fs::read(&chains).unwrap();
    fs::write(&chains, &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(sandbox.path("run").join("summary.json")).unwrap();
    let said = sandbox.refuse("run", &["--resume"]);
    assert!(said.contains("chains.safetensors") && said.contains("remove the folder run/checkpoints"), "{said}");
}
