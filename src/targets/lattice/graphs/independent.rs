//! Largest independent sets by branch and bound, for graphs of up to 128 nodes.

use super::Graph;

/// Nodes as bits.
type Set = u128;

/// A largest independent set; `None` for more than 128 nodes. Seconds at most for random graphs of 100 nodes with a
/// tenth of all edges, less for denser ones.
///
/// Branches on a node of most neighbours: either it is in the set and they are not, or it is not. A node with one
/// neighbour or none may always join, and what is left once nobody has more than two are paths and rings.
pub fn largest_independent_set(graph: &Graph) -> Option<Vec<u8>> {
    if graph.nodes > Set::BITS as usize {
        return None;
    }
    let mut near = vec![0; graph.nodes];
    for (i, j, _) in &graph.edges {
        near[*i as usize] |= 1 << j;
        near[*j as usize] |= 1 << i;
    }
    let everyone = if graph.nodes == 0 { 0 } else { Set::MAX >> (Set::BITS as usize - graph.nodes) };
    let mut best = 0;
    search(&near, everyone, 0, &mut best);
    Some((0..graph.nodes).map(|i| (best >> i & 1) as u8).collect())
}

/// Extends `chosen` by nodes of `open`, none of which is next to a chosen one.
fn search(near: &[Set], mut open: Set, mut chosen: Set, best: &mut Set) {
    loop {
        if bound(near, open) + chosen.count_ones() <= best.count_ones() {
            return;
        }
        let degree = |i: usize| (near[i] & open).count_ones();
        let Some(least) = nodes(open).min_by_key(|i| degree(*i)) else {
            *best = chosen;
            return;
        };
        if degree(least) <= 1 {
            chosen |= 1 << least;
            open &= !(1 << least | near[least]);
            continue;
        }
        let Some(most) = nodes(open).max_by_key(|i| degree(*i)) else { return };
        search(near, open & !(1 << most | near[most]), chosen | 1 << most, best);
        open &= !(1 << most);
    }
}

/// So many cliques, found greedily, cover all nodes; a set takes at most one of each.
fn bound(near: &[Set], mut open: Set) -> u32 {
    let mut cliques = 0;
    while open != 0 {
        let first = open.trailing_zeros() as usize;
        let (mut clique, mut candidates): (Set, Set) = (1 << first, open & near[first]);
        while candidates != 0 {
            let next = candidates.trailing_zeros() as usize;
            clique |= 1 << next;
            candidates &= near[next];
        }
        open &= !clique;
        cliques += 1;
    }
    cliques
}

fn nodes(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        next
    })
}

#[cfg(test)]
mod tests {
    use super::super::random::{erdos_renyi, rb_model};
    use super::*;

    fn independent(graph: &Graph, x: &[u8]) -> bool {
        graph.edges.iter().all(|(i, j, _)| x[*i as usize] + x[*j as usize] < 2)
    }

    fn size(x: &[u8]) -> u32 {
        x.iter().map(|v| u32::from(*v)).sum()
    }

    #[test]
    fn no_set_is_larger() {
        for (nodes, probability, seed) in [(1, 0.5, 0), (12, 0.0, 0), (14, 0.2, 1), (15, 0.5, 2), (16, 1.0, 3)] {
            let graph = erdos_renyi(nodes, probability, seed);
            let found = largest_independent_set(&graph).unwrap();
            let all = (0..1u32 << nodes).map(|k| (0..nodes).map(|i| (k >> i & 1) as u8).collect::<Vec<_>>());
            let expected = all.filter(|x| independent(&graph, x)).map(|x| size(&x)).max().unwrap();
            assert!(independent(&graph, &found) && size(&found) == expected, "{nodes} {probability}");
        }
    }

    #[test]
    fn cliques_that_exclude_each_other_leave_one_node_each() {
        let graph = rb_model(9, 4, 1.0, 5);
        assert_eq!(size(&largest_independent_set(&graph).unwrap()), 9);
        assert!(largest_independent_set(&erdos_renyi(129, 0.5, 1)).is_none());
        // All 128 bits.
        assert_eq!(size(&largest_independent_set(&erdos_renyi(128, 0.0, 1)).unwrap()), 128);
    }
}
