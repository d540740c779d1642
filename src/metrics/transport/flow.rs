//! Shortest augmenting paths for transport between any masses.

use super::cost::{CostMatrix, LANES};
use super::duals::two_least;

const NONE: usize = usize::MAX;

/// Columns between two entries of the table of least distances.
const CHUNK: usize = 8 * LANES;

/// A partial transport with duals `u_i + v_j <= cost_ij`, tight wherever mass flows.
pub(super) struct Flow<'a> {
    cost: &'a CostMatrix,
    pub u: Vec<f64>,
    pub v: Vec<f64>,
    /// Mass that a row has yet to send, and that a column can yet take.
    supply: Vec<u64>,
    room: Vec<u64>,
    /// By column: rows and the mass they send there.
    pub carriers: Vec<Vec<(usize, u64)>>,
    search: Search,
}

/// What one search for a shortest path knows.
struct Search {
    /// By column: least distance so far; NaN where settled, which every comparison passes over.
    distance: Vec<f64>,
    /// By column: the row before it on its path.
    from: Vec<u32>,
    /// By row: the column through which it was entered.
    through: Vec<usize>,
    /// Settled columns with their distances, and the rows entered, in order.
    settled: Vec<(usize, f64)>,
    entered: Vec<(usize, f64)>,
    chunk_least: Vec<f64>,
}

impl<'a> Flow<'a> {
    /// Nothing flows yet; the rows' duals are the largest that the columns' `v` leave.
    pub fn new(cost: &'a CostMatrix, supply: Vec<u64>, room: Vec<u64>, v: Vec<f64>) -> Self {
        let stride = cost.stride();
        let u = (0..cost.rows).map(|i| two_least(cost.row(i), &v).least).collect();
        let search = Search {
            distance: vec![f64::INFINITY; stride],
            from: vec![0; stride],
            through: vec![NONE; cost.rows],
            settled: Vec::new(),
            entered: Vec::new(),
            chunk_least: vec![f64::INFINITY; stride.div_ceil(CHUNK)],
        };
        Self { cost, u, v, supply, room, carriers: vec![Vec::new(); cost.columns], search }
    }

    /// Sends everything that is left.
    pub fn finish(&mut self) {
        for row in 0..self.cost.rows {
            while self.supply[row] > 0 {
                let (last, reached) = self.find(row);
                self.update_duals(reached);
                self.augment(row, last);
            }
        }
    }

    /// Dijkstra's search over reduced costs from a row to the nearest column with room; a full column leads on to the
    /// rows that send mass to it.
    fn find(&mut self, start: usize) -> (usize, f64) {
        for (row, _) in self.search.entered.drain(..) {
            self.search.through[row] = NONE;
        }
        self.search.settled.clear();
        self.search.distance.fill(f64::INFINITY);
        self.enter(start, start, 0.0);
        loop {
            let reached = self.search.least();
            let nearest = self.search.columns_at(reached);
            if let Some(&free) = nearest.iter().find(|j| self.room[**j] > 0) {
                return (free, reached);
            }
            for column in nearest {
                self.search.distance[column] = f64::NAN;
                self.search.settled.push((column, reached));
                for k in 0..self.carriers[column].len() {
                    let row = self.carriers[column][k].0;
                    if row != start && self.search.through[row] == NONE {
                        self.enter(row, column, reached);
                    }
                }
            }
        }
    }

    /// Relaxes all columns from a row that lies at `reached`.
    fn enter(&mut self, row: usize, through: usize, reached: f64) {
        self.search.through[row] = through;
        self.search.entered.push((row, reached));
        let base = reached - self.u[row];
        let columns = self.cost.row(row).iter().zip(&self.v);
        let known = self.search.distance.iter_mut().zip(&mut self.search.from);
        for ((cost, v), (distance, from)) in columns.zip(known) {
            let candidate = base + (f64::from(*cost) - v);
            let nearer = candidate < *distance;
            *distance = if nearer { candidate } else { *distance };
            *from = if nearer { row as u32 } else { *from };
        }
    }

    /// Moves the duals so that every edge of the paths found becomes tight.
    fn update_duals(&mut self, reached: f64) {
        self.search.entered.iter().for_each(|(row, distance)| self.u[*row] += reached - distance);
        self.search.settled.iter().for_each(|(column, distance)| self.v[*column] -= reached - distance);
    }

    /// Sends as much along the path to `last` as it can take.
    fn augment(&mut self, start: usize, last: usize) {
        let path = self.path(start, last);
        let most = path.iter().filter(|edge| !edge.2).map(|&(row, column, _)| self.mass(row, column));
        let mass = most.fold(self.supply[start].min(self.room[last]), u64::min);
        for (row, column, forward) in path {
            self.shift(row, column, if forward { mass as i64 } else { -(mass as i64) });
        }
        self.supply[start] -= mass;
        self.room[last] -= mass;
    }

    /// The edges from the end to the start, and whether each is walked from row to column.
    fn path(&self, start: usize, last: usize) -> Vec<(usize, usize, bool)> {
        let (mut edges, mut column) = (Vec::new(), last);
        loop {
            let row = self.search.from[column] as usize;
            edges.push((row, column, true));
            if row == start {
                return edges;
            }
            column = self.search.through[row];
            edges.push((row, column, false));
        }
    }

    fn mass(&self, row: usize, column: usize) -> u64 {
        self.carriers[column].iter().find(|carrier| carrier.0 == row).map_or(0, |carrier| carrier.1)
    }

    /// Adds mass (of either sign) to a pair.
    fn shift(&mut self, row: usize, column: usize, mass: i64) {
        let carriers = &mut self.carriers[column];
        match carriers.iter().position(|carrier| carrier.0 == row) {
            None => carriers.push((row, mass as u64)),
            Some(k) => {
                carriers[k].1 = carriers[k].1.saturating_add_signed(mass);
                if carriers[k].1 == 0 {
                    carriers.swap_remove(k);
                }
            }
        }
    }
}

impl Search {
    /// The least distance of a column that is not settled; fills the table of chunks.
    fn least(&mut self) -> f64 {
        for (chunk, least) in self.distance.chunks(CHUNK).zip(&mut self.chunk_least) {
            let mut lanes = [f64::INFINITY; LANES];
            for distances in chunk.chunks_exact(LANES) {
                for (lane, distance) in lanes.iter_mut().zip(distances) {
                    *lane = if *distance < *lane { *distance } else { *lane };
                }
            }
            *least = lanes.into_iter().fold(f64::INFINITY, f64::min);
        }
        self.chunk_least.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// All columns at the least distance.
    fn columns_at(&self, least: f64) -> Vec<usize> {
        let chunks = self.chunk_least.iter().enumerate().filter(|(_, l)| **l == least);
        let columns = chunks.flat_map(|(k, _)| k * CHUNK..((k + 1) * CHUNK).min(self.distance.len()));
        columns.filter(|j| self.distance[*j] == least).collect()
    }
}
