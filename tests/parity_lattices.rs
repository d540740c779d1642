//! Exact methods, chains and closed forms against numbers computed elsewhere (tests/fixtures/discrete/README.md).

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use sampler::io::tensors::read_tensors;
use sampler::metrics::autocorrelation::average;
use sampler::samplers::mcmc::lattice::{KernelConfig, random_state};
use sampler::targets::lattice::exact::{Exact, enumeration, kaufman, onsager, transfer};
use sampler::targets::lattice::figures::Figures;
use sampler::targets::lattice::graphs::{Graph, GraphConfig, IndependentSetConfig, MaxCutConfig, repair};
use sampler::targets::lattice::{DiscreteTarget, LatticeConfig, evaluate};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const F64: (Kind, Device) = (Kind::Double, Device::Cpu);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete").join(name)
}

fn numbers(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn target(config: Value) -> Box<dyn DiscreteTarget> {
    serde_json::from_value::<LatticeConfig>(config).unwrap().build(F64).unwrap()
}

fn ising(size: usize, beta: f64, field: f64) -> Box<dyn DiscreteTarget> {
    target(json!({"type": "ising", "size": size, "beta": beta, "field": field}))
}

fn potts(size: usize, beta: f64) -> Box<dyn DiscreteTarget> {
    target(json!({"type": "potts", "size": size, "states": 3, "beta": beta}))
}

/// "16x16" -> 16.
fn side(name: &str) -> usize {
    name.split('x').next().unwrap().parse().unwrap()
}

/// "0.2" -> (0.2, 0), "beta=0.2,h=0.2" -> (0.2, 0.2).
fn point(name: &str) -> (f64, f64) {
    let parts: Vec<f64> = name.split(',').map(|part| part.split('=').next_back().unwrap().parse().unwrap()).collect();
    (parts[0], parts.get(1).copied().unwrap_or(0.0))
}

fn entries(table: &Value) -> impl Iterator<Item = (usize, f64, f64, &Value)> {
    let sizes = table.as_object().unwrap().iter();
    sizes.flat_map(|(size, rows)| {
        rows.as_object().unwrap().iter().map(move |(name, row)| {
            let (beta, field) = point(name);
            (side(size), beta, field, row)
        })
    })
}

/// 1e-10, relative to numbers larger than 1.
fn assert_same(what: &str, found: Option<f64>, expected: &Value) {
    let (found, expected) = (found.unwrap_or(f64::NAN), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= 1e-10 * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

#[test]
fn kaufmans_formula_holds_up_to_32() {
    let table = numbers("ising_exact.json");
    let mut count = 0;
    for (size, beta, _, row) in entries(&table["kaufman"]) {
        let (found, what) = (kaufman::solve(size, beta), format!("{size}x{size}, beta {beta}"));
        assert_same(&what, Some(found.log_z), &row["logZ"]);
        assert_same(&what, found.energy, &row["E_mean"]);
        assert_same(&what, found.energy_variance, &row["E_var"]);
        count += 1;
    }
    assert_eq!(count, 121);
}

#[test]
fn the_infinite_lattice_is_onsagers() {
    for (beta, row) in numbers("ising_exact.json")["onsager"].as_object().unwrap() {
        let b = beta.parse().unwrap();
        assert_same(beta, Some(onsager::log_z_per_site(b)), &row["logZ_per_site"]);
        assert_same(beta, Some(onsager::spontaneous_magnetisation(b)), &row["spontaneous_m"]);
    }
}

#[test]
fn enumeration_gives_every_moment() {
    let table = numbers("ising_exact.json");
    // A 5x5 lattice has 2^25 states, which take a second: three of them.
    let chosen = |size: usize, beta: f64, field: f64| size == 4 || (beta == 0.4407 && field != 0.0) || beta == 1.0;
    let mut count = 0;
    for (size, beta, field, row) in entries(&table["enumeration"]).filter(|(l, b, h, _)| chosen(*l, *b, *h)) {
        let target = ising(size, beta, field);
        let found = enumeration::pairs(target.pairs().unwrap());
        let what = format!("{size}x{size}, beta {beta}, field {field}");
        assert_same(&what, Some(found.log_z), &row["logZ"]);
        assert_same(&what, found.energy, &row["E_mean"]);
        assert_same(&what, found.energy_variance, &row["E_var"]);
        assert_same(&what, found.magnetisation, &row["m_mean"]);
        assert_same(&what, found.abs_magnetisation, &row["absm_mean"]);
        assert_same(&what, found.magnetisation2, &row["m2_mean"]);
        assert_same(&what, found.magnetisation4, &row["m4_mean"]);
        count += 1;
    }
    assert_eq!(count, 15);
}

fn assert_two_point(what: &str, found: &Exact, expected: &Value) {
    let found = found.two_point.as_ref().unwrap();
    assert_eq!(found.len(), expected.as_array().unwrap().len());
    for (r, (found, expected)) in found.iter().zip(expected.as_array().unwrap()).enumerate() {
        assert_same(&format!("{what}, distance {r}"), Some(*found), expected);
    }
}

#[test]
fn the_transfer_matrix_gives_two_point_functions() {
    let table = numbers("ising_exact.json");
    // The largest matrix takes seconds: once without and once with a field.
    let chosen = |size: usize, beta: f64, field: f64| size < 10 || beta == 0.4407 || field != 0.0;
    for (size, beta, field, row) in entries(&table["transfer"]).filter(|(l, b, h, _)| chosen(*l, *b, *h)) {
        let found = transfer::solve(ising(size, beta, field).pairs().unwrap(), size);
        let what = format!("{size}x{size}, beta {beta}, field {field}");
        assert_same(&what, Some(found.log_z), &row["logZ"]);
        assert_two_point(&what, &found, &row["corr_vertical"]);
        if field != 0.0 {
            assert_same(&what, found.magnetisation, &row["m_mean"]);
        } else {
            assert_same(&what, found.energy, &json!(kaufman::solve(size, beta).energy.unwrap()));
        }
    }
}

#[test]
fn potts_lattices_agree() {
    let mut table = numbers("potts_exact.json");
    table.as_object_mut().unwrap().remove("convention");
    for (size, beta, _, row) in entries(&table) {
        let (target, what) = (potts(size, beta), format!("{size}x{size}, beta {beta}"));
        let found = transfer::solve(target.pairs().unwrap(), size);
        assert_same(&what, Some(found.log_z), &row["logZ"]);
        assert_two_point(&what, &found, &row["corr"]);
        // The file's count of bonds is a difference quotient, good to 1e-6; its two-point function gives all digits.
        let neighbours = row["corr"][1].as_f64().unwrap();
        let equal = 2.0 * (size * size) as f64 * (1.0 + 2.0 * neighbours) / 3.0;
        assert_same(&what, found.energy.map(|energy| -energy), &json!(equal));
        assert!((equal - row["mean_equal_bonds"].as_f64().unwrap()).abs() < 1e-6);
        if size == 3 {
            let counted = enumeration::pairs(target.pairs().unwrap());
            assert_same(&what, Some(counted.log_z), &row["logZ"]);
            assert_same(&what, counted.energy, &json!(found.energy));
            assert_same(&what, counted.magnetisation2, &json!(found.magnetisation2));
        }
    }
}

fn graph(row: &Value) -> Graph {
    let end = |v: &Value| v.as_u64().unwrap() as u32;
    let edges = row["edges"].as_array().unwrap().iter().map(|edge| (end(&edge[0]), end(&edge[1]), 1.0));
    Graph { nodes: row["n"].as_u64().unwrap() as usize, edges: edges.collect() }
}

fn written(graph: &Graph, folder: &Path) -> GraphConfig {
    let path = folder.join("graph.txt");
    let lines = graph.edges.iter().map(|(i, j, w)| format!("{} {} {w}\n", i + 1, j + 1)).collect::<String>();
    std::fs::write(&path, format!("{} {}\n{lines}", graph.nodes, graph.edges.len())).unwrap();
    GraphConfig::Gset { path }
}

#[test]
fn sets_and_cuts_of_small_graphs_are_those_of_brute_force() {
    let folder = tempfile::tempdir().unwrap();
    for row in numbers("combinatorial.json")["graphs"].as_array().unwrap() {
        let graph = written(&graph(row), folder.path());
        let all = enumeration::states(2, row["n"].as_i64().unwrap());

        let config = IndependentSetConfig { graph: graph.clone(), beta: 5.0, penalty: 1.0001 };
        let sets = LatticeConfig::IndependentSet(config).build(F64).unwrap();
        let log_prob = evaluate(&*sets, &all, Device::Cpu).0;
        let log_z = log_prob.logsumexp([0i64].as_slice(), false).double_value(&[]);
        assert_same("log Z", Some(log_z), &row["logZ_MIS_T0p2"]);
        let sizes = all.sum_dim_intlist(1, false, Kind::Double);
        assert_same(
            "size",
            Some(((&log_prob - log_z).exp() * &sizes).sum(Kind::Double).double_value(&[])),
            &row["mean_size_MIS_T0p2"],
        );

        let model = sets.pairs().unwrap();
        let rows: Vec<i64> = (0..all.size()[0]).step_by(97).collect();
        let best = log_prob.argmax(0, false).int64_value(&[]);
        let mut largest = 0;
        for state in rows.into_iter().chain([best]) {
            let mut x: Vec<u8> = Vec::<i64>::try_from(all.get(state)).unwrap().iter().map(|v| *v as u8).collect();
            repair(model, &mut x);
            assert_eq!(model.energy(&x), 0.0, "an edge inside a repaired set");
            largest = largest.max(x.iter().map(|v| u64::from(*v)).sum());
        }
        assert_eq!(json!(largest), row["mis"]);

        let cuts = LatticeConfig::MaxCut(MaxCutConfig { graph, beta: 1.0 }).build(F64).unwrap();
        let cut = evaluate(&*cuts, &all, Device::Cpu).0.max().double_value(&[]);
        assert_same("cut", Some(cut), &row["maxcut"]);
    }
}

#[test]
fn a_gaussian_machine_has_the_exact_law_of_its_hidden_units() {
    let file = read_tensors(&fixture("egm_energies.safetensors")).unwrap();
    let list = |name: &str| Vec::<f64>::try_from(file[name].to_kind(Kind::Double).view([-1])).unwrap();
    let weights: Vec<Vec<f64>> = list("rbm_W").chunks(3).map(<[f64]>::to_vec).collect();
    let machine = target(json!({"type": "gaussian_rbm", "parameters": {"type": "given", "weights": weights,
        "visible_bias": list("rbm_v_bias"), "hidden_bias": list("rbm_h_bias")}}));
    let log_prob = machine.log_prob(&file["rbm_H_states"].to_kind(Kind::Int64));
    let log_z = log_prob.logsumexp([0i64].as_slice(), false);
    // The file is in single precision.
    assert!((log_z.double_value(&[]) - list("rbm_logZ")[0]).abs() < 1e-5);
    let difference = (&log_prob - log_z).exp() - &file["rbm_exact_p_h"];
    assert!(difference.abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn single_site_ratios_are_the_authors() {
    let file = read_tensors(&fixture("dnfs_residual_ising4x4.safetensors")).unwrap();
    let lattice = ising(4, 2.0 * 0.15, 0.1);
    let x = &file["x"];
    let close = |found: &Tensor, expected: &Tensor| (found - expected).abs().max().double_value(&[]) < 1e-5;
    assert!(close(&lattice.log_prob(x), &file["log_rho"]));
    // Theirs are of the path at time t, which multiplies log rho.
    let ratios = lattice.log_ratios(x) * file["t"].view([-1, 1, 1]);
    assert!(close(&ratios, &file["log_ratio_to_other_state"]));
}

/// Measures a chain and compares with a mean and its error, both errors counted.
fn assert_means(
    what: &str,
    target: &dyn DiscreteTarget,
    kernel: KernelConfig,
    sweeps: usize,
    expected: &[(&str, f64, f64)],
) {
    let model = target.pairs().unwrap();
    let figures = Figures::new(model, target.sites(), target.shape());
    let mut kernel = kernel.build(model, "kernel").unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut x = random_state(model, &mut random);
    for _ in 0..sweeps / 10 {
        kernel.sweep(&mut x, &mut random);
    }
    let mut series = vec![Vec::new(); figures.names().len()];
    for _ in 0..sweeps {
        kernel.sweep(&mut x, &mut random);
        series.iter_mut().zip(figures.read(&x)).for_each(|(series, value)| series.push(value));
    }
    for (name, mean, error) in expected {
        let k = figures.names().iter().position(|known| known == name).unwrap();
        let found = average(&[std::mem::take(&mut series[k])], 50);
        let sigma = (found.mean - mean) / found.error.hypot(*error);
        assert!(sigma.abs() < 4.0, "{what}, {name}: {} ± {}, expected {mean} ± {error}", found.mean, found.error);
        assert!(found.error < 0.05 * mean.abs(), "{what}, {name}: nothing learned from ± {}", found.error);
    }
}

#[test]
fn chains_reproduce_the_long_reference_runs() {
    let table = numbers("mc_reference.json");
    let wolff = KernelConfig::Wolff { clusters: 3 };
    for (family, size, beta, kernel, sweeps) in [
        ("ising", 10, "0.4407", KernelConfig::SwendsenWang, 20_000),
        ("ising", 10, "0.2", KernelConfig::Gibbs, 20_000),
        ("ising", 16, "0.4407", wolff, 10_000),
        ("ising", 24, "0.4", KernelConfig::SwendsenWang, 5_000),
        ("potts3", 8, "0.8", KernelConfig::Metropolis, 40_000),
        ("potts3", 15, "1.0050525387", KernelConfig::SwendsenWang, 10_000),
        ("potts3", 8, "1.001", wolff, 20_000),
    ] {
        let row = &table[family][format!("{size}x{size}")][beta];
        let b: f64 = beta.parse().unwrap();
        let target = if family == "ising" { ising(size, b, 0.0) } else { potts(size, b) };
        let pair = |value: &Value| (value[0].as_f64().unwrap(), value[1].as_f64().unwrap());
        let ((bonds, bonds_error), (m, m_error)) = (pair(&row["satisfied_bonds"]), pair(&row["abs_m"]));
        let ((m2, m2_error), (corr, corr_error)) = (pair(&row["m2"]), pair(&row["corr"][size / 2]));
        // Satisfied bonds count 1 each for Potts, 1 against -1 for spins.
        let count = (2 * size * size) as f64;
        let energy = if family == "ising" { (count - 2.0 * bonds, 2.0 * bonds_error) } else { (-bonds, bonds_error) };
        let last = format!("two_point_{}", size / 2);
        let expected = [
            ("energy", energy.0, energy.1),
            ("abs_magnetisation", m, m_error),
            ("magnetisation2", m2, m2_error),
            (last.as_str(), corr, corr_error),
        ];
        // Far correlations at high temperature are too small for a short run to see.
        let seen = if corr < 0.1 { 3 } else { 4 };
        assert_means(&format!("{family} {size}, beta {beta}, {kernel:?}"), &*target, kernel, sweeps, &expected[..seen]);
    }
}
