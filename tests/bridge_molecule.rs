//! A molecule as the target of a bridge: the density with its centre fixed, torsions against a reference, the benches.

mod molecules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use molecules::{F64, asset, energy_error, reference};
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::metrics::torus::{Histogram, divergences};
use sampler::targets::mean_free::{MeanFree, MeanFreeConfig};
use sampler::targets::molecule::geometry::{mirrored, random_rotations, rotated};
use sampler::targets::{Target, TargetConfig};
use sampler::torch::autograd;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::bridge::{BridgeConfig, build};
use sampler::train::molecule::{TorsionConfig, Torsions};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

const NAME: &str = "aldp_ff96_obc1";
const SCALE: f64 = 0.15;
/// kT at 300 K, kJ/mol.
const KT: f64 = 2.494_338_785_445_972;

fn target(first_order: bool) -> Value {
    let molecule = json!({"type": "molecule", "system": asset(NAME, "system.xml"), "temperature": 300.0,
        "topology": asset(NAME, "topology.pdb"), "first_order": first_order});
    json!({"type": "mean_free", "scale": SCALE, "target": molecule})
}

fn mean_free(first_order: bool) -> MeanFree {
    let mut config = target(first_order);
    config.as_object_mut().unwrap().remove("type");
    MeanFree::new(&serde_json::from_value::<MeanFreeConfig>(config).unwrap(), F64).unwrap()
}

fn largest(t: &Tensor) -> f64 {
    t.abs().max().to_kind(Kind::Double).double_value(&[])
}

/// `-E / kT` of OpenMM's energies and the change of volume, wherever the molecule is and however it is turned.
#[test]
fn the_density_is_openmms_on_the_subspace() {
    let (target, expected) = (mean_free(false), reference(NAME));
    assert_eq!((target.dim(), target.particles(), target.log_z()), (63, None, None));
    reseed(0, Stream::Data, 0);
    let rows = expected.x.size()[0];
    let shifted =
        rotated(&expected.x, &random_rotations(rows, F64)) + Tensor::from_slice(&[3.0, -1.0, 0.2]).repeat([22]);
    // The file's phases of pi are rounded (3.141594), so that mirror images differ in the sixth digit.
    for (x, bound) in [(&expected.x, 1e-9), (&shifted, 1e-9), (&mirrored(&expected.x), 1e-4)] {
        let found = (target.log_prob(&target.coordinates(x)) - 63.0 * SCALE.ln()) * -KT;
        let error = energy_error(&found, &expected.energy);
        assert!(error < bound, "{error:e}");
    }
}

/// The score is the gradient of the log-density and can be differentiated itself, from either kind of energy.
#[test]
fn scores_are_gradients_and_differentiate() {
    for first_order in [false, true] {
        let target = mean_free(first_order);
        let y = target.coordinates(&reference(NAME).x.narrow(0, 0, 4));
        let gradient = autograd::value_and_grad(&y, |y| target.log_prob(y)).1;
        let score = target.score(&y);
        assert!(largest(&(&score - gradient)) < 1e-8 * largest(&score), "first_order: {first_order}");

        let direction = (Tensor::arange(4 * 63, F64) * 7.13).sin().view([4, 63]);
        let h = 1e-6;
        let slope = (target.score(&(&y + &direction * h)) - target.score(&(&y - &direction * h))) / (2.0 * h);
        let inner = |y: &Tensor| (target.score(y) * &direction).sum_dim_intlist(-1, false, None);
        let product = autograd::value_and_grad(&y, inner).1;
        assert!(largest(&(product - &slope)) < 1e-5 * largest(&slope), "first_order: {first_order}");
    }
}

/// Every loss, also the one through the path, which differentiates scores, under gradients of first order.
#[test]
fn every_loss_makes_a_finite_update() {
    let losses = ["rkl", "rkl_ld", "lv", "vargrad", "tb", "subtb"];
    for (process, loss) in losses.map(|loss| ("cmcd", loss)).into_iter().chain([("dbs", "rkl"), ("dds", "rkl")]) {
        let mut target = target(true);
        target["target"]["regularisation"] = json!({"cut": 1e3});
        let config = json!({"target": target, "loss": {"type": loss}, "net": {"type": "pis_grad", "hidden": 8},
            "process": {"type": process, "num_steps": 3, "noise": 0.02},
            "train": {"steps": 1, "batch": 6, "learning_rate": 1e-3}});
        let mut config: BridgeConfig = serde_json::from_value(config).unwrap();
        config.validate().unwrap();
        let mut objective = build(&config, tch::Device::Cpu).unwrap();
        reseed(1, Stream::Train, 0);
        let figures = objective.accumulate().unwrap();
        assert!(figures.iter().all(|(_, value)| value.is_finite()), "{process} {loss}: {figures:?}");
        let norm: f64 =
            objective.params().named().iter().map(|(_, p)| p.grad()).filter(Tensor::defined).map(|g| largest(&g)).sum();
        assert!(norm.is_finite() && norm > 0.0, "{process} {loss}: {norm}");
    }
}

/// Positions against themselves are at no distance, nor are their mirror images, which differ in their hand alone.
#[test]
fn torsions_do_not_tell_mirror_images_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("positions.safetensors");
    let x = reference(NAME).x;
    write_tensors(&path, &[("positions", &x.view([-1, 22, 3]))], &BTreeMap::new()).unwrap();
    let config = TorsionConfig { reference: path, wasserstein_samples: 100 };
    let target: TargetConfig = serde_json::from_value(target(false)).unwrap();
    let torsions = Torsions::new(&config, &target).unwrap();
    let figures = |x: &Tensor| torsions.figures(x).into_iter().collect::<BTreeMap<_, _>>();
    let (own, other) = (figures(&x), figures(&mirrored(&x)));
    assert_eq!((own["l_fraction"], other["l_fraction"]), (1.0, 0.0));
    // The smoothing alone: the reference has N pairs, the model one more spread evenly.
    let n = x.size()[0] as f64;
    for figures in [&own, &other] {
        assert!(figures["phi_psi_wasserstein"] < 1e-6, "{figures:?}");
        let kl = figures["torsion_kl"];
        assert!(kl > 0.0 && kl < ((n + 1.0) / n).ln(), "{figures:?}");
    }
    // Another place entirely: unfolded phi of the first conformation alone against all.
    assert!(figures(&x.narrow(0, 0, 1))["torsion_kl"] > 1.0);
}

/// The reference that ships: a distribution, of which its frames are draws, with the published share of phi > 0.
#[test]
fn the_shipped_reference_is_sound() {
    let tensors = read_tensors(&asset(NAME, "ensemble.safetensors")).unwrap();
    let [phi, psi] = ["phi", "psi"].map(|name| sampler::log::values(&tensors[name]));
    assert!(phi.len() == psi.len() && (1000..=2000).contains(&phi.len()));
    let all = sampler::log::values(&tensors["hist_phi_psi"]);
    assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-5);
    let all = Histogram::from_weights(36, all);
    let frames: Vec<[f64; 2]> = phi.iter().zip(&psi).map(|(phi, psi)| [*phi, *psi]).collect();
    // Twice N times the divergence of N draws from k cells is about chi squared with k - 1 degrees of freedom.
    let divergences = divergences(&Histogram::of(&frames, 36, 0.0), &all);
    let bound = |cells: f64| (cells + 5.0 * (2.0 * cells).sqrt()) / (2.0 * frames.len() as f64);
    assert!(divergences.marginals.iter().all(|kl| *kl < bound(36.0)), "{divergences:?}");
    // P(0 < phi < 2.2) is 0.00246 +- 0.00012; the cells that lie between 0 and 2.27.
    let [by_phi, _] = all.marginals();
    let left: f64 = by_phi[18..31].iter().sum();
    assert!((left - 0.00246).abs() < 0.0009, "{left}");
}

/// Runs a binary from the repository's root without a cluster's variables.
fn run(binary: &str, python: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin(binary).unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command.env("OMP_NUM_THREADS", "1").env("MOLECULE_PYTHON", python).env_remove("SLURM_ARRAY_TASK_ID");
    command.output().unwrap()
}

fn nowhere() -> PathBuf {
    PathBuf::from("no/such/python")
}

#[test]
fn a_run_logs_torsions_and_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let small = ["train.steps=2", "train.batch=8", "process.num_steps=4", "eval.samples=40", "train.eval_every=1"];
    let mut arguments = vec!["train", "configs/bridge/aldp_quick.yaml", "--device", "cpu", "--threads", "1", "--out"];
    arguments.push(out.to_str().unwrap());
    arguments.extend(small);
    let output = run("bridge", &nowhere(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    for tag in ["phi_psi_wasserstein", "torsion_kl", "torsion_kl_phi", "torsion_kl_psi", "l_fraction"] {
        let value = summary[format!("eval/{tag}")].as_f64();
        assert!(value.is_some_and(|value| value.is_finite() && value >= 0.0), "{tag}: {value:?}");
    }
    let lines = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().filter(|line| line.contains("eval/torsion_kl_phi")).count(), 3);
    for name in ["ramachandran_samples", "ramachandran_reference", "torsion_phi", "torsion_psi"] {
        assert!(out.join("plots").join(format!("{name}.png")).is_file(), "{name}");
    }
}

fn complaint(overrides: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut arguments =
        vec!["train", "configs/bridge/aldp_quick.yaml", "--device", "cpu", "--out", out.to_str().unwrap()];
    arguments.extend(overrides);
    let output = run("bridge", &nowhere(), &arguments);
    let text = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(2), "{overrides:?}: {text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    text
}

#[test]
fn wrong_sections_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, tensors: &[(&str, &Tensor)]| {
        let path = folder.path().join(name);
        write_tensors(&path, tensors, &BTreeMap::new()).unwrap();
        format!("eval.torsions.reference={}", path.display())
    };
    let five = Tensor::zeros([5], F64);
    let uneven = file("uneven", &[("phi", &five), ("psi", &Tensor::zeros([4], F64))]);
    let hist = file("hist", &[("phi", &five), ("psi", &five), ("hist_phi_psi", &Tensor::zeros([3, 4], F64))]);
    let atoms = file("atoms", &[("positions", &Tensor::zeros([2, 21, 3], F64))]);
    for (overrides, parts) in [
        (vec![uneven.as_str()], vec!["'phi'", "[5]", "[4]"]),
        (vec![&hist], vec!["'hist_phi_psi'", "[3, 4]"]),
        (vec![&atoms], vec!["'positions'", "[2, 21, 3]", "66"]),
        (vec!["eval.torsions.reference=nowhere.safetensors"], vec!["nowhere.safetensors"]),
        (vec!["eval.torsions.wasserstein_samples=0"], vec!["eval.torsions.wasserstein_samples"]),
        (vec!["target.scale=-1"], vec!["'target.scale'"]),
        (vec!["target.target.temperature=0"], vec!["'target.target.temperature'"]),
        (vec!["target={type: funnel, dim: 3}"], vec!["'eval.torsions'", "molecule"]),
    ] {
        let text = complaint(&overrides);
        assert!(parts.iter().all(|part| text.contains(part)), "{overrides:?}: {text}");
    }
}

/// The file that `molecule reference` makes says what the positions themselves say.
#[test]
fn ensembles_condense() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, small) = (folder.path().join("samples.safetensors"), folder.path().join("small.safetensors"));
    let x = reference(NAME).x;
    write_tensors(&samples, &[("x", &x)], &BTreeMap::new()).unwrap();
    let topology = asset(NAME, "topology.pdb");
    let paths = [&samples, &topology, &small].map(|path| path.to_str().unwrap());
    let arguments = ["reference", paths[0], "--topology", paths[1], "--out", paths[2], "--frames", "5"];
    let output = run("molecule", &nowhere(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let target: TargetConfig = serde_json::from_value(target(false)).unwrap();
    let figures = |reference: &Path| {
        let config = TorsionConfig { reference: reference.to_path_buf(), wasserstein_samples: 1000 };
        Torsions::new(&config, &target).unwrap().figures(&x).into_iter().collect::<BTreeMap<_, _>>()
    };
    let (own, condensed) = (figures(&samples), figures(&small));
    for tag in ["torsion_kl", "torsion_kl_phi", "torsion_kl_psi"] {
        assert!((own[tag] - condensed[tag]).abs() < 1e-6, "{tag}: {own:?} {condensed:?}");
    }
    assert_eq!(read_tensors(&small).unwrap()["phi"].size(), [5]);
}

/// An interpreter that knows one answer.
fn fake_python(folder: &Path, answer: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("python");
    std::fs::write(&path, format!("#!/bin/sh\ncat > /dev/null\necho '{answer}'\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn benches_compare_with_openmm_where_it_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["bench", "--molecules", NAME, "--batch", "16", "--repeat", "1", "--json"];
    let alone = &rows(&run("molecule", &nowhere(), &arguments))[0];
    assert!(alone["cpu_ms"].as_f64().unwrap() > 0.0 && alone.get("openmm").is_none(), "{alone}");
    let python = fake_python(folder.path(), r#"{"version": "8", "threads": 2, "cpu_ms": 500.0, "wall_ms": 250.0}"#);
    let beside = &rows(&run("molecule", &python, &arguments))[0];
    let ratio = 500.0 / beside["cpu_ms"].as_f64().unwrap();
    assert!((beside["openmm_cpu_ratio"].as_f64().unwrap() - ratio).abs() < 1e-9 * ratio, "{beside}");
    let table = run("molecule", &python, &arguments[..arguments.len() - 1]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("OpenMM 8, CPU platform"));

    let arguments = ["bench", "configs/md/aldp_ff96_obc1.yaml", "--batch", "2", "--steps", "20", "--json"];
    assert!(rows(&run("md", &nowhere(), &arguments))[0].get("openmm").is_none());
    let row =
        |name: &str, ns: f64| json!({"platform": name, "wall_ms_per_step": 1, "cpu_ms_per_step": 1, "ns_per_day": ns});
    let python = fake_python(folder.path(), &json!([row("Reference", 50.0), row("CPU", 200.0)]).to_string());
    let beside = &rows(&run("md", &python, &arguments))[0];
    let ratio = beside["ns_per_day_batch"].as_f64().unwrap() / 200.0;
    assert!((beside["openmm_ratio"].as_f64().unwrap() - ratio).abs() < 1e-9 * ratio, "{beside}");
}

/// A Python that finds OpenMM but fails later is an error that says why, not a table without it.
#[test]
fn a_failing_comparison_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let python = fake_python(folder.path(), "no numbers");
    let output = run("molecule", &python, &["bench", "--molecules", NAME, "--batch", "4", "--repeat", "1"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("scripts/openmm_speed.py"), "{text}");
}
