//! What every discrete law, every kernel and the `discrete` binary promise.

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use sampler::io::tensors::{read_tensors, write_tensors};
use sampler::metrics::autocorrelation::average;
use sampler::samplers::mcmc::lattice::{KernelConfig, Tempering, random_state, tempering};
use sampler::targets::lattice::exact::{enumeration, solve};
use sampler::targets::lattice::{DiscreteTarget, LatticeConfig, decode, encode, evaluate};
use sampler::torch::seed::{Stream, reseed};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn parse(config: &Value) -> LatticeConfig {
    serde_json::from_value(config.clone()).unwrap()
}

fn build(config: &Value) -> Box<dyn DiscreteTarget> {
    parse(config).build(F64).unwrap()
}

/// One of every kind, small enough to enumerate; `folder` holds what files they need.
fn laws(folder: &Path) -> Vec<Value> {
    let ends = Tensor::from_slice(&[0i64, 1, 1, 2, 2, 3, 0, 3]).view([4, 2]);
    let glass = folder.join("glass.safetensors");
    let strengths = Tensor::from_slice(&[[0.3, -1.2, 0.7, 0.2], [1.0, 2.0, -0.5, 0.1]].concat()).view([2, 4]);
    write_tensors(&glass, &[("J4", &strengths), ("edges4", &ends)], &Default::default()).unwrap();
    let er = json!({"type": "erdos_renyi", "nodes": 9, "probability": 0.4, "seed": 1});
    let ba = json!({"type": "barabasi_albert", "nodes": 9, "attachments": 2, "seed": 1});
    vec![
        json!({"type": "ising", "size": 3, "beta": 0.3, "field": 0.2}),
        json!({"type": "ising", "size": 3, "beta": 0.5, "field": (0..9).map(|i| 0.1 * i as f64).collect::<Vec<_>>(),
            "couplings": {"type": "gaussian", "seed": 3}}),
        json!({"type": "ising", "size": 2, "beta": -0.4, "couplings": {"type": "bimodal", "seed": 1, "probability": 0.5}}),
        json!({"type": "potts", "size": 2, "states": 4, "beta": 0.7, "field": [0.1, -0.2, 0.3, 0.0]}),
        json!({"type": "spin_glass", "path": glass, "couplings": "J4", "edges": "edges4", "instance": 1, "beta": 0.8}),
        json!({"type": "bernoulli_rbm", "parameters": {"type": "random", "visible": 6, "hidden": 4, "scale": 1.5, "seed": 2}}),
        json!({"type": "gaussian_rbm", "std": 1.3, "parameters": {"type": "given", "weights": [[1.0, -0.5, 2.0], [0.3, 1.1, -0.7]],
            "visible_bias": [0.2, -0.4], "hidden_bias": [-1.0, 0.0, 0.5]}}),
        json!({"type": "independent_set", "graph": er, "beta": 1.5}),
        json!({"type": "max_cut", "graph": ba, "beta": 0.4}),
    ]
}

fn largest(difference: &Tensor) -> f64 {
    difference.abs().max().to_kind(Kind::Double).double_value(&[])
}

#[test]
fn ratios_are_differences_of_log_prob() {
    let folder = tempfile::tempdir().unwrap();
    for config in laws(folder.path()) {
        let target = build(&config);
        let (d, s) = (target.sites(), target.num_states());
        reseed(1, Stream::Data, 0);
        let x = Tensor::randint(s, [20, d], (Kind::Int64, Device::Cpu));
        let (log_prob, ratios) = evaluate(&*target, &x, Device::Cpu);
        assert_eq!((log_prob.size(), ratios.size()), (vec![20], vec![20, d, s]), "{config}");
        for (site, state) in (0..d).flat_map(|site| (0..s).map(move |state| (site, state))) {
            let y = x.copy();
            let _ = y.select(1, site).fill_(state);
            let expected = target.log_prob(&y) - &log_prob;
            assert!(largest(&(ratios.select(1, site).select(1, state) - expected)) < 1e-12, "{config}");
        }
        // In single precision the same, to its digits.
        let single = parse(&config).build((Kind::Float, Device::Cpu)).unwrap();
        assert_eq!(single.log_prob(&x).kind(), Kind::Float);
        assert!(largest(&(single.log_ratios(&x) - &ratios)) < 1e-5, "{config}");
    }
}

#[test]
fn values_and_states_translate_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    for config in laws(folder.path()) {
        let target = build(&config);
        let x = Tensor::randint(target.num_states(), [7, target.sites()], (Kind::Int64, Device::Cpu));
        let shown = decode(&*target, &x);
        for kind in [Kind::Int64, Kind::Float, Kind::Int8] {
            assert!(encode(&*target, &shown.to_kind(kind), "x").unwrap().equal(&x), "{config}");
        }
        let message = encode(&*target, &(shown * 5 + 9), "x").unwrap_err().to_string();
        assert!(message.contains("expected one of"), "{message}");
        assert!(encode(&*target, &x.narrow(1, 0, 1), "x").unwrap_err().to_string().contains("expected [N, "));
    }
}

#[test]
fn many_sites_take_the_way_of_lists() {
    // Beyond 1024 sites couplings are a list; the energies of the plain model tell whether it is read right.
    let target = build(
        &json!({"type": "ising", "size": 36, "beta": 0.7, "field": 0.1, "couplings": {"type": "gaussian", "seed": 1}}),
    );
    let model = target.pairs().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let x = random_state(model, &mut random);
    let states = Tensor::from_slice(&x.iter().map(|v| i64::from(*v)).collect::<Vec<_>>()).unsqueeze(0);
    assert!((target.log_prob(&states).double_value(&[0]) - model.log_prob(&x)).abs() < 1e-9);
    let (ratios, mut logits) = (target.log_ratios(&states), [0.0; 2]);
    for i in [0, 35, 700, 1295] {
        model.logits(&x, i, &mut logits);
        let other = 1 - x[i] as usize;
        let expected = logits[other] - logits[1 - other];
        assert!((ratios.double_value(&[0, i as i64, other as i64]) - expected).abs() < 1e-12);
    }
}

#[test]
fn exact_methods_agree_with_the_sum_over_states() {
    let folder = tempfile::tempdir().unwrap();
    for config in laws(folder.path()) {
        let target = build(&config);
        let found = solve(&parse(&config), &*target).unwrap().unwrap();
        assert!((found.log_z - enumeration::log_z(&*target).log_z).abs() < 1e-11, "{config}: {}", found.method);
    }
    let large = json!({"type": "ising", "size": 20, "beta": 0.3, "field": 0.1});
    assert!(solve(&parse(&large), &*build(&large)).unwrap().is_none());
}

/// Mean of `log_prob` and of every site's state along a chain against enumeration.
fn assert_stationary(what: &str, target: &dyn DiscreteTarget, mut next: impl FnMut() -> Vec<u8>) {
    let d = target.sites();
    let all = enumeration::states(target.num_states(), d);
    let log_prob = evaluate(target, &all, Device::Cpu).0;
    let weight = log_prob.softmax(0, Kind::Double);
    let expected: Vec<f64> = weight.unsqueeze(0).matmul(&all.to_kind(Kind::Double)).view([-1]).try_into().unwrap();

    (0..500).for_each(|_| drop(next()));
    let mut series = vec![Vec::new(); d as usize];
    for _ in 0..20_000 {
        let x = next();
        series.iter_mut().zip(&x).for_each(|(series, state)| series.push(f64::from(*state)));
    }
    for (i, (series, expected)) in series.into_iter().zip(expected).enumerate() {
        let found = average(&[series], 50);
        let sigma = (found.mean - expected) / found.error.max(1e-4);
        assert!(sigma.abs() < 4.5, "{what}: site {i} is {} ± {}, expected {expected}", found.mean, found.error);
    }
}

#[test]
fn every_kernel_leaves_every_law_that_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let kernels = [
        KernelConfig::Gibbs,
        KernelConfig::Metropolis,
        KernelConfig::SwendsenWang,
        KernelConfig::Wolff { clusters: 2 },
    ];
    let mut refused = 0;
    for config in laws(folder.path()) {
        let target = build(&config);
        let model = target.pairs().unwrap();
        for kernel in kernels {
            let Ok(mut chain) = kernel.build(model, "kernel") else {
                refused += 1;
                continue;
            };
            let mut random = ChaCha8Rng::seed_from_u64(5);
            let mut x = random_state(model, &mut random);
            assert_stationary(&format!("{config}, {kernel:?}"), &*target, || {
                chain.sweep(&mut x, &mut random);
                x.clone()
            });
        }
    }
    // Clusters of 0 and 1: two machines, sets and cuts, by two kernels.
    assert_eq!(refused, 8);
}

#[test]
fn tempering_crosses_what_single_sites_do_not() {
    let config = json!({"type": "ising", "size": 4, "beta": 1.0, "field": 0.002});
    let target = build(&config);
    let factors = [1.0, 0.7, 0.5, 0.3];
    let models = tempering::models(target.pairs().unwrap(), &factors);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut replicas = Tempering::new(KernelConfig::Gibbs, "kernel", &models, &factors, &mut random).unwrap();
    assert_stationary("tempering", &*target, || {
        replicas.sweep(&mut random);
        replicas.state().to_vec()
    });
    let exchanges = replicas.exchanges;
    assert!(exchanges.made > exchanges.tried / 10 && exchanges.made < exchanges.tried);
}

/// Runs the binary in `folder`, demands the exit status, and returns its last words.
fn discrete(folder: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = Command::cargo_bin("discrete").unwrap();
    let output = command.current_dir(folder).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{err}");
    if status == 2 {
        assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    }
    err
}

fn summary(folder: &Path) -> BTreeMap<String, Value> {
    serde_json::from_slice(&std::fs::read(folder.join("summary.json")).unwrap()).unwrap()
}

fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name).to_str().unwrap().to_string()
}

#[test]
fn the_binary_writes_exact_figures() {
    let folder = tempfile::tempdir().unwrap();
    let ising = shipped("density/ising.yaml");
    discrete(
        folder.path(),
        &["exact", &ising, "target.size=4", "target.beta=0.2", "target.field=0.2", "--out", "run"],
        0,
    );
    let found = summary(&folder.path().join("run"));
    for (key, expected) in
        [("log_z", 12.598502597390036), ("energy", -11.906097610170349), ("magnetisation2", 0.34121670486621447)]
    {
        assert!((found[key].as_f64().unwrap() - expected).abs() < 1e-10, "{key}: {}", found[key]);
    }
}

#[test]
fn chains_leave_samples_figures_and_pictures_and_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let potts = shipped("density/potts.yaml");
    let run = |out: &str, threads: &str| {
        let keys = [
            "target.size=3",
            "mcmc.sweeps=4000",
            "mcmc.burn_in=100",
            "mcmc.samples=10",
            "--out",
            out,
            "--threads",
            threads,
        ];
        discrete(folder.path(), &[&["mcmc", &potts], &keys[..]].concat(), 0);
        read_tensors(&folder.path().join(out).join("samples.safetensors")).unwrap().remove("x").unwrap()
    };
    let x = run("one", "1");
    assert_eq!((x.size(), x.kind()), (vec![40, 9], Kind::Int64));
    assert!(x.equal(&run("two", "2")), "the number of threads changes the chains");
    let found = summary(&folder.path().join("one"));
    for name in ["energy", "magnetisation2", "two_point_1"] {
        assert!(found[&format!("{name}_sigma")].as_f64().unwrap().abs() < 4.5, "{name}: {found:?}");
    }
    for picture in ["samples", "abs_magnetisation", "two_point"] {
        assert!(folder.path().join(format!("one/plots/{picture}.png")).exists(), "{picture}");
    }
}

#[test]
fn own_couplings_come_from_an_npz() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let matrix = Tensor::from_slice(&[0.0, 0.5, -1.0, 0.5, 0.0, 0.25, -1.0, 0.25, 0.0]).view([3, 3]);
    Tensor::write_npz(&[("J", &matrix)], at("own.npz")).unwrap();
    let yaml = format!("target: {{type: spin_glass, path: {}, beta: 2.0, field: 0.1}}\n", at("own.npz"));
    std::fs::write(at("own.yaml"), yaml).unwrap();
    let x = Tensor::from_slice(&[1i64, 1, 1, -1, 1, -1]).view([2, 3]);
    write_tensors(Path::new(&at("x.safetensors")), &[("x", &x)], &Default::default()).unwrap();

    discrete(folder.path(), &["eval", "own.yaml", "--points", "x.safetensors", "--out", "values.safetensors"], 0);
    let found = read_tensors(Path::new(&at("values.safetensors"))).unwrap();
    // beta (0.5 + 0.25 - 1) + 0.3, and beta (-0.5 - 0.25 - 1) - 0.1.
    assert!(largest(&(&found["log_prob"] - Tensor::from_slice(&[-0.2, -3.6]))) < 1e-12);
    assert_eq!(found["log_ratios"].size(), [2, 3, 2]);

    // Fields from the same file come on top.
    let fields = Tensor::from_slice(&[0.5, 0.0, -0.25]);
    Tensor::write_npz(&[("J", &matrix), ("h", &fields)], at("own.npz")).unwrap();
    let with_fields = ["target.fields=h", "--points", "x.safetensors", "--out", "values.safetensors"];
    discrete(folder.path(), &[&["eval", "own.yaml"], &with_fields[..]].concat(), 0);
    let found = read_tensors(Path::new(&at("values.safetensors"))).unwrap();
    assert!(largest(&(&found["log_prob"] - Tensor::from_slice(&[0.05, -3.85]))) < 1e-12);
    let line = discrete(folder.path(), &["exact", "own.yaml", "target.fields=J"], 2);
    assert!(line.contains("own.npz: tensor 'J' has shape [3, 3], expected [3]"), "{line}");
}

#[test]
fn wrong_input_is_answered_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let x = Tensor::zeros([2, 9], (Kind::Int64, Device::Cpu));
    write_tensors(Path::new(&at("zeros.safetensors")), &[("x", &x)], &Default::default()).unwrap();
    let skew = Tensor::from_slice(&[0.0, 1.0, 2.0, 0.0]).view([2, 2]);
    write_tensors(Path::new(&at("skew.safetensors")), &[("J", &skew)], &Default::default()).unwrap();
    std::fs::write(at("glass.yaml"), "target: {type: spin_glass, path: skew.safetensors, beta: 1}\n").unwrap();
    std::fs::write(at("far.yaml"), "target: {type: spin_glass, path: nowhere.npz, beta: 1}\n").unwrap();
    std::fs::write(at("graph.txt"), "3 1\n1 7 1\n").unwrap();
    std::fs::write(at("cut.yaml"), "target: {type: max_cut, beta: 1, graph: {type: gset, path: graph.txt}}\n").unwrap();

    let (ising, potts) = (shipped("density/ising.yaml"), shipped("density/potts.yaml"));
    let points = ["--points", "zeros.safetensors", "--out", "values.safetensors"];
    for (arguments, part) in [
        (vec!["exact", &ising, "target.size=1"], "'target.size' must be between 2 and 256"),
        (vec!["exact", &ising, "target.sise=4"], "target.sise"),
        (vec!["exact", &ising, "target.field=[1, 2]"], "target.field"),
        (vec!["exact", &ising, "target.size=20", "target.field=0.1"], "no exact method"),
        (vec!["exact", "glass.yaml"], "not symmetric"),
        (vec!["exact", "far.yaml"], "nowhere.npz"),
        (vec!["exact", "cut.yaml"], "beyond node 3"),
        (vec!["mcmc", &potts, "target.beta=-1", "mcmc.kernel.type=swendsen_wang"], "mcmc.kernel"),
        (vec!["mcmc", &potts, "mcmc.kernel.type=gibs"], "gibbs"),
        (vec!["mcmc", &potts, "mcmc.tempering=[1, 1.5]"], "mcmc.tempering"),
        (vec!["mcmc", &potts, "mcmc.samples=0"], "mcmc.samples"),
        ([&["eval", &ising, "target.size=3"], &points[..]].concat(), "expected one of [-1, 1]"),
        ([&["eval", &ising, "target.size=4"], &points[..]].concat(), "expected [N, 16]"),
    ] {
        let line = discrete(folder.path(), &arguments, 2);
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
    assert!(!folder.path().join("runs").exists() && !folder.path().join("values.safetensors").exists());
}
