//! Numbers that are read off one state: energy, magnetisation, two-point function.

use super::PairModel;
use super::exact::order;

/// What to read off, and its names: `energy` (of the bonds), `log_prob`, `magnetisation` (two states),
/// `abs_magnetisation`, `magnetisation2`, and on a square lattice `two_point_1` .. `two_point_{L/2}`.
pub struct Figures<'a> {
    model: &'a PairModel,
    /// How many of the model's first sites count; the others are hidden units.
    sites: usize,
    side: Option<usize>,
}

impl<'a> Figures<'a> {
    /// `shape` is that of a lattice, of which only square ones have a two-point function.
    pub fn new(model: &'a PairModel, sites: i64, shape: Option<(i64, i64)>) -> Self {
        let side = shape.filter(|(rows, columns)| rows == columns).map(|(rows, _)| rows as usize);
        Self { model, sites: sites as usize, side }
    }

    pub fn names(&self) -> Vec<String> {
        let mut names = vec!["energy".to_string(), "log_prob".to_string()];
        names.extend((self.model.states == 2).then(|| "magnetisation".to_string()));
        names.extend(["abs_magnetisation", "magnetisation2"].map(String::from));
        names.extend((1..=self.side.unwrap_or(0) / 2).map(|r| format!("two_point_{r}")));
        names
    }

    /// One number for each name.
    pub fn read(&self, x: &[u8]) -> Vec<f64> {
        let energy = self.model.energy(x);
        let log_prob = self.model.offset + self.model.field(x) - self.model.beta * energy;
        let mut counts = vec![0u32; self.model.states];
        x[..self.sites].iter().for_each(|state| counts[*state as usize] += 1);
        let (abs, square) = order(&counts);

        let mut values = vec![energy, log_prob];
        if let [low, high] = counts[..] {
            values.push((f64::from(high) - f64::from(low)) / self.sites as f64);
        }
        values.extend([abs, square]);
        let side = self.side.unwrap_or(0);
        values.extend((1..=side / 2).map(|r| self.two_point(x, side, r)));
        values
    }

    /// `(q P(equal) - 1) / (q - 1)` over all sites and both axes.
    fn two_point(&self, x: &[u8], side: usize, r: usize) -> f64 {
        let mut equal = 0u32;
        for row in 0..side {
            let (here, below) = (&x[row * side..][..side], &x[(row + r) % side * side..][..side]);
            for column in 0..side {
                equal += u32::from(here[column] == below[column]);
                equal += u32::from(here[column] == here[(column + r) % side]);
            }
        }
        let q = self.model.states as f64;
        (q * f64::from(equal) / (2 * side * side) as f64 - 1.0) / (q - 1.0)
    }
}
