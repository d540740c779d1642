//! Graphs to train and to test on.

use anyhow::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::config::{Family, GraphsConfig};
use crate::config::check;
use crate::targets::lattice::graphs::random::{barabasi_albert, erdos_renyi, rb_model};
use crate::targets::lattice::graphs::{Graph, file};
use crate::torch::seed::{Stream, step_seed};

/// Where test graphs begin, whatever the number of those to train on.
const FIRST_TEST: i64 = 1 << 32;

/// Both sets; a seed gives the same graphs on every machine. Graphs from files are in both.
pub fn graphs(config: &GraphsConfig) -> Result<(Vec<Graph>, Vec<Graph>)> {
    if let Family::Gset { paths } = &config.graphs {
        check::not_empty("graphs.paths", paths)?;
        let all = paths.iter().map(|path| file::gset(path)).collect::<Result<Vec<_>>>()?;
        return Ok((all.clone(), all));
    }
    let draw =
        |first: i64, count: i64| (first..first + count).map(|k| random(&config.graphs, config.seed, k)).collect();
    Ok((draw(0, config.train_graphs), draw(FIRST_TEST, config.test_graphs)))
}

/// The k-th graph of a family; its size is drawn first.
fn random(family: &Family, seed: u64, k: i64) -> Graph {
    let seed = step_seed(seed, Stream::Data, k as u64);
    let size = |[least, most]: [i64; 2]| ChaCha8Rng::seed_from_u64(seed).random_range(least..=most) as usize;
    match family {
        Family::ErdosRenyi { nodes, probability } => erdos_renyi(size(*nodes), *probability, seed),
        Family::BarabasiAlbert { nodes, attachments } => barabasi_albert(size(*nodes), *attachments as usize, seed),
        Family::RbModel { nodes, clique_size, tightness } => {
            let cliques = (size(*nodes) / *clique_size as usize).max(2);
            rb_model(cliques, *clique_size as usize, *tightness, seed)
        }
        Family::Gset { .. } => unreachable!("read from files"),
    }
}
