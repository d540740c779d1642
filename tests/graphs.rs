//! Problems on graphs: exact answers against brute force, and what training and sampling on random graphs leave behind.

use std::path::Path;

use sampler::targets::lattice::graphs::random::{barabasi_albert, erdos_renyi, rb_model};
use sampler::targets::lattice::graphs::{Graph, Problem};
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
