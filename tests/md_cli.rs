//! The `md` binary as a person uses it: runs, resumes, analyses, compares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use sampler::io::tensors::{read_tensors, write_tensors};
use serde_json::Value;
use tch::{Kind, Tensor};

/// Four particles with double wells in their distances, two temperatures, frames of both kept.
const SMALL: &str = "\
target: {type: dw4}
dynamics:
  integrator: {type: langevin_middle, friction: 2.0}
  step: 0.02
  temperatures: [120.0, 180.0]
  exchange_every: 15
  remove_center: true
run: {chains: 3, burn_in: 40, steps: 400, record_every: 10, record_rungs: 2, chunk_frames: 7}
seed: 4
";

fn folder(config: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.yaml");
    std::fs::write(&path, config).unwrap();
    (folder, path)
}

/// Runs, demands the exit status, and returns stdout and stderr.
fn md(arguments: &[&str], status: i32) -> (String, String) {
    let output = Command::cargo_bin("md").unwrap().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn summary(run: &Path) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap()
}

/// All tensors of a trajectory, file by file.
fn trajectory(run: &Path) -> Vec<BTreeMap<String, Tensor>> {
    let path = |i: usize| run.join(format!("trajectory/chunk_{i:06}.safetensors"));
    (0..).map(path).take_while(|path| path.exists()).map(|path| read_tensors(&path).unwrap()).collect()
}

fn assert_equal_to_the_bit(a: &Path, b: &Path) {
    let (a, b) = (trajectory(a), trajectory(b));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
        assert!(a.iter().all(|(name, tensor)| tensor.equal(&b[name])));
    }
}

#[test]
fn a_run_made_longer_equals_one_that_was_long() {
    let (folder, config) = folder(SMALL);
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    md(&["run", text(&config), "--out", text(&whole), "--threads", "1"], 0);
    // In three sessions, the first two ending inside a file, on another number of threads.
    md(&["run", text(&config), "--out", text(&parts), "--threads", "2", "run.steps=120"], 0);
    md(&["run", text(&config), "--out", text(&parts), "--threads", "2", "run.steps=290", "--resume"], 0);
    md(&["run", text(&config), "--out", text(&parts), "--threads", "3", "--resume"], 0);
    assert_equal_to_the_bit(&whole, &parts);

    let files = trajectory(&whole);
    let frames: Vec<i64> = files.iter().map(|file| file["time"].size()[0]).collect();
    assert_eq!(frames, [7, 7, 7, 7, 7, 5]);
    assert_eq!(files[0]["positions"].size(), [7, 6, 4, 2]);
    assert_eq!(files[0]["time"].double_value(&[0]), 50.0 * 0.02);
    let center = files[5]["positions"].mean_dim([2i64].as_slice(), false, Kind::Double);
    assert!(center.abs().max().double_value(&[]) < 1e-6);

    let (a, b) = (summary(&whole), summary(&parts));
    let wall = |key: &str| key == "wall_s";
    for (key, value) in a.iter().filter(|(key, _)| !wall(key) && *key != "target_calls") {
        assert_eq!(value, &b[key], "{key}");
    }
    assert_eq!(a["status"], "done");
    let samples = read_tensors(&whole.join("samples.safetensors")).unwrap();
    assert_eq!(samples["x"].size()[0] as f64, a["md/samples"].as_f64().unwrap());
    assert_eq!(samples["x"].size()[1], 8);
}

#[test]
fn a_run_whose_last_steps_were_lost_repeats_them() {
    let (folder, config) = folder(SMALL);
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    md(&["run", text(&config), "--out", text(&whole)], 0);
    md(&["run", text(&config), "--out", text(&killed), "run.steps=290"], 0);
    // As if killed before the last checkpoint was whole, and while a file was half written over.
    let mut checkpoints: Vec<_> = std::fs::read_dir(killed.join("checkpoints")).unwrap().flatten().collect();
    checkpoints.sort_by_key(|entry| entry.file_name());
    assert_eq!(checkpoints.len(), 2);
    std::fs::remove_file(checkpoints[1].path().join("DONE")).unwrap();
    std::fs::write(killed.join("trajectory/chunk_000004.safetensors"), b"half").unwrap();
    md(&["run", text(&config), "--out", text(&killed), "--resume"], 0);
    assert_equal_to_the_bit(&whole, &killed);
}

#[test]
fn seeds_make_trajectories() {
    let (folder, config) = folder(SMALL);
    let run = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        md(&["run", text(&config), "--out", text(&out), "--seed", seed, "run.steps=70"], 0);
        trajectory(&out)[0]["positions"].shallow_clone()
    };
    let (a, b, c) = (run("a", "1"), run("b", "1"), run("c", "2"));
    assert!(a.equal(&b) && !a.equal(&c));
}

#[test]
fn constant_energy_is_constant() {
    let (folder, config) = folder(SMALL);
    let out = folder.path().join("out");
    let nve = ["dynamics.integrator={type: verlet}", "dynamics.temperatures=[120]", "run.record_rungs=1"];
    let fine = ["dynamics.step=0.001", "precision=f64"];
    md(&[&["run", text(&config), "--out", text(&out)], nve.as_slice(), fine.as_slice()].concat(), 0);
    for file in trajectory(&out) {
        let total = &file["energy"] + &file["kinetic"]; // [F, R]
        let spread = total.amax([0i64].as_slice(), false) - total.amin([0i64].as_slice(), false);
        assert!(spread.max().double_value(&[]) < 1e-3, "{spread}");
        assert!(file["energy"].std(true).double_value(&[]) > 0.1);
    }
}

#[test]
fn comparisons_tell_agreement_from_disagreement() {
    // Four atoms in space, each on springs to the origin, have torsions too.
    let config = SMALL
        .replace("{type: dw4}", "{type: gaussian, dim: 12, std: 0.5}")
        .replace("remove_center: true", "remove_center: false");
    let config = config
        .replace("temperatures: [120.0, 180.0]", "temperatures: [120.0]")
        .replace("record_rungs: 2, ", "")
        + "analysis:\n  torsions: {phi: [0, 1, 2, 3], psi: [3, 2, 1, 0]}\n  stride: 2\n  regions: [{name: right, bounds: {phi: [0.0, 3.2]}, published: {mean: 0.5, error: 0.001}}]\n";
    let (folder, path) = folder(&config);
    let run = folder.path().join("run");
    let long = ["run.chains=100", "run.steps=6000", "run.record_every=20", "dynamics.step=0.2"];
    md(&[&["run", text(&path), "--out", text(&run)], long.as_slice()].concat(), 0);
    assert!(run.join("plots/ramachandran.png").is_file() && run.join("plots/energy_trace.png").is_file());
    let found = summary(&run);
    // Twelve springs: the mean energy is 6 kT, up to the normaliser of the density.
    let kt = 8.314462618e-3 * 120.0;
    let exact = kt * 12.0 * (0.5 + 0.5f64.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln());
    let (mean, error) = (found["md/energy"].as_f64().unwrap(), found["md/energy_error"].as_f64().unwrap());
    assert!((mean - exact).abs() < 4.0 * error && error < 0.02, "{mean} ± {error}, exact {exact}");

    // An ensemble from the same law, and one that is too narrow.
    let reference = folder.path().join("reference.safetensors");
    for (scale, status) in [(0.5, 0), (0.45, 1)] {
        sampler::torch::seed::reseed(1, sampler::torch::seed::Stream::Data, 0);
        let x = Tensor::randn([20_000, 12], tch::kind::DOUBLE_CPU) * scale;
        let constant = kt * 12.0 * (0.5f64.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln());
        let energy = (x.square() * (0.5 * kt / 0.25)).sum_dim_intlist(1, false, None) + constant;
        write_tensors(&reference, &[("positions", &x.view([-1, 4, 3])), ("energy", &energy)], &BTreeMap::new())
            .unwrap();
        let (out, err) = md(&["compare", text(&run), text(&reference)], status);
        assert!(out.contains("mean energy") && out.contains("right") && out.contains("0.500"), "{out}");
        assert_eq!(err.contains("combined standard errors off: mean energy"), status == 1, "{err}");
    }
    assert!(run.join("compare.json").is_file() && run.join("plots/compare_torsion_phi.png").is_file());

    md(&["analyse", text(&run), "analysis.stride=5"], 0);
    let samples = read_tensors(&run.join("samples.safetensors")).unwrap();
    assert_eq!((samples["x"].size(), samples["phi"].size()), (vec![100 * 60, 12], vec![100 * 60]));
}

#[test]
fn wrong_input_is_answered_in_one_line() {
    let (folder, config) = folder(SMALL);
    let out = folder.path().join("out");
    let empty = folder.path().join("empty.safetensors");
    write_tensors(&empty, &[("y", &Tensor::from(1.0))], &BTreeMap::new()).unwrap();
    let start = format!("run.start={}", text(&empty));
    for (overrides, parts) in [
        (vec!["dynamics.temperatures=[180, 120]"], vec!["'dynamics.temperatures.0' must be smaller"]),
        (vec!["dynamics.integrator={type: verlet}"], vec!["'dynamics.temperatures'", "langevin_middle"]),
        (vec!["run.steps=405"], vec!["'run.steps' must be a multiple of 10"]),
        (vec!["dynamics.masses=[1, 2]"], vec!["'dynamics.masses' must be a list of 4"]),
        (vec!["target={type: funnel, dim: 3}"], vec!["'dynamics.remove_center'", "particles"]),
        (vec!["analysis.regions=[{name: a, bounds: {chi: [0, 1]}}]"], vec!["torsion 'chi'"]),
        (vec!["analysis.regions=[{name: a, bounds: {chi: [2, 1]}}]"], vec!["bounds.chi.0' must be smaller"]),
        (vec!["analysis.torsions={phi: [0, 1, 2, 9]}"], vec!["'analysis.torsions'", "three dimensions"]),
        (vec![start.as_str()], vec!["no tensor 'x' or 'positions'", "holds y"]),
    ] {
        let all = [&["run", text(&config), "--out", text(&out)], overrides.as_slice()].concat();
        let (_, err) = md(&all, 2);
        assert!(parts.iter().all(|part| err.contains(part)), "{overrides:?}: {err}");
        assert!(err.starts_with("error: ") && err.lines().count() == 1, "{err}");
        assert!(!out.exists(), "{overrides:?} left a run folder");
    }
}

#[test]
fn a_step_that_is_too_long_is_a_failure_with_a_remedy() {
    let (folder, config) = folder(SMALL);
    let out = folder.path().join("out");
    let (_, err) = md(&["run", text(&config), "--out", text(&out), "dynamics.step=5"], 1);
    assert!(err.contains("lower dynamics.step") && err.contains("replica"), "{err}");
    assert_eq!(summary(&out)["status"], "failed");
}

#[test]
fn benches_count_nanoseconds() {
    let (_folder, config) = folder(SMALL);
    let (out, _) = md(&["bench", text(&config), "--batch", "5", "--steps", "40", "--json"], 0);
    let rows: Vec<BTreeMap<String, Value>> = serde_json::from_str(&out).unwrap();
    let number = |key: &str| rows[0][key].as_f64().unwrap();
    let expected = 0.02e-3 * 86_400.0e3 / number("wall_ms_per_step");
    assert!((number("ns_per_day") / expected - 1.0).abs() < 1e-9);
    assert!((number("ns_per_day_batch") / number("ns_per_day") - 5.0).abs() < 1e-9);
}

#[test]
fn every_config_runs_two_steps() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/md");
    let mut count = 0;
    for entry in std::fs::read_dir(configs).unwrap().flatten() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let few = ["run.steps=2", "run.burn_in=0", "run.record_every=1", "run.chains=1", "dynamics.exchange_every=1"];
        md(&[&["run", text(&entry.path()), "--out", text(&out)], few.as_slice()].concat(), 0);
        assert_eq!(trajectory(&out)[0]["time"].size(), [2], "{:?}", entry.path());
        let head = std::fs::read_to_string(entry.path()).unwrap();
        assert!(["# Description: ", "# Reference: ", "# Run as: ", "# Cost: "].iter().all(|part| head.contains(part)));
        count += 1;
    }
    assert!(count >= 8);
}

#[test]
fn a_molecule_brings_its_masses_temperature_torsions_and_start() {
    let config = "\
target:
  type: molecule
  system: assets/molecules/AAA_amber14_obc1/system.xml
  topology: assets/molecules/AAA_amber14_obc1/topology.pdb
  temperature: 310
dynamics: {integrator: {type: verlet}, step: 0.0005, remove_center: true}
run: {chains: 2, steps: 100, record_every: 1}
precision: f64
";
    let (folder, path) = folder(config);
    let out = folder.path().join("out");
    md(&["run", text(&path), "--out", text(&out)], 0);
    let resolved = std::fs::read_to_string(out.join("config.yaml")).unwrap();
    assert!(
        ["phi_2:", "phi_3:", "psi_1:", "psi_2:", "- 310.0"].iter().all(|part| resolved.contains(part)),
        "{resolved}"
    );
    assert!(!resolved.contains("psi_3:") && out.join("plots/ramachandran_2.png").is_file());

    // From the minimised structure of the PDB file (-520 kJ/mol), at constant total energy: half of the kinetic
    // energy, 96 / 2 kT, goes into potential energy.
    let file = &trajectory(&out)[0];
    assert_eq!(file["positions"].size(), [100, 2, 33, 3]);
    let total = &file["energy"] + &file["kinetic"];
    let (low, high) = (total.min().double_value(&[]), total.max().double_value(&[]));
    assert!((-520.0 + 70.0..-520.0 + 190.0).contains(&low), "{low}");
    let spread = (total.amax([0i64].as_slice(), false) - total.amin([0i64].as_slice(), false)).max().double_value(&[]);
    assert!(spread < 2.0 && high < -330.0, "{spread}");
}
