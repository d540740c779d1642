//! Prices of columns: the scan that reads a row of costs against them, and the auction that finds good ones.

use super::cost::{CostMatrix, LANES};

/// Columns between two looks at where the least value lies.
const CHUNK: usize = 32 * LANES;

/// The least and the second least of `cost_j - v_j`, and where the least is.
pub(super) struct TwoLeast {
    pub at: usize,
    pub least: f64,
    pub second: f64,
}

/// Reads one padded row of costs; `v` has the padding too.
pub(super) fn two_least(costs: &[f32], v: &[f64]) -> TwoLeast {
    let (mut chunk, mut least, mut second) = (0, f64::INFINITY, f64::INFINITY);
    for (k, (costs, v)) in costs.chunks(CHUNK).zip(v.chunks(CHUNK)).enumerate() {
        let (first, next) = two_least_of_chunk(costs, v);
        if first < least {
            second = least.min(next);
            (chunk, least) = (k, first);
        } else {
            second = second.min(first);
        }
    }
    let from = chunk * CHUNK;
    let inside = costs[from..].iter().zip(&v[from..]).position(|(c, v)| f64::from(*c) - v == least);
    TwoLeast { at: from + inside.unwrap_or(0), least, second }
}

/// Lane by lane without branches, for the vector unit.
fn two_least_of_chunk(costs: &[f32], v: &[f64]) -> (f64, f64) {
    let (mut least, mut second) = ([f64::INFINITY; LANES], [f64::INFINITY; LANES]);
    for (costs, v) in costs.chunks_exact(LANES).zip(v.chunks_exact(LANES)) {
        for lane in 0..LANES {
            let value = f64::from(costs[lane]) - v[lane];
            let worse = if value > least[lane] { value } else { least[lane] };
            least[lane] = if value < least[lane] { value } else { least[lane] };
            second[lane] = if worse < second[lane] { worse } else { second[lane] };
        }
    }
    let (mut first, mut next) = (f64::INFINITY, f64::INFINITY);
    for value in least.into_iter().chain(second) {
        next = next.min(first.max(value));
        first = first.min(value);
    }
    (first, next)
}

/// The margins of the auction, the first and the last in units of the costs' scale, and by how much each is smaller
/// than the one before.
const START: f64 = 0.25;
const END: f64 = 1e-5;
const STEP: f64 = 5.0;
/// Bids a row, on average, before an auction is given up; a few to a few dozen are usual.
const PATIENCE: usize = 200;

/// A matching of rows and columns under prices `v`.
pub(super) struct Market {
    pub v: Vec<f64>,
    row_of_column: Vec<usize>,
}

const FREE: usize = usize::MAX;

impl Market {
    pub fn new(cost: &CostMatrix) -> Self {
        Self { v: vec![0.0; cost.stride()], row_of_column: vec![FREE; cost.columns] }
    }

    /// The row takes its best column at a price that leaves it `epsilon` worse off than its second best; returns the
    /// row that held the column before.
    fn bid(&mut self, cost: &CostMatrix, row: usize, epsilon: f64) -> usize {
        let found = two_least(cost.row(row), &self.v);
        let raise = if found.second.is_finite() { found.second - found.least + epsilon } else { 0.0 };
        self.v[found.at] -= raise;
        std::mem::replace(&mut self.row_of_column[found.at], row)
    }

    /// What a row can have at these prices: the least of `cost - v`.
    pub fn row_values(&self, cost: &CostMatrix) -> Vec<f64> {
        (0..cost.rows).map(|i| two_least(cost.row(i), &self.v).least).collect()
    }

    /// Prices that are within a small margin of the optimal ones: Bertsekas' auction with a margin that shrinks (Annals
    /// of Operations Research 14 (1988) 105), between as many rows as columns.
    ///
    /// Where prices creep (a few points far from all others) it gives up early.
    pub fn settle(&mut self, cost: &CostMatrix) {
        let Centred { scale, largest, of_column } = centred(cost);
        self.v[..cost.columns].copy_from_slice(&of_column);
        // The lower bound keeps a raise well above the rounding of prices.
        let end = (END * scale).max(1e-9 * largest);
        let mut epsilon = START * scale;
        while epsilon > end && self.auction(cost, epsilon) {
            epsilon /= STEP;
        }
    }

    /// Matches all rows within `epsilon` of their best column; false where that takes too many bids.
    fn auction(&mut self, cost: &CostMatrix, epsilon: f64) -> bool {
        self.row_of_column.fill(FREE);
        let mut waiting: Vec<usize> = (0..cost.rows).rev().collect();
        let mut bids = 0;
        while let Some(row) = waiting.pop() {
            bids += 1;
            if bids > PATIENCE * cost.rows {
                return false;
            }
            let displaced = self.bid(cost, row, epsilon);
            if displaced != FREE {
                waiting.push(displaced);
            }
        }
        true
    }
}

/// Costs without what a row costs on average, and a column.
struct Centred {
    /// By how much the choice of a partner matters: the median size of doubly centred costs, which neither a shift of
    /// one set nor a few far points change.
    scale: f64,
    largest: f64,
    /// Mean cost of each column.
    of_column: Vec<f64>,
}

fn centred(cost: &CostMatrix) -> Centred {
    let (n, m) = (cost.rows, cost.columns);
    let (mut of_row, mut of_column, mut largest) = (vec![0.0; n], vec![0.0; m], 0.0_f64);
    for (i, mean) in of_row.iter_mut().enumerate() {
        for (cost, column) in cost.row(i).iter().zip(&mut of_column) {
            let cost = f64::from(*cost);
            *mean += cost / m as f64;
            *column += cost / n as f64;
            largest = largest.max(cost);
        }
    }
    let mean = of_row.iter().sum::<f64>() / n as f64;
    let size = |i: usize| (f64::from(cost.row(i)[i]) - of_row[i] - of_column[i] + mean).abs();
    let mut sizes: Vec<f64> = (0..n.min(m)).map(size).collect();
    let middle = sizes.len() / 2;
    let scale = *sizes.select_nth_unstable_by(middle, f64::total_cmp).1;
    Centred { scale, largest, of_column }
}
