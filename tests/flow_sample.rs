//! `flow sample` and `flow reference`: what they write, how they go on, what they refuse.

#[path = "common/flow_binary.rs"]
mod flow_binary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flow_binary::{SCALE, Sandbox, fixture, frames, json, largest, shipped, text, tiny, write_frames};
use sampler::flows::{Flow, store};
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::log::progress::Terminal;
use sampler::samplers::importance::{ReweightConfig, WeightFilter};
use sampler::targets::molecule::descriptors::Descriptors;
use sampler::targets::molecule::peptide;
use sampler::torch::error::is_bad_input;
use sampler::train::flow::reference::Reference;
use sampler::train::flow::sample::{SamplePlan, draw as sample};
use sampler::train::flow::subject::Subject;
use sampler::train::flow::team::FlowTeam;
use tch::{Device, Kind, Tensor};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
/// kJ/mol, at 310 K.
const KT: f64 = 8.314462618e-3 * 310.0;

/// 50 proposals in files of 20, 8 at once.
fn plan(sandbox: &Sandbox, out: &str) -> SamplePlan {
    SamplePlan {
        peptide: "AA".into(),
        topology: peptide::topology("AA").unwrap(),
        weights_sha256: "of the tests".into(),
        system: Some(fixture("AA_system.xml")),
        reference: None,
        scale: SCALE,
        temperature: 310.0,
        n: 50,
        batch: 8,
        seed: 3,
        models: 7,
        smc: None,
        reweight: ReweightConfig::default(),
        out: sandbox.path(out),
        resume: false,
        chunk: 20,
        held: 1000,
    }
}

fn weights(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.path("weights.safetensors");
    if path.exists() { path } else { sandbox.weights("weights.safetensors", 1, &[]) }
}

fn draw(sandbox: &Sandbox, plan: &SamplePlan) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut team = FlowTeam::new(store::read(&weights(sandbox), None, store::Copy::Averaged, CPU)?.0)?;
    Ok(sample(plan, &mut team, &mut Terminal::new().silent())?.into_iter().collect())
}

/// The one line with which a plan is refused.
fn refused(sandbox: &Sandbox, plan: &SamplePlan) -> String {
    let error = draw(sandbox, plan).unwrap_err();
    assert!(is_bad_input(&error) && !format!("{error:#}").contains('\n'), "{error:#}");
    format!("{error:#}")
}

fn samples(plan: &SamplePlan) -> BTreeMap<String, Tensor> {
    read_tensors(&plan.out.join("samples.safetensors")).unwrap()
}

/// Everything that a run leaves, by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_path_buf(), bytes)).collect()
}

#[test]
fn samples_are_what_the_flow_and_the_energy_say_of_them() {
    let sandbox = Sandbox::new();
    let plan = plan(&sandbox, "out");
    let figures = draw(&sandbox, &plan).unwrap();
    let found = samples(&plan);
    let kinds: Vec<_> =
        ["x", "log_q", "energy", "log_weight"].map(|name| (found[name].size(), found[name].kind())).into();
    let vector = (vec![50], Kind::Double);
    assert_eq!(kinds, [(vec![50, 23, 3], Kind::Float), vector.clone(), vector.clone(), vector]);
    assert_eq!(found.len(), 4);

    // x is in nm, and as the flow made it: neither centred nor mirrored.
    let x = found["x"].to_kind(Kind::Double) / SCALE;
    let flow = store::read(&weights(&sandbox), None, store::Copy::Averaged, CPU).unwrap().0;
    let topology = peptide::topology("AA").unwrap();
    let subject = Subject::new("AA", topology, &tiny()).unwrap();
    let log_q = tch::no_grad(|| flow.log_q(&x.to_kind(Kind::Float), &flow.prepare(&subject.conditioning)));
    assert!(largest(&(log_q - &found["log_q"])) < 1e-3);
    assert!(figures["chirality_correct"] < 1.0, "the test needs proposals of the wrong hand");
    let subject = subject.with_energy(&fixture("AA_system.xml"), SCALE, 310.0).unwrap();
    let energy = subject.energy.unwrap().reduced(&x) * KT;
    assert!(largest(&((energy - &found["energy"]) / &found["energy"])) < 1e-3);

    // log w = -E / kT - log q + log N(centre; 0, 1 / atoms).
    let square = x.mean_dim([1i64].as_slice(), false, None).square().sum_dim_intlist(1, false, None);
    let atoms = 23.0f64;
    let center = square * (-0.5 * atoms) - 1.5 * ((2.0 * std::f64::consts::PI).ln() - atoms.ln());
    let expected = &found["energy"] / -KT - &found["log_q"] + center;
    assert!(largest(&((expected - &found["log_weight"]) / &found["log_weight"])) < 1e-9);

    // Models of the PDB file are proposals, to its three decimals in Å. (They are no peptides yet: an untrained flow.)
    let pdb = fs::read_to_string(plan.out.join("samples.pdb")).unwrap();
    assert_eq!(pdb.lines().filter(|line| line.starts_with("MODEL")).count(), 7);
    let atoms = pdb.lines().filter(|line| line.starts_with("ATOM"));
    let numbers = atoms.flat_map(|line| [30, 38, 46].map(|at| line[at..at + 8].trim().parse::<f64>().unwrap() / 10.0));
    let models = Tensor::from_slice(&numbers.collect::<Vec<f64>>()).view([7, 1, 69]);
    let off = (found["x"].view([1, 50, 69]) - models).abs().amax([2i64].as_slice(), false); // [7, 50]
    assert!(largest(&off.amin([1i64].as_slice(), false)) < 0.51e-4);

    let summary = json(&plan.out.join("summary.json"));
    assert_eq!((summary["proposals"].as_i64(), summary["peptide"].as_str()), (Some(50), Some("AA")));
    assert_eq!(summary["ess"].as_f64(), Some(figures["ess"]));
    for plot in ["ramachandran_proposal", "ramachandran_reweighted", "energies", "log_weights", "ess_by_samples"] {
        assert!(plan.out.join(format!("plots/{plot}.png")).is_file(), "{plot}");
    }
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_end() {
    let sandbox = Sandbox::new();
    let whole = plan(&sandbox, "whole");
    draw(&sandbox, &whole).unwrap();
    // What a session leaves that was killed after its first file.
    let parts = SamplePlan { resume: true, ..plan(&sandbox, "parts") };
    fs::create_dir_all(parts.out.join("samples")).unwrap();
    for file in ["plan.json", "samples/chunk_000000.safetensors"] {
        fs::copy(whole.out.join(file), parts.out.join(file)).unwrap();
    }
    let before = fs::metadata(parts.out.join("samples/chunk_000000.safetensors")).unwrap().modified().unwrap();
    draw(&sandbox, &parts).unwrap();
    let after = fs::metadata(parts.out.join("samples/chunk_000000.safetensors")).unwrap().modified().unwrap();
    assert_eq!(before, after, "the finished file was drawn again");
    let (found, expected) = (below(&parts.out), below(&whole.out));
    assert!(found.keys().eq(expected.keys()) && found.len() > 8);
    found.iter().for_each(|(name, bytes)| assert!(*bytes == expected[name], "{name:?} differs"));
}

#[test]
fn more_proposals_are_added_to_those_there_are() {
    let sandbox = Sandbox::new();
    let whole = plan(&sandbox, "whole");
    draw(&sandbox, &whole).unwrap();
    let whole = samples(&whole);
    // 27 end inside a file and inside a batch.
    for (n, resume) in [(27, false), (50, true), (33, true)] {
        let plan = SamplePlan { n, resume, ..plan(&sandbox, "grown") };
        draw(&sandbox, &plan).unwrap();
        let found = samples(&plan);
        assert_eq!(found["x"].size()[0], n);
        let kept = n.min(27);
        for (name, tensor) in whole.iter().filter(|(name, _)| ["x", "log_q"].contains(&name.as_str())) {
            let (part, all) = (&found[name], tensor.narrow(0, 0, n));
            // Rows that came through the network in smaller company may differ in their last digits.
            assert!(largest(&(part - &all)) < 1e-4, "{name} of {n}");
            assert!(part.narrow(0, 0, 24).equal(&tensor.narrow(0, 0, 24)), "{name} of {n}, {kept}");
        }
    }
    let grown = read_tensors(&sandbox.path("grown/samples/chunk_000001.safetensors")).unwrap();
    assert_eq!(grown["x"].size()[0], 20);
}

#[test]
fn weights_that_do_not_fit_into_memory_are_streamed() {
    let sandbox = Sandbox::new();
    for filter in [WeightFilter::Drop { fraction: 0.1 }, WeightFilter::None {}] {
        let reweight = ReweightConfig { filter, ..ReweightConfig::default() };
        let held = SamplePlan { reweight, resume: true, ..plan(&sandbox, "out") };
        let all = draw(&sandbox, &held).unwrap();
        let streamed = draw(&sandbox, &SamplePlan { held: 20, ..held.clone() }).unwrap();
        assert_eq!(samples(&held)["x"].size()[0], 20);
        for name in ["ess", "log_z", "largest_share", "non_finite", "filtered"] {
            assert_eq!(all[name], streamed[name], "{name}");
        }
        assert_ne!(all["energy_median"], streamed["energy_median"]);
        assert_eq!(all["filtered"] > 0.0, filter != WeightFilter::None {});
    }
}

#[test]
fn proposals_of_another_plan_are_not_gone_on_with() {
    let sandbox = Sandbox::new();
    let first = SamplePlan { n: 10, ..plan(&sandbox, "out") };
    draw(&sandbox, &first).unwrap();
    assert!(refused(&sandbox, &first).contains("--resume"));
    let others = [
        SamplePlan { seed: 4, ..first.clone() },
        SamplePlan { weights_sha256: "of others".into(), ..first.clone() },
        SamplePlan { temperature: 300.0, ..first.clone() },
        SamplePlan { system: None, ..first.clone() },
    ];
    for other in others {
        let said = refused(&sandbox, &SamplePlan { resume: true, ..other });
        assert!(said.contains("out: holds proposals of another plan") && said.contains("--out"), "{said}");
    }

    // A file of the folder that is not what it was.
    let chunk = first.out.join("samples/chunk_000000.safetensors");
    let bytes = fs::read(&chunk).unwrap();
    let again = SamplePlan { resume: true, ..first };
    fs::write(&chunk, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(&sandbox, &again).contains("chunk_000000.safetensors"));
    let x = Tensor::zeros([10, 22, 3], CPU);
    write_tensors(&chunk, &[("x", &x), ("log_q", &x), ("energy", &x)], &BTreeMap::new()).unwrap();
    let said = refused(&sandbox, &again);
    assert!(said.contains("tensor 'x' has shape [10, 22, 3], expected [-1, 23, 3]"), "{said}");
}

#[test]
fn the_binary_finds_scale_and_temperature_in_the_weights() {
    let sandbox = Sandbox::new();
    let path = sandbox.weights("w.safetensors", 1, &[("scale", "0.3"), ("temperature", "290")]);
    let pdb = fixture("AA.pdb");
    let arguments = ["sample", text(&pdb), "--weights", text(&path), "--n", "12", "--batch", "5", "--models", "3"];
    let system = fixture("AA_system.xml");
    let (out, _) =
        sandbox.flow(&[&arguments[..], &["--system", text(&system), "--filter", "none", "--out", "o"]].concat(), 0);
    assert!(["ess", "log_z", "non_finite", "chirality_correct"].iter().all(|name| out.contains(name)), "{out}");
    let plan = json(&sandbox.path("o/plan.json"));
    assert_eq!((plan["scale"].as_f64(), plan["temperature"].as_f64()), (Some(0.3), Some(290.0)));
    assert_eq!(json(&sandbox.path("o/summary.json"))["filtered"].as_f64(), Some(0.0));

    // Without a System there are samples and densities, and a word on what weights need.
    let (out, err) = sandbox.flow(&["sample", "AA", "--weights", text(&path), "--n", "12"], 0);
    assert!((out + &err).contains("--system names an OpenMM System file"), "{err}");
    let found = read_tensors(&sandbox.path("runs/flow/samples/AA/samples.safetensors")).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["log_q", "x"]);
}

#[test]
fn wrong_input_is_answered_in_one_line() {
    let sandbox = Sandbox::new();
    let (path, odd) =
        (sandbox.weights("w.safetensors", 1, &[]), sandbox.weights("odd.safetensors", 1, &[("scale", "-1")]));
    let (wrong_system, ensemble) = (fixture("ARIP_system.xml"), sandbox.path("arip.safetensors"));
    write_frames(&ensemble, &frames("ARIP"));
    let capped = shipped("assets/molecules/aldp_amber14_obc1/topology.pdb");
    let broken = sandbox.write("broken.safetensors", "not weights");
    let cases: [(&[&str], &[&str]); 12] = [
        (&["AA", "--filter", "dorp"], &["--filter", "'dorp'", "did you mean 'drop'?", "drop, truncate, none"]),
        (&["AA", "--center", "chi"], &["--center", "'chi'", "gaussian, chi3, none"]),
        (&["AA", "--scale", "0"], &["--scale"]),
        (&["AA", "--temperature", "nan"], &["--temperature"]),
        (&["AA", "--ess-first", "0"], &["--ess-first"]),
        (&["AA", "--system", text(&wrong_system)], &["AA: has 23 atoms", "ARIP_system.xml has 70"]),
        (&["AA", "--system", "none.xml"], &["none.xml"]),
        (&["AA", "--reference", text(&ensemble)], &["arip.safetensors", "[16, 70, 3]", "69"]),
        (&["AXA"], &["AXA", "'X'"]),
        (&[text(&capped)], &["topology.pdb", "ACE"]),
        (&["AA", "--config", text(&broken)], &["broken.safetensors"]),
        (&["WWWWW"], &["WWWWW", "atoms", "80"]),
    ];
    for (arguments, parts) in cases {
        let said = sandbox.refusal(&[&["sample"], arguments, &["--weights", text(&path), "--out", "o"]].concat());
        assert!(parts.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
        assert!(!sandbox.path("o").exists(), "{arguments:?} left a folder");
    }
    let said = sandbox.refusal(&["sample", "AA", "--weights", text(&odd)]);
    assert!(said.contains("odd.safetensors: metadata 'scale' is '-1'"), "{said}");
    let said = sandbox.refusal(&["sample", "AA", "--weights", text(&broken)]);
    assert!(said.contains("broken.safetensors"), "{said}");
}

/// A trajectory that wanders among the fixture's frames, `[900, 23, 3]` nm.
fn trajectory() -> Tensor {
    let (frames, steps) = (frames("AA").to_kind(Kind::Double), 900);
    let time = Tensor::arange(steps, tch::kind::DOUBLE_CPU);
    let slow = ((&time / 140.0).sin() * 0.5 + 0.5).view([-1, 1, 1]);
    let noise = ((&time * 1.7).sin() * 0.002).view([-1, 1, 1]) * (frames.get(3) - frames.get(7));
    (frames.get(2) + (frames.get(1) - frames.get(2)) * slow + noise).to_kind(Kind::Float)
}

#[test]
fn a_condensed_reference_has_the_map_of_the_whole() {
    let sandbox = Sandbox::new();
    let (long, short, small) =
        (sandbox.path("long.safetensors"), sandbox.path("short.safetensors"), sandbox.path("small.safetensors"));
    write_frames(&long, &trajectory());
    let (out, err) = sandbox.flow(&["reference", "AA", text(&long), "--frames", "45", "--out", text(&small)], 0);
    assert!((out + &err).contains("the map of slow components"));

    let subject = Subject::new("AA", peptide::topology("AA").unwrap(), &tiny()).unwrap();
    let whole = Reference::read(&long, &subject, SCALE).unwrap();
    let part = Reference::read(&small, &subject, SCALE).unwrap();
    assert_eq!(part.x.size(), [45, 23, 3]);
    assert!(largest(&(&part.x - whole.x.index_select(0, &whole.rows(45)))) < 1e-5);
    let features = Descriptors::of(&subject.topology).measure(&trajectory().to_kind(Kind::Double));
    let plane = |reference: &Reference| reference.tica.as_ref().unwrap().transform(&features, 2).unwrap();
    let (expected, found) = (plane(&whole), plane(&part));
    assert!(expected.std(true).double_value(&[]) > 0.1);
    assert!(largest(&(expected - found)) < 1e-4);

    // What is too short for slow components is a reference all the same.
    write_frames(&short, &frames("AA"));
    let (out, err) = sandbox.flow(&["reference", "AA", text(&short), "--frames", "45", "--out", text(&small)], 0);
    assert!((out + &err).contains("too short"));
    let part = Reference::read(&small, &subject, SCALE).unwrap();
    assert!(part.tica.is_none() && part.x.size()[0] == 16);

    // A map of another molecule, or of one component.
    let x = frames("AA");
    for (features, components, said) in
        [(33, 2, "'tica_mean' has 33 features, expected the 34 of AA"), (34, 1, "expected 2")]
    {
        let (mean, map) = (Tensor::zeros([features], CPU), Tensor::zeros([features, components], CPU));
        let tensors = [("positions", &x), ("tica_mean", &mean), ("tica_projection", &map)];
        write_tensors(&small, &tensors, &BTreeMap::new()).unwrap();
        let error = sandbox.refusal(&["reference", "AA", text(&small), "--out", "o.safetensors"]);
        assert!(error.contains("small.safetensors: ") && error.contains(said), "{error}");
    }
}
