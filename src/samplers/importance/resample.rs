//! From weighted particles to equally weighted ones.

use serde::{Deserialize, Serialize};

/// How indices are drawn in proportion to the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// One uniform number, equal distances: each particle appears `N w` times, rounded up or down.
    #[default]
    Systematic,
    /// Independent draws with replacement.
    Multinomial,
}

impl Resampling {
    /// Uniform numbers in `[0, 1)` that `count` draws need.
    pub fn uniforms(self, count: usize) -> usize {
        match self {
            Self::Systematic => 1,
            Self::Multinomial => count,
        }
    }

    /// `count` indices; `uniforms` as many as [`uniforms`](Self::uniforms) says. `None` where no weight is positive.
    pub fn draw(self, log_weights: &[f64], count: usize, uniforms: &[f64]) -> Option<Vec<i64>> {
        let cumulated = cumulated(log_weights)?;
        let index = |u: f64| find(&cumulated, u);
        Some(match self {
            Self::Systematic => (0..count).map(|i| index((uniforms[0] + i as f64) / count as f64)).collect(),
            Self::Multinomial => uniforms[..count].iter().map(|u| index(*u)).collect(),
        })
    }
}

/// Cumulated normalised weights.
fn cumulated(log_weights: &[f64]) -> Option<Vec<f64>> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return None;
    }
    let mut total = 0.0;
    let add = |l: &f64| {
        total += if l.is_nan() { 0.0 } else { (l - largest).exp() };
        total
    };
    let sums: Vec<f64> = log_weights.iter().map(add).collect();
    Some(sums.into_iter().map(|sum| sum / total).collect())
}

/// The first index whose cumulated weight reaches `u`, but never one of weight zero.
fn find(cumulated: &[f64], u: f64) -> i64 {
    // `u = 0` would find a first particle even if its weight were zero.
    let u = u.max(f64::MIN_POSITIVE);
    let last = cumulated.partition_point(|c| *c < 1.0).min(cumulated.len() - 1);
    cumulated.partition_point(|c| *c < u).min(last) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systematic_draws_are_as_even_as_can_be() {
        let log_weights = [1.0_f64, 2.0, 0.0, 5.0].map(f64::ln);
        for u in [0.001, 0.3, 0.999] {
            let drawn = Resampling::Systematic.draw(&log_weights, 16, &[u]).unwrap();
            let counts: Vec<usize> = (0..4).map(|i| drawn.iter().filter(|j| **j == i).count()).collect();
            assert_eq!((counts[0], counts[1], counts[2], counts[3]), (2, 4, 0, 10), "{u}");
        }
    }

    #[test]
    fn weights_of_zero_are_never_drawn() {
        let log_weights = [f64::NEG_INFINITY, f64::NAN, -4000.0, -4000.0, f64::NEG_INFINITY];
        let uniforms = [0.0, 0.25, 0.75, 1.0 - 1e-17];
        assert_eq!(Resampling::Multinomial.draw(&log_weights, 4, &uniforms).unwrap(), [2, 2, 3, 3]);
        assert_eq!(Resampling::Systematic.draw(&[f64::NEG_INFINITY; 3], 3, &[0.5]), None);
        assert_eq!((Resampling::Systematic.uniforms(9), Resampling::Multinomial.uniforms(9)), (1, 9));
    }
}
