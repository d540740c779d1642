//! Shortest paths.

use std::collections::VecDeque;

use tch::Tensor;

use super::Graph;

/// Between vertices that no path joins.
pub const NOT_JOINED: i64 = -1;

/// Edges on the shortest path between any two vertices: `[nodes, nodes]` i64, [`NOT_JOINED`] where there is none.
pub fn distances(graph: &Graph) -> Tensor {
    let n = graph.nodes;
    let mut near = vec![Vec::new(); n];
    for (i, j, _) in &graph.edges {
        near[*i as usize].push(*j as usize);
        near[*j as usize].push(*i as usize);
    }
    let mut found = vec![NOT_JOINED; n * n];
    for (start, row) in found.chunks_mut(n.max(1)).enumerate() {
        row[start] = 0;
        let mut queue = VecDeque::from([start]);
        while let Some(i) = queue.pop_front() {
            for j in &near[i] {
                if row[*j] == NOT_JOINED {
                    row[*j] = row[i] + 1;
                    queue.push_back(*j);
                }
            }
        }
    }
    Tensor::from_slice(&found).view([n as i64, n as i64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_and_a_lone_vertex() {
        let ring: Vec<_> = (0..5u32).map(|i| (i, (i + 1) % 5, 1.0)).collect();
        let found = distances(&Graph { nodes: 6, edges: ring });
        let row = |i: i64| Vec::<i64>::try_from(found.get(i)).unwrap();
        assert_eq!(row(0), [0, 1, 2, 2, 1, -1]);
        assert_eq!(row(3), [2, 2, 1, 0, 1, -1]);
        assert_eq!(row(5), [-1, -1, -1, -1, -1, 0]);
    }
}
