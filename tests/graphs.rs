//! Problems on graphs: exact answers against brute force, and what training and sampling on random graphs leave behind.

use std::path::Path;

use assert_cmd::Command;
use sampler::config::load::load;
use sampler::targets::lattice::graphs::random::{barabasi_albert, erdos_renyi, rb_model};
use sampler::targets::lattice::graphs::{Graph, Problem};
use sampler::train::graphs::GraphsConfig;
use serde_json::Value;

const SETS: Problem = Problem::IndependentSet { penalty: 1.0001 };
const CUTS: Problem = Problem::MaxCut {};

#[test]
fn best_answers_are_those_of_brute_force() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/discrete/combinatorial.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for known in file["graphs"].as_array().unwrap() {
        let ends = |edge: &Value| (edge[0].as_u64().unwrap() as u32, edge[1].as_u64().unwrap() as u32, 1.0);
        let edges = known["edges"].as_array().unwrap().iter().map(ends).collect();
        let graph = Graph { nodes: known["n"].as_u64().unwrap() as usize, edges };
        for (problem, key) in [(SETS, "mis"), (CUTS, "maxcut")] {
            let x = problem.optimum(&graph).unwrap();
            assert_eq!(problem.value(&graph, &x), known[key].as_f64().unwrap(), "{key}");
            let mut finished = x.clone();
            problem.finish(&graph, &mut finished);
            assert_eq!(finished, x, "a best answer needs no repair");
        }
    }
}

#[test]
fn exact_answers_reach_the_sizes_of_the_benchmarks() {
    for seed in 0..5 {
        let graphs = [erdos_renyi(75, 0.15, seed), rb_model(9, 4, 0.5, seed), barabasi_albert(40, 4, seed)];
        for graph in graphs {
            let set = SETS.optimum(&graph).unwrap();
            let mut finished = set.clone();
            SETS.finish(&graph, &mut finished);
            assert_eq!(finished, set);
        }
        assert!(CUTS.optimum(&barabasi_albert(40, 4, seed)).is_some());
    }
}

/// Runs the binary in `folder`, demands the exit status, and returns what it said.
fn graphs(folder: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = Command::cargo_bin("graphs").unwrap();
    let output = command.current_dir(folder).args(arguments).env("OMP_NUM_THREADS", "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{err}");
    if status == 2 {
        assert_eq!(err.trim_end().lines().count(), 1, "{err}");
    }
    format!("{out}{err}")
}

const SMALL: &str = "problem: {type: independent_set}
graphs: {type: erdos_renyi, nodes: [5, 8], probability: 0.4}
train_graphs: 6
test_graphs: 5
samples: 16
anneal: {first: 0.5, last: 6.0, until: 0.5}
net: {hidden_dim: 8, head_dim: 4, num_blocks: 1}
rollout: {type: euler, num_steps: 4, weights: left}
sampler: {type: euler, num_steps: 8, weights: left, dmala_steps: 40}
buffer: {graphs: 2, walkers: 4, every: 3, rollouts: 2}
train: {steps: 8, batch: 16, learning_rate: 1.0e-3, checkpoint_every: 4, keep_checkpoints: 3, log_every: 1, eval_every: 4}
";

/// All lines of a run without clocks.
fn record(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let figures = value.as_object_mut().unwrap();
        figures.retain(|key, _| key != "wall_s" && key != "train/steps_per_s");
        value
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_finds_sets_and_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("small.yaml"), SMALL).unwrap();
    graphs(folder.path(), &["train", "small.yaml", "--out", "whole"], 0);
    let whole = record(&at("whole"));
    let last = whole.last().unwrap();
    // Forty moves of all vertices at each of eight times solve graphs of eight vertices, learned or not.
    for key in ["eval/best_drop_percent", "eval/without_best_drop_percent"] {
        assert_eq!(last[key].as_f64(), Some(0.0), "{key}");
    }
    assert!(last["eval/mean"].as_f64().unwrap() <= last["eval/optimum_mean"].as_f64().unwrap());
    for picture in ["graph_0", "loss", "drop"] {
        assert!(at("whole").join(format!("plots/{picture}.png")).exists(), "{picture}");
    }

    // The same run, killed after its first checkpoint.
    graphs(folder.path(), &["train", "small.yaml", "--out", "halves"], 0);
    std::fs::remove_dir_all(at("halves/checkpoints/step_00000008")).unwrap();
    graphs(folder.path(), &["train", "small.yaml", "--out", "halves", "--resume"], 0);
    assert_eq!(record(&at("halves")), whole);

    let said =
        graphs(folder.path(), &["eval", "whole", "graphs.nodes=[9, 9]", "test_graphs=2", "problem.penalty=2"], 2);
    assert!(said.contains("problem.penalty=2"), "{said}");
    let said = graphs(folder.path(), &["eval", "whole", "graphs.nodes=[9, 9]", "test_graphs=2"], 0);
    assert!(said.contains("eval/optimum_mean"), "{said}");
}

#[test]
fn exact_answers_come_from_files_and_wrong_input_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ring.txt", "0 1\n1 2\n2 3\n3 4\n4 0\n");
    write("gset.txt", "4 4\n1 2 1\n2 3 1\n3 4 1\n4 1 -2\n");
    write("small.yaml", SMALL);
    let said = graphs(folder.path(), &["exact", "ring.txt", "--problem", "independent-set"], 0);
    assert!(said.starts_with("value 2\n"), "{said}");
    let said = graphs(folder.path(), &["exact", "ring.txt", "--problem", "max-cut"], 0);
    assert!(said.starts_with("value 4\n"), "{said}");
    // Cutting two edges of weight 1 is best: three would need the one of weight -2.
    let said = graphs(folder.path(), &["exact", "gset.txt", "--gset", "--problem", "max-cut"], 0);
    assert!(said.starts_with("value 2\n"), "{said}");

    // The same file, to learn on and to be judged by.
    let family = "{type: erdos_renyi, nodes: [5, 8], probability: 0.4}";
    write("cuts.yaml", &SMALL.replace("independent_set", "max_cut").replace(family, "{type: gset, paths: [gset.txt]}"));
    let said = graphs(folder.path(), &["train", "cuts.yaml", "--out", "cuts"], 0);
    let best = said.lines().find(|line| line.starts_with("eval/best_mean")).unwrap();
    assert_eq!(best.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap(), 2.0, "{said}");

    for (change, part) in [
        ("graphs.nodes=[8, 5]", "'graphs.nodes.1' must be between 8"),
        ("graphs.probability=2", "'graphs.probability'"),
        ("anneal.first=0", "'anneal.first'"),
        ("train.batch=6", "'train.batch' must be a multiple of 4"),
        ("sampler.type=uniformised", "sampler"),
        ("net.head_dim=3", "'net.hidden_dim' must be a multiple of 3"),
        ("problem.type=tsp", "independent_set"),
    ] {
        let said = graphs(folder.path(), &["train", "small.yaml", change, "--out", "none"], 2);
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    assert!(!folder.path().join("none").exists());
}

#[test]
fn shipped_configs_are_valid_and_say_how_to_run_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("configs/graphs")).unwrap() {
        let path = entry.unwrap().path();
        load::<GraphsConfig>(&path, &[]).unwrap().value.validate().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let own = path.strip_prefix(root).unwrap().display().to_string();
        for label in ["# Description:", "# Reference:", "# Expected cost:"] {
            assert!(text.contains(label), "{own}: {label}");
        }
        assert!(text.contains(&format!("# Run as:        graphs train {own}")), "{own}");
        seen += 1;
    }
    assert!(seen > 0);
}
