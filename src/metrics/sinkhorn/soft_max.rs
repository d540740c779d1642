//! Half-steps of Sinkhorn's algorithm for small ε: exact soft maxima from short lists of candidates.
//!
//! For every row i a half-step needs `ε log Σ_j exp((g_j - c_ij) / ε)`. When ε is small against the costs, only a
//! handful of columns lie within 40 ε of the row's maximum and the rest vanish in double precision. Each row therefore
//! keeps the columns within some margin of its maximum, together with a bound that proves, while the potential moves,
//! that no other column matters; a row whose bound fails is searched again in full. Results equal the dense sum's to
//! rounding. The truncation follows Schmitzer (2019), "Stabilized sparse scaling algorithms for entropy regularized
//! transport problems", section 3.3; the drifting bound replaces its fixed threshold.

use tch::Tensor;

use super::iterate::HalfSteps;

/// Terms below exp(-40) of the largest are lost in double precision, ten thousand of them together too.
const NEGLIGIBLE: f64 = 40.0;

/// One side of a problem: a row-major cost matrix and a list of candidates per row.
pub(super) struct SoftMax {
    cost: Vec<f64>,
    columns: usize,
    lists: Vec<Candidates>,
    previous: Vec<f64>,
    /// Sum over calls of the largest rise of any coordinate of the potential.
    drift: f64,
    calls: u64,
}

/// The columns of one row that may matter.
#[derive(Clone)]
struct Candidates {
    entries: Vec<(u32, f64)>,
    /// Every other column has `g_j - c_ij` below this plus the drift.
    ceiling: f64,
    margin: f64,
    built_at: u64,
}

impl SoftMax {
    pub fn new(cost: Vec<f64>, columns: usize) -> Self {
        let unbuilt = Candidates { entries: Vec::new(), ceiling: f64::INFINITY, margin: 0.0, built_at: 0 };
        let lists = vec![unbuilt; cost.len() / columns];
        Self { cost, columns, lists, previous: vec![0.0; columns], drift: 0.0, calls: 0 }
    }

    /// `ε log Σ_j exp((g_j - c_ij) / ε)` for every row i.
    pub fn apply(&mut self, g: &[f64], epsilon: f64) -> Vec<f64> {
        self.calls += 1;
        self.drift += g.iter().zip(&self.previous).fold(0.0, |m: f64, (new, old)| m.max(new - old));
        self.previous.copy_from_slice(g);

        let rows = self.lists.iter_mut().zip(self.cost.chunks_exact(self.columns));
        rows.map(|(list, row)| list.soft_max(row, g, epsilon, self.drift, self.calls)).collect()
    }
}

impl Candidates {
    fn soft_max(&mut self, row: &[f64], g: &[f64], epsilon: f64, drift: f64, calls: u64) -> f64 {
        let window = NEGLIGIBLE * epsilon;
        let mut max = self.max(g);
        if self.entries.is_empty() || max - (self.ceiling + drift) < window {
            self.rebuild(row, g, window, drift, calls);
            max = self.max(g);
        }
        let mut sum = 0.0;
        for &(j, cost) in &self.entries {
            let gap = g[j as usize] - cost - max;
            if gap > -window {
                sum += (gap / epsilon).exp();
            }
        }
        max + epsilon * sum.ln()
    }

    fn max(&self, g: &[f64]) -> f64 {
        self.entries.iter().fold(f64::NEG_INFINITY, |max, &(j, cost)| max.max(g[j as usize] - cost))
    }

    /// Searches the whole row. The margin widens where a list did not last and narrows where it lasted long.
    fn rebuild(&mut self, row: &[f64], g: &[f64], window: f64, drift: f64, calls: u64) {
        let factor = match calls - self.built_at {
            _ if self.built_at == 0 => 1.0,
            0..16 => 2.0,
            16..64 => 1.0,
            _ => 0.7,
        };
        self.margin = (self.margin * factor).max(1.5 * window);
        self.built_at = calls;

        let max = row.iter().zip(g).fold(f64::NEG_INFINITY, |max: f64, (cost, g)| max.max(g - cost));
        let floor = max - self.margin;
        self.entries.clear();
        for (j, (cost, g)) in row.iter().zip(g).enumerate() {
            if g - cost >= floor {
                self.entries.push((j as u32, *cost));
            }
        }
        self.ceiling = if self.entries.len() == row.len() { f64::NEG_INFINITY } else { floor - drift };
    }
}

/// Both sides of one transport problem; the second is made when first asked for.
pub(super) struct Lists {
    by_row: SoftMax,
    by_column: Option<SoftMax>,
}

impl Lists {
    /// `cost` is `[N, M]`, f64, finite, on the CPU.
    pub fn new(cost: &Tensor) -> anyhow::Result<Self> {
        let columns = cost.size()[1] as usize;
        Ok(Self { by_row: SoftMax::new(Vec::try_from(cost.flatten(0, -1))?, columns), by_column: None })
    }
}

impl HalfSteps for Lists {
    fn rows(&mut self, g: &[f64], epsilon: f64) -> Vec<f64> {
        potential(self.by_row.apply(g, epsilon), epsilon)
    }

    fn columns(&mut self, f: &[f64], epsilon: f64) -> Vec<f64> {
        let side = self.by_column.get_or_insert_with(|| {
            let (cost, columns) = (&self.by_row.cost, self.by_row.columns);
            let transposed = (0..columns).flat_map(|j| cost[j..].iter().step_by(columns).copied());
            SoftMax::new(transposed.collect(), f.len())
        });
        potential(side.apply(f, epsilon), epsilon)
    }

    fn transport_cost(&self, f: &[f64], g: &[f64], epsilon: f64) -> f64 {
        let rows = self.by_row.cost.chunks_exact(self.by_row.columns);
        let mut total = 0.0;
        for (row, f) in rows.zip(f) {
            for (cost, g) in row.iter().zip(g) {
                let exponent = (f + g - cost) / epsilon;
                if exponent > -NEGLIGIBLE - 20.0 {
                    total += exponent.exp() * cost;
                }
            }
        }
        total
    }
}

/// `ε log(1/N)` minus the soft maxima: the potential that gives every row mass 1/N.
fn potential(mut soft_max: Vec<f64>, epsilon: f64) -> Vec<f64> {
    let log_weight = -(soft_max.len() as f64).ln();
    soft_max.iter_mut().for_each(|s| *s = epsilon * log_weight - *s);
    soft_max
}
