//! Comparing distributions of pairs of angles, such as the phi and psi of a residue.
//!
//! Angles are radians in (-pi, pi] or any other turn: only their place on the circle counts.

use std::f64::consts::TAU;

use tch::Tensor;

use super::transport::{Geometry, wasserstein2};

/// A pair of angles.
pub type Angles = [f64; 2];

/// Relative frequencies of pairs of angles on a grid of `bins` x `bins` cells from -pi to pi.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bins: usize,
    joint: Vec<f64>,
}

impl Histogram {
    /// Counts pairs; those that are not finite are left out.
    ///
    /// `smoothing` is the weight of one further pair spread evenly over all cells: with 1, no cell of N pairs is
    /// rarer than 1 / ((N + 1) bins^2), which bounds divergences where samples are missing.
    pub fn of(pairs: &[Angles], bins: usize, smoothing: f64) -> Self {
        let cells = (bins * bins) as f64;
        let cell = |angle: f64| ((angle / TAU + 0.5).rem_euclid(1.0) * bins as f64) as usize % bins;
        let mut joint = vec![smoothing / cells; bins * bins];
        for [a, b] in pairs.iter().filter(|pair| pair.iter().all(|angle| angle.is_finite())) {
            joint[cell(*a) * bins + cell(*b)] += 1.0;
        }
        Self::from_weights(bins, joint)
    }

    /// Normalises weights of `bins` x `bins` cells; without any weight, all frequencies are NaN.
    pub fn from_weights(bins: usize, weights: Vec<f64>) -> Self {
        assert_eq!(weights.len(), bins * bins, "a weight for each cell");
        let total: f64 = weights.iter().sum();
        Self { bins, joint: weights.into_iter().map(|weight| weight / total).collect() }
    }

    pub fn bins(&self) -> usize {
        self.bins
    }

    /// First angle by second angle, row-major; adds up to 1.
    pub fn joint(&self) -> &[f64] {
        &self.joint
    }

    /// Frequencies of the first and of the second angle alone.
    pub fn marginals(&self) -> [Vec<f64>; 2] {
        let rows = self.joint.chunks(self.bins).map(|row| row.iter().sum()).collect();
        let columns = (0..self.bins).map(|j| self.joint.iter().skip(j).step_by(self.bins).sum()).collect();
        [rows, columns]
    }
}

/// Kullback-Leibler divergences KL(reference || model) in nats: how badly a model misses what the reference has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergences {
    pub joint: f64,
    /// Of the first and of the second angle alone.
    pub marginals: [f64; 2],
}

/// Compares two histograms on one grid. The model's should be smoothed: it is infinite where only the reference is.
pub fn divergences(reference: &Histogram, model: &Histogram) -> Divergences {
    assert_eq!(reference.bins, model.bins, "one grid for both");
    let ([a, b], [p, q]) = (reference.marginals(), model.marginals());
    let marginals = [kullback_leibler(&a, &p), kullback_leibler(&b, &q)];
    Divergences { joint: kullback_leibler(&reference.joint, &model.joint), marginals }
}

fn kullback_leibler(p: &[f64], q: &[f64]) -> f64 {
    let term = |(p, q): (&f64, &f64)| if *p == 0.0 { 0.0 } else { p * (p / q).ln() };
    p.iter().zip(q).map(term).sum()
}

/// The exact 2-Wasserstein distance on the torus, in radians, between the first `min(a, b, most)` pairs of each set:
/// the root of the least mean squared distance of any matching, distances being the shorter way around both circles.
///
/// NaN if a pair is not finite or a set is empty.
pub fn wasserstein(a: &[Angles], b: &[Angles], most: usize) -> f64 {
    let n = a.len().min(b.len()).min(most);
    let tensor = |pairs: &[Angles]| Tensor::from_slice(pairs[..n].as_flattened()).view([n as i64, 2]);
    wasserstein2(&tensor(a), &tensor(b), Geometry::Torus).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{LN_2, PI};

    fn shorter(angle: f64) -> f64 {
        angle - TAU * (angle / TAU).round()
    }

    #[test]
    fn distances_go_the_shorter_way_around() {
        let a = [[3.1, 0.0], [0.0, -3.0]];
        let b = [[0.0, 3.0], [-3.1, 0.0]];
        let expected = (((TAU - 6.2).powi(2) + (TAU - 6.0).powi(2)) / 2.0).sqrt();
        assert!((wasserstein(&a, &b, 10) - expected).abs() < 1e-12);
        assert_eq!(wasserstein(&a, &a, 10), 0.0);
        let turned = a.map(|[x, y]| [x + TAU, y - 2.0 * TAU]);
        assert!(wasserstein(&a, &turned, 10) < 1e-12);
    }

    #[test]
    fn a_common_shift_is_its_own_distance_and_surplus_is_left_out() {
        let a: Vec<Angles> = (0..40).map(|k| [(k as f64 * 0.7).sin(), (k as f64 * 1.3).cos()]).collect();
        let b: Vec<Angles> = a.iter().rev().map(|[x, y]| [x + 0.05, *y]).collect();
        assert!((wasserstein(&a, &b, 100) - 0.05).abs() < 1e-12);
        assert!((wasserstein(&a, &b[39..], 100) - shorter(a[0][0] - b[39][0]).abs()).abs() < 1e-12);
        assert!(wasserstein(&a, &[], 10).is_nan() && wasserstein(&[[f64::NAN, 0.0]], &a, 10).is_nan());
    }

    #[test]
    fn histograms_count_every_turn_alike() {
        let pairs = [[-PI, 0.1], [PI, 0.1], [3.0 * PI, 0.1], [0.1, -0.1], [f64::NAN, 0.0]];
        let found = Histogram::of(&pairs, 2, 0.0);
        assert_eq!(found.joint, [0.0, 0.75, 0.25, 0.0]);
        assert_eq!(found.marginals(), [[0.75, 0.25], [0.25, 0.75]]);
        // One pair more, a quarter of it in each cell.
        assert_eq!(Histogram::of(&pairs, 2, 1.0).joint, [0.05, 0.65, 0.25, 0.05]);
    }

    #[test]
    fn divergences_by_hand() {
        let even = Histogram::from_weights(2, vec![1.0; 4]);
        let left = Histogram::from_weights(2, vec![1.0, 1.0, 0.0, 0.0]);
        let found = divergences(&left, &even);
        assert!((found.joint - LN_2).abs() < 1e-15 && (found.marginals[0] - LN_2).abs() < 1e-15);
        assert!(found.marginals[1].abs() < 1e-15);
        assert_eq!(divergences(&even, &left).joint, f64::INFINITY);
        // No samples at all: the smoothing alone is the even distribution.
        assert_eq!(divergences(&left, &Histogram::of(&[], 2, 1.0)), found);
    }
}
