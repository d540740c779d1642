//! Random graphs. A seed gives the same graph on every machine.

use std::collections::HashSet;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::Graph;

fn graph(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
    let mut edges: Vec<_> = edges.into_iter().map(|(i, j)| (i.min(j) as u32, i.max(j) as u32, 1.0)).collect();
    edges.sort_by_key(|(i, j, _)| (*i, *j));
    Graph { nodes, edges }
}

/// Every pair with the given probability (Erdős and Rényi, 1959; Gilbert, 1959).
pub fn erdos_renyi(nodes: usize, probability: f64, seed: u64) -> Graph {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let pairs = (0..nodes).flat_map(|i| (i + 1..nodes).map(move |j| (i, j)));
    graph(nodes, pairs.filter(|_| random.random::<f64>() < probability))
}

/// From a star of `attachments + 1` nodes on, each new node binds to that many others, each drawn in proportion to its
/// degree (Barabási and Albert, Science 286, 1999).
pub fn barabasi_albert(nodes: usize, attachments: usize, seed: u64) -> Graph {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut edges: Vec<(usize, usize)> = (1..=attachments).map(|j| (0, j)).collect();
    // Every node as often as it has edges.
    let mut ends: Vec<usize> = edges.iter().flat_map(|(i, j)| [*i, *j]).collect();
    for new in attachments + 1..nodes {
        let mut chosen = Vec::with_capacity(attachments);
        while chosen.len() < attachments {
            let node = ends[random.random_range(0..ends.len())];
            if !chosen.contains(&node) {
                chosen.push(node);
            }
        }
        for node in chosen {
            edges.push((node, new));
            ends.extend([node, new]);
        }
    }
    graph(nodes, edges)
}

/// Model RB (Xu et al., "Random constraint satisfaction: easy generation of hard instances", 2007): `n` cliques of
/// `k = n^alpha` nodes, and `r n ln n - 1` times up to `p n^(2 alpha)` new edges between two of them, with
/// `r = -alpha / ln(1 - p)`. The largest independent set has at most `n` nodes.
pub fn rb_model(n: usize, k: usize, p: f64, seed: u64) -> Graph {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let inside = |c: usize| (0..k).flat_map(move |a| (a + 1..k).map(move |b| (c * k + a, c * k + b)));
    let mut edges: HashSet<(usize, usize)> = (0..n).flat_map(inside).collect();

    let alpha = (k as f64).ln() / (n as f64).ln();
    let rounds = (-alpha / (1.0 - p).ln() * n as f64 * (n as f64).ln() - 1.0) as usize;
    let most = (p * (n as f64).powf(2.0 * alpha)) as usize;
    for _ in 0..rounds {
        let first = random.random_range(0..n);
        let second = (first + random.random_range(1..n)) % n;
        let (first, second) = (first.min(second), first.max(second));
        let between = (0..k * k).map(|t| (first * k + t / k, second * k + t % k));
        let mut left: Vec<_> = between.filter(|pair| !edges.contains(pair)).collect();
        for _ in 0..most.min(left.len()) {
            edges.insert(left.swap_remove(random.random_range(0..left.len())));
        }
    }
    graph(n * k, edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simple(graph: &Graph) -> bool {
        let set: HashSet<_> = graph.edges.iter().map(|(i, j, _)| (*i, *j)).collect();
        set.len() == graph.edges.len() && set.iter().all(|(i, j)| i < j && (*j as usize) < graph.nodes)
    }

    #[test]
    fn random_graphs_have_the_edges_they_should() {
        let (n, p) = (200, 0.15);
        let er = erdos_renyi(n, p, 1);
        let (mean, deviation) = (p * 19_900.0, (p * (1.0 - p) * 19_900.0f64).sqrt());
        assert!(simple(&er) && (er.edges.len() as f64 - mean).abs() < 4.0 * deviation);
        assert!(er == erdos_renyi(n, p, 1) && er != erdos_renyi(n, p, 2));

        let ba = barabasi_albert(100, 4, 3);
        assert!(simple(&ba) && ba.edges.len() == 4 * (100 - 4));
        let mut degree = vec![0; 100];
        ba.edges.iter().for_each(|(i, j, _)| [i, j].map(|k| degree[*k as usize] += 1).into_iter().collect());
        assert!(degree.iter().max() > Some(&16), "no hub: {degree:?}");
    }

    #[test]
    fn cliques_bound_the_independent_set() {
        let rb = rb_model(8, 4, 0.3, 5);
        assert!(simple(&rb) && rb.nodes == 32);
        let inside = rb.edges.iter().filter(|(i, j, _)| i / 4 == j / 4).count();
        assert_eq!(inside, 8 * 6);
        // 30 rounds of up to 4 edges.
        assert!(rb.edges.len() > inside + 60 && rb.edges.len() <= inside + 4 * 31, "{}", rb.edges.len());
        assert_eq!(rb_model(8, 4, 1.0, 5).edges.len(), inside);
    }
}
