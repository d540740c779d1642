//! Fine-tuning without data, and annealing from a flow to its molecule's energy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use sampler::config::load::load;
use sampler::flows::{Flow, FlowConfig, store};
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::samplers::importance::energy::Energy;
use sampler::samplers::importance::smc::{Kernel, SmcConfig};
use sampler::samplers::importance::{CenterAdjustment, WeightFilter};
use sampler::targets::molecule::chirality::Chirality;
use sampler::targets::molecule::peptide;
use sampler::torch::optim::Optimizer;
use sampler::torch::seed::{Stream, reseed};
use sampler::train::Objective;
use sampler::train::flow::anneal::{FlowEnergy, anneal};
use sampler::train::flow::proposals::Proposals;
use sampler::train::flow::subject::Subject;
use sampler::train::flow::team::FlowTeam;
use sampler::train::flow::tune::buffer::Buffer;
use sampler::train::flow::tune::launch::build;
use sampler::train::flow::tune::{FlowTuneConfig, TuneObjective};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the binary in the repository's root, demands the exit status, and returns stdout and stderr.
fn flow(arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::cargo_bin("flow").unwrap();
    let output = command.current_dir(root("")).args(arguments).args(["--threads", "1"]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_string();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

/// A tiny flow of dialanine that knows its minimum and some trembling about it: written once for all tests.
fn weights() -> &'static Path {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let frames = folder.path().join("frames.safetensors");
        reseed(1, Stream::Data, 0);
        let topology = peptide::topology("AA").unwrap();
        let x = topology.flat_positions() + Tensor::randn([400, 69], DOUBLE) * 0.02;
        write_tensors(&frames, &[("x", &x)], &BTreeMap::new()).unwrap();
        let config = format!(
            "flow: {{type: prose, channels: 16, head_dim: 8, num_blocks: 2, layers_per_block: 1, expansion: 2, \
             max_num_tokens: 32}}\ndata: {{sequences: [AA], frames: {}}}\ntrain: {{steps: 400, batch: 64, \
             learning_rate: 0.01, optimizer: {{type: adam}}}}\neval: {{samples: 2, final_samples: 2}}\n",
            text(&frames)
        );
        let (path, run) = (folder.path().join("pre.yaml"), folder.path().join("run"));
        std::fs::write(&path, config).unwrap();
        flow(&["train", text(&path), "--out", text(&run)], 0);
        (folder, run.join("flow.safetensors"))
    };
    &MADE.get_or_init(make).1
}

/// Two rounds of four updates.
fn small() -> String {
    format!(
        "init: {}\nsequence: AA\nsystem: assets/peptides/AA/system.xml\nrounds: 2\nproposals: 96\nchunk: 40\n\
         train: {{steps: 8, batch: 12, learning_rate: 0.001, optimizer: {{type: adamw}}, schedule: {{type: constant}}, \
         log_every: 1, checkpoint_every: 2, keep_checkpoints: 9}}\neval: {{samples: 32, final_samples: 48}}\nseed: 5\n",
        text(weights())
    )
}

fn folder(config: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.yaml");
    std::fs::write(&path, config).unwrap();
    (folder, path)
}

fn config(overrides: &[&str]) -> FlowTuneConfig {
    let (_folder, path) = folder(&small());
    let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
    let config = load::<FlowTuneConfig>(&path, &overrides).unwrap().value;
    config.validate().unwrap();
    config
}

fn objective(overrides: &[&str]) -> TuneObjective {
    tch::set_num_threads(1);
    build(&config(overrides), Device::Cpu).unwrap()
}

fn number(figures: &[(&'static str, f64)], tag: &str) -> f64 {
    figures.iter().find(|(known, _)| *known == tag).unwrap().1
}

/// What a run recorded, without times.
fn record(run: &Path) -> Vec<BTreeMap<String, Value>> {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        line.remove("wall_s");
        line.remove("train/steps_per_s");
        line
    };
    lines.lines().map(line).collect()
}

fn assert_same_tensors(a: &Path, b: &Path) {
    let (a, b) = (read_tensors(a).unwrap(), read_tensors(b).unwrap());
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    assert!(a.iter().all(|(name, tensor)| tensor.equal(&b[name])));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn runs_resume_to_the_bit_within_and_between_rounds() {
    let (folder, config) = folder(&small());
    let whole = folder.path().join("whole");
    flow(&["finetune", text(&config), "--out", text(&whole)], 0);
    let lines = record(&whole);
    // A buffer a round, evaluations where rounds begin and end, and every proposal counted.
    let column = |tag: &str| lines.iter().map(|line| line.get(tag).and_then(Value::as_f64)).collect::<Vec<_>>();
    assert_eq!(column("train/round")[1..], [0, 0, 0, 0, 1, 1, 1, 1].map(|round| Some(f64::from(round))));
    let evaluated: Vec<usize> = (0..9).filter(|i| column("eval/ess")[*i].is_some()).collect();
    assert_eq!(evaluated, [0, 4, 8]);
    assert_eq!((column("cost/target_calls")[1], column("cost/target_calls")[8]), (Some(96.0), Some(192.0)));
    assert_eq!(column("cost/network_calls")[8], Some(192.0 + 8.0 * 24.0));
    assert!(column("train/buffer_ess")[1..].iter().all(|ess| (1.0 / 96.0..=1.0).contains(&ess.unwrap())));
    let buffer = |step: &str| read_tensors(&whole.join(format!("checkpoints/{step}/extra.safetensors"))).unwrap();
    let [first, between, second] = ["step_00000002", "step_00000004", "step_00000006"].map(buffer);
    assert!(first["buffer.x"].equal(&between["buffer.x"]) && !first["buffer.x"].equal(&second["buffer.x"]));

    let samples = read_tensors(&whole.join("samples.safetensors")).unwrap();
    assert_eq!((samples["x"].size(), samples["log_weight"].size()), (vec![48, 69], vec![48]));
    assert!(whole.join("plots/ess.png").is_file() && whole.join("plots/ramachandran_proposal.png").is_file());
    let (_, report) = store::read(&whole.join("flow.safetensors"), None, store::Copy::Averaged, DOUBLE).unwrap();
    assert_eq!(report.config_from, "the file");

    // As after a kill: nothing newer than a checkpoint in the first round, between the rounds, in the second.
    for last in [2, 4, 6] {
        let run = folder.path().join(format!("from_{last}"));
        copy(&whole, &run);
        std::fs::remove_file(run.join("summary.json")).unwrap();
        (last + 1..=8).for_each(|step| {
            let _ = std::fs::remove_dir_all(run.join(format!("checkpoints/step_{step:08}")));
        });
        flow(&["finetune", text(&config), "--out", text(&run), "--resume"], 0);
        assert_eq!(record(&run), lines, "resumed at {last}");
        for file in ["flow.safetensors", "samples.safetensors", "checkpoints/step_00000008/extra.safetensors"] {
            assert_same_tensors(&run.join(file), &whole.join(file));
        }
    }
}

#[test]
fn a_resumed_run_has_the_teacher_that_it_began_with() {
    let (folder, path) = folder("");
    let init = folder.path().join("init.safetensors");
    std::fs::copy(weights(), &init).unwrap();
    let own = small().replace(text(weights()), text(&init));
    std::fs::write(&path, own).unwrap();
    let run = folder.path().join("run");
    flow(&["finetune", text(&path), "--out", text(&run), "train.steps=2"], 0);
    std::fs::copy(run.join("flow.safetensors"), &init).unwrap();
    let (_, err) = flow(&["finetune", text(&path), "--out", text(&run), "train.steps=4", "--resume"], 2);
    let line = err.lines().last().unwrap();
    assert!(line.starts_with("error: ") && line.contains("is not the file that this run began with"), "{err}");
}

#[test]
fn a_buffer_holds_no_mirror_images_and_counts_what_it_leaves_out() {
    let mut objective = objective(&[]);
    reseed(3, Stream::Train, 0);
    let buffer = Buffer::fill(&mut objective.team, &objective.subject, &objective.config, 0).unwrap();
    reseed(3, Stream::Train, 0);
    let all = Proposals::draw(&mut objective.team, &objective.subject, 96, 40);
    let chirality = Chirality::of(&objective.subject.topology);
    let count = |t: Tensor| t.sum(Kind::Int64).int64_value(&[]);
    let wrong = count(chirality.changed(&all.x));
    assert!(wrong > 0 && wrong < 96, "{wrong} of 96 are of the wrong hand: this shows nothing");
    assert_eq!(buffer.figures[3], wrong as f64);
    assert_eq!((count(chirality.changed(&buffer.x)), buffer.figures[2]), (0, 0.0));

    // One weight in five hundred, so the largest of 96, is left out; frames are centred copies of proposals.
    assert_eq!(buffer.x.size(), [95, 23, 3]);
    assert!(buffer.x.mean_dim([1i64].as_slice(), false, None).abs().max().double_value(&[]) < 1e-6);
    let centred = &all.x - all.x.mean_dim([1i64].as_slice(), true, None);
    let nearest = (buffer.x.unsqueeze(1) - centred.unsqueeze(0)).abs().amax([2i64, 3].as_slice(), false);
    let (gap, from) = nearest.min_dim(1, false);
    assert!(gap.max().double_value(&[]) < 1e-5);
    let kinds = Vec::<i64>::try_from(from.unique_dim(0, true, false, false).0).unwrap();
    assert_eq!(buffer.figures[1], kinds.len() as f64 / 96.0);
}

#[test]
fn the_teacher_is_silent_until_the_flow_leaves_it() {
    let mut objective = objective(&["precision=f64", "train.chunk_rows=5"]);
    let mut optimizer = Optimizer::new(objective.config.train.optimizer, objective.groups(&objective.config.train));
    let mut losses = Vec::new();
    for step in 0..4 {
        reseed(0, Stream::Train, step);
        optimizer.zero_grad();
        let figures = objective.accumulate().unwrap();
        let parts = ["train/loss", "train/nll", "train/teacher"].map(|tag| number(&figures, tag));
        assert!((parts[0] - parts[1] - 0.5 * parts[2]).abs() < 1e-12);
        losses.push(parts);
        optimizer.step(1.0, None);
    }
    assert!(losses[0][2] < 1e-20 && losses[3][2] > 1e-8, "{losses:?}");

    // On frames that stay the same, updates lower what they minimise.
    let x = objective.buffer.as_ref().unwrap().x.narrow(0, 0, 16);
    let mut totals = Vec::new();
    for _ in 0..20 {
        optimizer.zero_grad();
        totals.push(objective.gradient(&x).total);
        optimizer.step(1.0, Some(1.0));
    }
    assert!(totals[19] < totals[0] - 0.01, "{totals:?}");
}

/// The gradient along random directions in the space of parameters, for both forms of the penalty.
#[test]
fn gradients_are_those_of_the_written_loss() {
    for (per_dimension, unit) in [("true", 69.0), ("false", 1.0)] {
        let penalty = format!("teacher.per_dimension={per_dimension}");
        let mut objective = objective(&["precision=f64", "teacher.weight=0.3", "train.chunk_rows=2", &penalty]);
        reseed(2, Stream::Data, 0);
        let x = Tensor::randn([5, 23, 3], DOUBLE) * 0.5;
        let named = objective.params().named();
        let shift = |by: &dyn Fn(&Tensor) -> Tensor| {
            let _guard = tch::no_grad_guard();
            named.iter().for_each(|(_, parameter)| drop(parameter.shallow_clone().g_add_(&by(parameter))));
        };
        shift(&|parameter| parameter.randn_like() * 0.02);
        let log_q = |team: &FlowTeam, objective: &TuneObjective| {
            let _guard = tch::no_grad_guard();
            team.first().log_q(&x, &team.first().prepare(&objective.subject.conditioning))
        };
        let loss = |objective: &TuneObjective| {
            let teacher = &objective.teacher.as_ref().unwrap().team;
            let (own, known) = (log_q(&objective.team, objective), log_q(teacher, objective));
            let terms = -&own / 69.0 + ((own - known) / unit).square() * 0.3;
            terms.mean(Kind::Double).double_value(&[])
        };
        let found = objective.gradient(&x);
        assert!((found.total / loss(&objective) - 1.0).abs() < 1e-12, "{found:?}");

        let gradients: Vec<Tensor> = named.iter().map(|(_, parameter)| parameter.grad().copy()).collect();
        for direction in 0..4 {
            reseed(2, Stream::Data, 1 + direction);
            let along: Vec<Tensor> = named.iter().map(|(_, parameter)| parameter.randn_like()).collect();
            let slope: f64 =
                gradients.iter().zip(&along).map(|(g, d)| (g * d).sum(Kind::Double).double_value(&[])).sum();
            let at = |step: f64| {
                let _guard = tch::no_grad_guard();
                let go = |by: f64| {
                    let pairs = named.iter().zip(&along);
                    pairs.for_each(|((_, parameter), d)| drop(parameter.shallow_clone().g_add_(&(d * by))));
                };
                go(step);
                let value = loss(&objective);
                go(-step);
                value
            };
            let h = 1e-6;
            let expected = (at(h) - at(-h)) / (2.0 * h);
            assert!((slope - expected).abs() < 1e-5 * expected.abs().max(1.0), "{slope} {expected}");
        }
    }
}

#[test]
fn wrong_input_is_answered_in_one_line() {
    let (folder, config) = folder(&small());
    let out = folder.path().join("out");
    let (bare, bad) = (folder.path().join("bare.safetensors"), folder.path().join("bad.safetensors"));
    let (made, _) = store::read(weights(), None, store::Copy::Averaged, DOUBLE).unwrap();
    store::write(&bare, &made, &BTreeMap::new()).unwrap();
    store::write(&bad, &made, &BTreeMap::from([("scale".to_string(), "long".to_string())])).unwrap();
    let init = |path: &Path| format!("init={}", text(path));
    let (bare, bad) = (init(&bare), init(&bad));
    let cases: [(&[&str], &[&str]); 13] = [
        (&["init=nowhere.safetensors"], &["nowhere.safetensors"]),
        (&["init=assets/peptides/AA/system.xml"], &["system.xml"]),
        (&[&bare], &["have no 'scale'", "give 'scale' (nm)"]),
        (&[&bad, "temperature=300"], &["'scale' is 'long'", "positive number"]),
        (&["sequence=AX"], &["X"]),
        (&["sequence=AG"], &["system.xml"]),
        (&["system=assets/peptides/{sequence}/no.xml"], &["AA/no.xml"]),
        (&["rounds=0"], &["'rounds'"]),
        (&["proposals=1"], &["'proposals'"]),
        (&["teacher.weight=-1"], &["'teacher.weight'"]),
        (&["teacher.wait=1"], &["wait", "weight"]),
        (&["eval.sequences=[AA]"], &["'eval.sequences' must be empty"]),
        (&["reweight.filter={type: drop, fraction: 0.7}"], &["'reweight.filter.fraction'"]),
    ];
    for (overrides, parts) in cases {
        let (_, err) = flow(&[&["finetune", text(&config), "--out", text(&out)], overrides].concat(), 2);
        assert!(parts.iter().all(|part| err.contains(part)), "{overrides:?}: {err}");
        assert!(err.starts_with("error: ") && err.lines().count() == 1, "{err}");
        assert!(!out.exists(), "{overrides:?} left a run folder");
    }
}

#[test]
fn energies_that_are_not_finite_are_weights_of_zero() {
    // Temperatures so low that half of the energies overflow, and then all of them.
    let mut half = objective(&[]);
    let drawn = |objective: &mut TuneObjective| {
        reseed(6, Stream::Train, 0);
        Buffer::fill(&mut objective.team, &objective.subject, &objective.config, 0).unwrap()
    };
    assert_eq!(drawn(&mut half).figures[2], 0.0);
    reseed(6, Stream::Train, 0);
    let energy = Proposals::draw(&mut half.team, &half.subject, 96, 40).energy.unwrap();
    half.subject.energy.as_mut().unwrap().kt *= energy.median().double_value(&[]) / (0.999 * f64::MAX);
    let buffer = drawn(&mut half);
    assert_eq!(buffer.figures[2], 48.0);
    let left = half.subject.energy.as_ref().unwrap().reduced(&buffer.x);
    assert!(left.isfinite().all().int64_value(&[]) == 1);

    let (folder, config) = folder(&small());
    let out = folder.path().join("out");
    let (_, err) = flow(&["finetune", text(&config), "--out", text(&out), "temperature=1e-307"], 2);
    let line = err.lines().last().unwrap();
    assert!(line.starts_with("error: AA: none of 96 proposals has a positive weight (96 without a finite"), "{err}");
    let summary: Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["status"], json!("failed"));
}

#[test]
fn shipped_configs_make_two_updates() {
    for (name, few) in [("finetune_AA", "AA"), ("finetune", "CAVQ")] {
        let path = root("configs/flow").join(format!("{name}.yaml"));
        let head = std::fs::read_to_string(&path).unwrap();
        assert!(["# Description: ", "# Reference: ", "# Run as: ", "# Cost: "].iter().all(|part| head.contains(part)));
        let folder = tempfile::tempdir().unwrap();
        let (out, init) = (folder.path().join("out"), folder.path().join("init.safetensors"));
        let network = json!({"type": "prose", "channels": 8, "head_dim": 8, "num_blocks": 2, "layers_per_block": 1});
        reseed(0, Stream::Init, 0);
        let random = FlowConfig::from_json(&network, few).unwrap().build(Kind::Float, Device::Cpu).unwrap();
        let notes = ["scale", "temperature"].map(|key| (key.to_string(), "1".to_string()));
        store::write(&init, &random, &BTreeMap::from(notes)).unwrap();
        let init = format!("init={}", text(&init));
        let sizes = ["train.steps=2", "train.batch=4", "proposals=64", "eval.samples=4", "eval.final_samples=4"];
        flow(&[&["finetune", text(&path), "--out", text(&out), &init], sizes.as_slice()].concat(), 0);
        assert_eq!(record(&out).last().unwrap()["cost/target_calls"], json!(128.0));
    }
}

/// A team and its molecule, in f64.
fn pair() -> (FlowTeam, Subject) {
    let TuneObjective { team, subject, .. } = objective(&["precision=f64"]);
    (team, subject)
}

#[test]
fn the_annealing_source_has_the_gradient_of_its_value() {
    let (mut team, subject) = pair();
    reseed(4, Stream::Data, 0);
    let x = Tensor::randn([3, 69], DOUBLE) * 0.5;
    let (step, h) = (Tensor::randn([3, 69], DOUBLE), 1e-6);
    let at = |x: &Tensor| x.view([3, 23, 3]);
    for center in [CenterAdjustment::Gaussian, CenterAdjustment::Chi3, CenterAdjustment::None] {
        let log_q = tch::no_grad(|| team.first().log_q(&at(&x), &team.first().prepare(&subject.conditioning)));
        let source = FlowEnergy::new(&mut team, &subject, center);
        let (value, gradient) = source.value_and_gradient(&x);
        let expected = center.energy(&at(&x)) - log_q;
        assert!((value - expected).abs().max().double_value(&[]) < 1e-10);
        let slope = (gradient * &step).sum_dim_intlist(-1, false, None);
        let ends = source.value(&(&x + &step * h)) - source.value(&(&x - &step * h));
        let miss = (ends / (2.0 * h) - &slope).abs().max().double_value(&[]);
        assert!(miss < 1e-5 * slope.abs().max().double_value(&[]).max(1.0), "{center:?}: {miss:e}");
    }
}

#[test]
fn annealing_lowers_energies_counts_its_calls_and_repeats_itself() {
    let (mut team, subject) = pair();
    reseed(5, Stream::Data, 0);
    let proposals = Proposals::draw(&mut team, &subject, 64, 64);
    let config = SmcConfig {
        num_steps: Some(20),
        step_size: Some(2e-4),
        energy_cutoff: None,
        filter: WeightFilter::None {},
        batch: 30,
        ..SmcConfig::new(Kernel::Mala)
    };
    let center = CenterAdjustment::Gaussian;
    let mut run = |seed| anneal(&mut team, &subject, &proposals, &config, center, seed).unwrap();
    let (a, again, other) = (run(1), run(1), run(2));
    assert_eq!(a.x.size(), [64, 23, 3]);
    assert!(a.x.equal(&again.x) && a.log_z == again.log_z && !a.x.equal(&other.x));
    assert_eq!((a.target_calls, a.source_calls, a.steps.len()), (64 * 21, 64 * 21, 20));
    let energy = subject.energy.as_ref().unwrap().reduced(&a.x);
    assert!(a.log_z.is_finite() && (&energy - &a.target).abs().max().double_value(&[]) < 1e-8);
    let median = |energy: &Tensor| energy.median().double_value(&[]);
    let before = median(proposals.energy.as_ref().unwrap());
    assert!(median(&energy) < before - 10.0, "{before} to {}", median(&energy));

    let lone = Subject { energy: None, ..subject };
    let line = anneal(&mut team, &lone, &proposals, &config, center, 1).unwrap_err().to_string();
    assert!(line.starts_with("AA: annealing needs") && !line.contains('\n'), "{line}");
}
