//! Optimal transport between two weighted point sets, exactly: squared Euclidean distances or those of a torus.
//!
//! Shortest augmenting paths with dual variables, which prove the result, after an auction whose prices make almost
//! all paths short. Costs lie in memory in f32 (400 MB for 10,000 points in each set); the value is summed from
//! unrounded costs. Its relative error is below 1.2e-7 in the squared distance, the rounding of the costs.
//!
//! Equal sets of 10,000 points take about ten seconds on one core, in two dimensions as in fourteen, repeated points or
//! a shift of one set included; 4,000 take one. Sets of coprime sizes break masses into many pieces (1,000 to 899: one
//! second, 2,000 to 1,799: ten), and a few points thousands of times further out than the rest cost minutes at 10,000.

mod cost;
mod duals;
mod flow;

use anyhow::{Result, ensure};
use tch::Tensor;

pub use cost::{CostMatrix, Geometry};
use duals::Market;
use flow::Flow;

/// An optimal plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rows, columns and the mass moved between them, as shares of the whole.
    pub flows: Vec<(usize, usize, f64)>,
    /// Cost of the plan: the squared 2-Wasserstein distance.
    pub cost: f64,
    /// What the duals prove no plan can undercut, with rounded costs; equals `cost` to about 1e-7.
    pub bound: f64,
}

/// The 2-Wasserstein distance (rooted) between `x` `[N, D]` and `y` `[M, D]` with equal weights; NaN where a coordinate
/// is not finite.
pub fn wasserstein2(x: &Tensor, y: &Tensor, geometry: Geometry) -> Result<f64> {
    let cost = CostMatrix::new(x, y, geometry)?;
    if !cost.is_finite() {
        return Ok(f64::NAN);
    }
    Ok(uniform(&cost).cost.sqrt())
}

/// The optimal plan with equal weights in each set. Costs must be finite.
pub fn uniform(cost: &CostMatrix) -> Plan {
    let (n, m) = (cost.rows as u64, cost.columns as u64);
    let divisor = greatest_common_divisor(n, m);
    solve(cost, vec![m / divisor; cost.rows], vec![n / divisor; cost.columns])
}

/// The optimal plan between weights `a` `[N]` and `b` `[M]`, at least 0 with a positive sum; each set is normalised.
///
/// Weights are held to 2⁻⁴⁰ of the whole.
pub fn weighted(cost: &CostMatrix, a: &[f64], b: &[f64]) -> Result<Plan> {
    ensure!(a.len() == cost.rows && b.len() == cost.columns, "one weight a point");
    Ok(solve(cost, masses(a)?, masses(b)?))
}

/// Optimal prices first, then what they leave open.
fn solve(cost: &CostMatrix, supply: Vec<u64>, room: Vec<u64>) -> Plan {
    let total = supply.iter().sum::<u64>() as f64;
    let (supply_of, room_of) = (supply.clone(), room.clone());
    let v = prices(cost, &supply, &room);
    let mut flow = Flow::new(cost, supply, room, v);
    flow.finish();

    let moved = flow.carriers.iter().enumerate().flat_map(|(j, rows)| rows.iter().map(move |(i, mass)| (*i, j, *mass)));
    let flows: Vec<(usize, usize, f64)> = moved.map(|(i, j, mass)| (i, j, mass as f64 / total)).collect();
    let value = |duals: &[f64], masses: &[u64]| duals.iter().zip(masses).map(|(d, m)| d * *m as f64).sum::<f64>();
    Plan {
        cost: flows.iter().map(|(i, j, mass)| mass * cost.exact(*i, *j)).sum(),
        bound: (value(&flow.u, &supply_of) + value(&flow.v, &room_of)) / total,
        flows,
    }
}

/// Prices of the columns: from an auction between equally many points of each set, drawn in proportion to their masses.
///
/// Any prices lead to the optimum; good ones lead there soon.
fn prices(cost: &CostMatrix, supply: &[u64], room: &[u64]) -> Vec<f64> {
    let count = cost.rows.min(cost.columns);
    let (rows, columns) = (spread(supply, count), spread(room, count));
    if rows.len() == cost.rows && columns.len() == cost.columns && cost.rows == cost.columns {
        let mut market = Market::new(cost);
        market.settle(cost);
        return market.v;
    }
    let part = cost.select(&rows, &columns);
    let mut market = Market::new(&part);
    market.settle(&part);
    extend(cost, &rows, &market.row_values(&part))
}

/// The largest prices of all columns under which the chosen rows are worth `u`.
fn extend(cost: &CostMatrix, rows: &[usize], u: &[f64]) -> Vec<f64> {
    let mut v = vec![f64::INFINITY; cost.stride()];
    for (row, u) in rows.iter().zip(u) {
        v.iter_mut().zip(cost.row(*row)).for_each(|(v, c)| *v = v.min(f64::from(*c) - u));
    }
    v[cost.columns..].fill(0.0);
    v
}

/// `count` indices at equal distances along the cumulated masses.
fn spread(masses: &[u64], count: usize) -> Vec<usize> {
    let total = masses.iter().map(|m| u128::from(*m)).sum::<u128>();
    let (mut at, mut passed) = (0, u128::from(masses[0]));
    let index = |k: usize| {
        let wanted = total * (2 * k as u128 + 1) / (2 * count as u128);
        while passed <= wanted && at + 1 < masses.len() {
            at += 1;
            passed += u128::from(masses[at]);
        }
        at
    };
    (0..count).map(index).collect()
}

/// Weights as whole numbers that sum to 2⁴⁰ exactly: rounded down, and the largest takes what is left.
fn masses(weights: &[f64]) -> Result<Vec<u64>> {
    const WHOLE: u64 = 1 << 40;
    let total: f64 = weights.iter().sum();
    let valid = weights.iter().all(|w| *w >= 0.0) && total.is_finite() && total > 0.0;
    ensure!(valid, "transport needs weights of 0 or larger with a positive sum");
    let mut masses: Vec<u64> = weights.iter().map(|w| (w / total * WHOLE as f64) as u64).collect();
    let largest = (0..weights.len()).max_by(|i, j| weights[*i].total_cmp(&weights[*j])).unwrap_or(0);
    masses[largest] = 0;
    masses[largest] = WHOLE - masses.iter().sum::<u64>();
    Ok(masses)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{assignment, pairwise::squared_distances};
    use tch::{Device, Kind};

    fn cloud(n: i64, d: i64, phase: f64) -> Tensor {
        let index = Tensor::arange(n * d, (Kind::Double, Device::Cpu));
        ((index * 12.9898 + phase).sin() * 43758.5453).frac().view([n, d]) * 3.0
    }

    /// Masses leave and arrive as asked for, and the duals prove that nothing is cheaper.
    fn check(plan: &Plan, a: &[f64], b: &[f64]) {
        let (mut left, mut arrived) = (a.to_vec(), b.to_vec());
        for (i, j, mass) in &plan.flows {
            assert!(*mass > 0.0);
            left[*i] -= mass;
            arrived[*j] -= mass;
        }
        assert!(left.iter().chain(&arrived).all(|rest| rest.abs() < 1e-11), "{left:?} {arrived:?}");
        let gap = (plan.cost - plan.bound) / plan.cost;
        assert!(gap.abs() < 1.2e-7, "gap {gap:e}");
    }

    #[test]
    fn equals_the_assignment_of_equal_sets() {
        for (n, d) in [(1, 2), (2, 1), (7, 2), (130, 3), (300, 2)] {
            let (x, y) = (cloud(n, d, 0.0), cloud(n, d, 7.0) * 1.4 + 20.0);
            let cost = CostMatrix::new(&x, &y, Geometry::Flat).unwrap();
            let plan = uniform(&cost);
            let share = vec![1.0 / n as f64; n as usize];
            check(&plan, &share, &share);
            let distances: Vec<f64> = Vec::try_from(squared_distances(&x, &y).flatten(0, -1)).unwrap();
            let expected = assignment::solve(&distances, n as usize).mean_cost;
            assert!((plan.cost / expected - 1.0).abs() < 1e-7, "{n}: {} {expected}", plan.cost);
        }
    }

    /// A set of k-fold points is a set of points with k-fold weights.
    #[test]
    fn weights_count_as_repetitions() {
        let (a, b) = ([1, 3, 0, 2, 5, 1, 1, 2, 4, 1], [2, 2, 7, 1, 0, 3, 4, 1]);
        let (x, y) = (cloud(10, 2, 0.0), cloud(8, 2, 3.0));
        let repeated =
            |points: &Tensor, times: &[i64]| points.repeat_interleave_self_tensor(&Tensor::from_slice(times), 0, None);
        let many = CostMatrix::new(&repeated(&x, &a), &repeated(&y, &b), Geometry::Torus).unwrap();
        let few = CostMatrix::new(&x, &y, Geometry::Torus).unwrap();
        let share = |times: &[i64]| times.iter().map(|k| *k as f64 / 20.0).collect::<Vec<_>>();
        let (a, b) = (share(&a), share(&b));
        let plan = weighted(&few, &a, &b).unwrap();
        check(&plan, &a, &b);
        assert!((plan.cost - uniform(&many).cost).abs() < 1e-9, "{} {}", plan.cost, uniform(&many).cost);
        assert!(weighted(&few, &a, &[-1.0; 8]).is_err() && weighted(&few, &a[1..], &b).is_err());
        assert!(weighted(&few, &[0.0; 10], &b).is_err());
    }

    #[test]
    fn angles_go_the_short_way_round() {
        let (x, y) = (Tensor::from_slice(&[3.1, -3.0]).view([2, 1]), Tensor::from_slice(&[-3.1, 3.0]).view([2, 1]));
        let turn = std::f64::consts::TAU;
        let expected = (((turn - 6.2).powi(2) + (turn - 6.0).powi(2)) / 2.0_f64).min(0.1 * 0.1);
        assert!((wasserstein2(&x, &y, Geometry::Torus).unwrap() - expected.sqrt()).abs() < 1e-12);
        assert!((wasserstein2(&(&x + 5.0 * turn), &y, Geometry::Torus).unwrap() - expected.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn far_points_equal_sets_and_repeated_points_are_no_trouble() {
        let (x, y) = (cloud(120, 2, 0.0), cloud(120, 2, 7.0));
        assert_eq!(wasserstein2(&x, &x.flip([0]), Geometry::Flat).unwrap(), 0.0);
        let far = x.copy();
        let _ = far.narrow(0, 0, 2).fill_(1e6);
        let few = x.narrow(0, 0, 3).repeat([40, 1]);
        let share = [1.0 / 120.0; 120];
        for x in [far, few] {
            check(&uniform(&CostMatrix::new(&x, &y, Geometry::Flat).unwrap()), &share, &share);
        }
        let thrice = y.repeat([3, 1]).narrow(0, 0, 359);
        let cost = CostMatrix::new(&x, &thrice, Geometry::Flat).unwrap();
        check(&uniform(&cost), &share, &[1.0 / 359.0; 359]);
    }

    #[test]
    fn undefined_points_give_nan_and_impossible_shapes_an_error() {
        let x = cloud(5, 2, 0.0);
        let broken = x.copy();
        let _ = broken.get(3).fill_(f64::NAN);
        assert!(wasserstein2(&broken, &x, Geometry::Flat).unwrap().is_nan());
        assert!(wasserstein2(&(&x * 1e200), &x, Geometry::Flat).unwrap().is_nan());
        assert!(wasserstein2(&x, &cloud(5, 3, 0.0), Geometry::Flat).is_err());
        assert!(wasserstein2(&x, &x.narrow(0, 0, 0), Geometry::Flat).is_err());
    }
}
