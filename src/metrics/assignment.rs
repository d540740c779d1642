//! The optimal assignment between two point sets of one size: exact optimal transport with uniform weights.
//!
//! Shortest augmenting paths with dual variables (Jonker & Volgenant 1987), after a column and row reduction that
//! settles most rows. O(N³) at worst; about a second at N = 2000.

/// A perfect matching of least total cost.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The column each row is matched to.
    pub column_of_row: Vec<usize>,
    /// Optimal dual variables of the rows: `u_i <= c_ij - v_j` for some `v`, with equality on the matched pairs.
    pub row_dual: Vec<f64>,
    /// Mean cost over the matched pairs.
    pub mean_cost: f64,
}

const FREE: usize = usize::MAX;

/// Solves the assignment problem for a finite `n` x `n` cost matrix, row-major.
pub fn solve(cost: &[f64], n: usize) -> Assignment {
    assert_eq!(cost.len(), n * n, "the cost matrix must be square");
    let mut state = Duals::reduced(cost, n);
    for row in 0..n {
        if state.column_of_row[row] == FREE {
            state.augment(cost, row);
        }
    }
    let total: f64 = state.column_of_row.iter().enumerate().map(|(i, &j)| cost[i * n + j]).sum();
    Assignment { column_of_row: state.column_of_row, row_dual: state.u, mean_cost: total / n as f64 }
}

/// A partial matching with duals `u_i + v_j <= c_ij`, tight on the matched pairs.
struct Duals {
    n: usize,
    u: Vec<f64>,
    v: Vec<f64>,
    column_of_row: Vec<usize>,
    row_of_column: Vec<usize>,
}

impl Duals {
    /// Feasible duals from column minima, then row minima; a row takes its tightest column where that is still free.
    fn reduced(cost: &[f64], n: usize) -> Self {
        let mut v = vec![f64::INFINITY; n];
        for row in cost.chunks_exact(n) {
            v.iter_mut().zip(row).for_each(|(v, &c)| *v = v.min(c));
        }
        let mut state = Self { n, u: vec![0.0; n], v, column_of_row: vec![FREE; n], row_of_column: vec![FREE; n] };
        for (i, row) in cost.chunks_exact(n).enumerate() {
            let slack = row.iter().zip(&state.v).map(|(c, v)| c - v);
            let (j, least) = slack.enumerate().fold((0, f64::INFINITY), |m, s| if s.1 < m.1 { s } else { m });
            state.u[i] = least;
            if state.row_of_column[j] == FREE {
                state.row_of_column[j] = i;
                state.column_of_row[i] = j;
            }
        }
        state
    }

    /// Matches a free row along a shortest path of reduced costs to a free column, keeping the duals feasible.
    fn augment(&mut self, cost: &[f64], start: usize) {
        let n = self.n;
        let mut distance = vec![f64::INFINITY; n];
        let mut came_from = vec![start; n]; // the row before each column on its shortest path
        let mut open: Vec<usize> = (0..n).collect();
        let mut settled: Vec<usize> = Vec::new();

        // Dijkstra over columns; a settled column continues through the row matched to it.
        let (mut row, mut reached) = (start, 0.0);
        let last = loop {
            let costs = &cost[row * n..(row + 1) * n];
            let base = reached - self.u[row];
            let (mut best, mut at) = (f64::INFINITY, 0);
            for (k, &j) in open.iter().enumerate() {
                let through = base + costs[j] - self.v[j];
                if through < distance[j] {
                    distance[j] = through;
                    came_from[j] = row;
                }
                // Among equals a free column ends the search soonest.
                if distance[j] < best || (distance[j] == best && self.row_of_column[j] == FREE) {
                    (best, at) = (distance[j], k);
                }
            }
            reached = best;
            let column = open.swap_remove(at);
            if self.row_of_column[column] == FREE {
                break column;
            }
            settled.push(column);
            row = self.row_of_column[column];
        };

        // Duals move so that every edge on the path becomes tight.
        self.u[start] += reached;
        for &j in &settled {
            self.u[self.row_of_column[j]] += reached - distance[j];
            self.v[j] -= reached - distance[j];
        }
        self.flip(last, start, &came_from);
    }

    /// Reassigns the rows along the path that ends in the free column `last`.
    fn flip(&mut self, last: usize, start: usize, came_from: &[usize]) {
        let mut column = last;
        loop {
            let row = came_from[column];
            self.row_of_column[column] = row;
            std::mem::swap(&mut self.column_of_row[row], &mut column);
            if row == start {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least mean cost over all permutations.
    fn brute_force(cost: &[f64], n: usize) -> f64 {
        fn visit(cost: &[f64], n: usize, row: usize, used: &mut Vec<bool>, so_far: f64, best: &mut f64) {
            if row == n {
                *best = best.min(so_far);
                return;
            }
            for j in 0..n {
                if !used[j] {
                    used[j] = true;
                    visit(cost, n, row + 1, used, so_far + cost[row * n + j], best);
                    used[j] = false;
                }
            }
        }
        let mut best = f64::INFINITY;
        visit(cost, n, 0, &mut vec![false; n], 0.0, &mut best);
        best / n as f64
    }

    fn is_permutation(columns: &[usize]) -> bool {
        let mut seen = columns.to_vec();
        seen.sort_unstable();
        seen.iter().enumerate().all(|(i, j)| i == *j)
    }

    #[test]
    fn equals_brute_force_with_and_without_ties() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        for n in 1..=7 {
            for levels in [3.0, 1e9] {
                // Few levels make many ties, and costs of both signs.
                let cost: Vec<f64> = (0..n * n).map(|_| (random() * levels).floor() - 1.0).collect();
                let found = solve(&cost, n);
                assert!(is_permutation(&found.column_of_row));
                let expected = brute_force(&cost, n);
                assert!((found.mean_cost - expected).abs() <= 1e-9 * levels, "{n}: {} {expected}", found.mean_cost);
            }
        }
    }

    #[test]
    fn the_dual_proves_optimality() {
        let n = 60;
        let cost: Vec<f64> = (0..n * n).map(|k| ((k * k * 7919) % 1009) as f64).collect();
        let found = solve(&cost, n);
        assert!(is_permutation(&found.column_of_row));
        // v from the matched pairs is feasible, so Σu + Σv bounds every matching's cost from below.
        let mut v = vec![0.0; n];
        for (i, &j) in found.column_of_row.iter().enumerate() {
            v[j] = cost[i * n + j] - found.row_dual[i];
        }
        for i in 0..n {
            for j in 0..n {
                assert!(found.row_dual[i] + v[j] <= cost[i * n + j] + 1e-9);
            }
        }
    }
}
