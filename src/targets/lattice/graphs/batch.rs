//! Many graphs side by side: row b of a batch belongs to graph b.

use tch::{Device, Kind, Tensor};

use super::super::DiscreteTarget;
use super::distance::distances;
use super::{Graph, Problem};

/// Laws on {0, 1}^nodes, one a row, all with as many places as the largest graph has nodes. Places beyond a smaller
/// graph's nodes are free: they are 0 or 1 with equal probability, and change nothing.
///
/// Other than the rows of other targets, these are not exchangeable: a batch must have one row a graph, in order.
pub struct GraphBatch {
    /// `log_prob = x' J x / 2 + b' x`: `[B, N, N]` and `[B, N]` f64, beta included.
    couplings: Tensor,
    bias: Tensor,
}

/// Constants of all graphs that batches are made of.
pub struct GraphTable {
    /// `[G, N, N]` and `[G, N]` f64 at beta 1.
    couplings: Tensor,
    bias: Tensor,
    /// `[G, N, N]` i64, as [`Legf::forward_on`](crate::nets::legf::Legf::forward_on) reads them.
    distances: Tensor,
    pub nodes: Vec<usize>,
}

/// In the place of distances to and from places without a node.
const NOBODY: i64 = -2;

impl GraphTable {
    pub fn new(graphs: &[Graph], problem: Problem, device: Device) -> Self {
        let places = graphs.iter().map(|graph| graph.nodes).max().unwrap_or(0) as i64;
        let count = graphs.len() as i64;
        let couplings = Tensor::zeros([count, places, places], (Kind::Double, device));
        let bias = Tensor::zeros([count, places], (Kind::Double, device));
        let all = Tensor::full([count, places, places], NOBODY, (Kind::Int64, device));
        for (g, graph) in graphs.iter().enumerate() {
            let (g, n) = (g as i64, graph.nodes as i64);
            let (own, linear) = problem.quadratic(graph);
            couplings.get(g).narrow(0, 0, n).narrow(1, 0, n).copy_(&Tensor::from_slice(&own).view([n, n]));
            bias.get(g).narrow(0, 0, n).copy_(&Tensor::from_slice(&linear));
            all.get(g).narrow(0, 0, n).narrow(1, 0, n).copy_(&distances(graph));
        }
        Self { couplings, bias, distances: all, nodes: graphs.iter().map(|graph| graph.nodes).collect() }
    }

    /// The laws of these graphs (`[B]` i64) at an inverse temperature, and their distances `[B, N, N]`.
    pub fn batch(&self, graphs: &Tensor, beta: f64) -> (GraphBatch, Tensor) {
        let take = |table: &Tensor| table.index_select(0, graphs);
        let batch = GraphBatch { couplings: take(&self.couplings) * beta, bias: take(&self.bias) * beta };
        (batch, take(&self.distances))
    }
}

impl GraphBatch {
    /// What a place adds to `log_prob` by being 1: `[B, N]`.
    fn gain(&self, x: &Tensor) -> Tensor {
        self.couplings.bmm(&x.to_kind(Kind::Double).unsqueeze(2)).squeeze_dim(2) + &self.bias
    }
}

impl DiscreteTarget for GraphBatch {
    fn sites(&self) -> i64 {
        self.bias.size()[1]
    }

    fn num_states(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        // Every edge is seen from both ends.
        ((self.gain(x) + &self.bias) * x * 0.5).sum_dim_intlist(1, false, None::<Kind>)
    }

    fn log_ratios(&self, x: &Tensor) -> Tensor {
        let gain = self.gain(x); // [B, N]
        Tensor::stack(&[&gain * -x, &gain * (1 - x)], 2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::LatticeConfig;
    use super::super::GraphConfig;
    use super::*;
    use crate::targets::lattice::evaluate;
    use serde_json::json;

    #[test]
    fn every_row_is_the_law_of_its_graph() {
        let er = json!({"type": "erdos_renyi", "nodes": 7, "probability": 0.5, "seed": 1});
        let ba = json!({"type": "barabasi_albert", "nodes": 9, "attachments": 2, "seed": 2});
        for (name, problem) in
            [("independent_set", Problem::IndependentSet { penalty: 1.0001 }), ("max_cut", Problem::MaxCut {})]
        {
            let graphs: Vec<Graph> = [&er, &ba]
                .map(|graph| serde_json::from_value::<GraphConfig>(graph.clone()).unwrap().build().unwrap())
                .into();
            let table = GraphTable::new(&graphs, problem, Device::Cpu);
            let (batch, distances) = table.batch(&Tensor::from_slice(&[1i64, 0, 0]), 1.3);
            assert_eq!((batch.sites(), distances.size()), (9, vec![3, 9, 9]));
            let x = Tensor::randint(2, [3, 9], (Kind::Int64, Device::Cpu));
            let (log_prob, ratios) = (batch.log_prob(&x), batch.log_ratios(&x));
            for (row, graph) in [(0, &ba), (1, &er), (2, &er)] {
                let config = json!({"type": name, "graph": graph, "beta": 1.3});
                let single = serde_json::from_value::<LatticeConfig>(config)
                    .unwrap()
                    .build((Kind::Double, Device::Cpu))
                    .unwrap();
                let n = single.sites();
                let (expected, expected_ratios) = evaluate(&*single, &x.narrow(0, row, 1).narrow(1, 0, n), Device::Cpu);
                assert!((expected - log_prob.narrow(0, row, 1)).abs().max().double_value(&[]) < 1e-12);
                let own = ratios.narrow(0, row, 1);
                assert!((own.narrow(1, 0, n) - expected_ratios).abs().max().double_value(&[]) < 1e-12);
                assert!(n == 9 || own.narrow(1, n, 9 - n).abs().max().double_value(&[]) == 0.0);
                let nobody = distances.get(row).eq(NOBODY).sum(Kind::Int64).int64_value(&[]);
                assert_eq!(nobody, 81 - n * n);
            }
        }
    }
}
