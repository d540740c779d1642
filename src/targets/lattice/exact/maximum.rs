//! The most probable state of two-state laws by elimination of sites (Bertelè and Brioschi, "Nonserial dynamic
//! programming", 1972; Dechter, "Bucket elimination", 1999).
//!
//! A site's best state depends on its neighbours alone. Written down for each of their states it can be forgotten, and
//! the neighbours are joined instead. Time and memory are 2 to the power of the most neighbours that a site has when its
//! turn comes: few on sparse graphs and narrow lattices.

use super::super::PairModel;

/// Most neighbours of a site at its elimination: tables of 2^24 numbers.
const WIDEST: usize = 24;

/// A function of some sites: `values[k]` where bit j of k is the state of `sites[j]`.
struct Table {
    sites: Vec<usize>,
    values: Vec<f64>,
}

/// An eliminated site: for each state of `sites`, whether its own best state is 1.
struct Choice {
    site: usize,
    sites: Vec<usize>,
    one: Vec<bool>,
}

/// A state of highest `log_prob`; `None` for more than two states, or where sites have too many neighbours.
pub fn maximum(model: &PairModel) -> Option<Vec<u8>> {
    if model.states != 2 {
        return None;
    }
    let mut tables = tables(model);
    let mut left: Vec<usize> = (0..model.sites).collect();
    let mut choices = Vec::with_capacity(model.sites);
    while !left.is_empty() {
        let (at, width) = narrowest(&left, &tables);
        if width > WIDEST {
            return None;
        }
        let site = left.swap_remove(at);
        let (with, without) = tables.into_iter().partition(|table| table.sites.contains(&site));
        tables = without;
        let (choice, rest) = eliminate(site, with);
        choices.push(choice);
        tables.push(rest);
    }

    // Backwards, every site's neighbours are known when it is asked.
    let mut x = vec![0; model.sites];
    for Choice { site, sites, one } in choices.iter().rev() {
        x[*site] = u8::from(one[read(&x, sites)]);
    }
    Some(x)
}

fn tables(model: &PairModel) -> Vec<Table> {
    let of_site = |i: usize| Table { sites: vec![i], values: model.bias[2 * i..2 * i + 2].to_vec() };
    let of_bond = |(i, j, coupling): &(u32, u32, f64)| Table {
        sites: vec![*i as usize, *j as usize],
        values: (0..4).map(|k| model.beta * coupling * model.g(k & 1, k >> 1)).collect(),
    };
    (0..model.sites).map(of_site).chain(model.bonds.iter().map(of_bond)).collect()
}

/// Which of the sites left has the fewest neighbours, and how many.
fn narrowest(left: &[usize], tables: &[Table]) -> (usize, usize) {
    let width = |site: usize| neighbours(site, tables.iter().filter(|table| table.sites.contains(&site))).len();
    (0..left.len()).map(|at| (at, width(left[at]))).min_by_key(|(_, width)| *width).unwrap_or((0, 0))
}

/// Sites that share one of the tables with `site`, in order.
fn neighbours<'a>(site: usize, with: impl Iterator<Item = &'a Table>) -> Vec<usize> {
    let mut sites: Vec<usize> = with.flat_map(|table| table.sites.iter().copied()).filter(|i| *i != site).collect();
    sites.sort_unstable();
    sites.dedup();
    sites
}

fn eliminate(site: usize, with: Vec<Table>) -> (Choice, Table) {
    let sites = neighbours(site, with.iter());
    // Where each table's sites stand among the neighbours; the site itself comes last.
    let place = |i: &usize| sites.iter().position(|known| known == i).unwrap_or(sites.len());
    let places: Vec<Vec<usize>> = with.iter().map(|table| table.sites.iter().map(place).collect()).collect();
    let value = |k: usize| -> f64 {
        let entry = |places: &[usize]| places.iter().enumerate().map(|(j, place)| (k >> place & 1) << j).sum::<usize>();
        with.iter().zip(&places).map(|(table, places)| table.values[entry(places)]).sum()
    };
    let count = 1 << sites.len();
    let both = (0..count).map(|k| (value(k), value(k + count)));
    let (one, values) = both.map(|(zero, one)| (one > zero, zero.max(one))).unzip();
    (Choice { site, sites: sites.clone(), one }, Table { sites, values })
}

fn read(x: &[u8], sites: &[usize]) -> usize {
    sites.iter().enumerate().map(|(j, site)| usize::from(x[*site]) << j).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::lattice::LatticeConfig;
    use serde_json::json;
    use tch::{Device, Kind};

    /// Highest `log_prob` of all states.
    fn best(model: &PairModel) -> f64 {
        let x = |k: usize| (0..model.sites).map(|i| (k >> i & 1) as u8).collect::<Vec<_>>();
        (0..1usize << model.sites).map(|k| model.log_prob(&x(k))).fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn no_state_is_more_probable() {
        let er = json!({"type": "erdos_renyi", "nodes": 13, "probability": 0.4, "seed": 1});
        let ba = json!({"type": "barabasi_albert", "nodes": 13, "attachments": 3, "seed": 1});
        for config in [
            json!({"type": "ising", "size": 4, "beta": 0.7, "couplings": {"type": "gaussian", "seed": 3}}),
            json!({"type": "ising", "size": 2, "beta": -0.4, "field": 0.3}),
            json!({"type": "independent_set", "graph": er, "beta": 1.5}),
            json!({"type": "max_cut", "graph": ba, "beta": 0.4}),
        ] {
            let target = serde_json::from_value::<LatticeConfig>(config.clone()).unwrap();
            let target = target.build((Kind::Double, Device::Cpu)).unwrap();
            let model = target.pairs().unwrap();
            let found = model.log_prob(&maximum(model).unwrap());
            assert!((found - best(model)).abs() < 1e-10, "{config}: {found}");
        }
    }

    #[test]
    fn what_is_too_wide_is_left_alone() {
        let config = json!({"type": "ising", "size": 40, "beta": 1.0});
        let target = serde_json::from_value::<LatticeConfig>(config).unwrap();
        let target = target.build((Kind::Double, Device::Cpu)).unwrap();
        assert!(maximum(target.pairs().unwrap()).is_none());
    }
}
