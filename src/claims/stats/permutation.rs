//! The test by flipped signs: under the null a difference is as likely as its opposite.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// All sign patterns are tried up to this many differences.
const EXACT: usize = 16;

/// One-sided p that the mean of `differences` exceeds `null` (Fisher, The Design of Experiments, 1935): exact for few
/// differences, by `draws` random patterns otherwise, the observed one counted among them.
pub fn sign_flips(differences: &[f64], null: f64, draws: usize, seed: u64) -> f64 {
    let shifted: Vec<f64> = differences.iter().map(|d| d - null).collect();
    let n = shifted.len();
    if n == 0 {
        return f64::NAN;
    }
    // Sums that differ by rounding alone are equal.
    let observed: f64 = shifted.iter().sum();
    let least = observed - 1e-12 * shifted.iter().map(|d| d.abs()).sum::<f64>();
    let reaches = |bits: &dyn Fn(usize) -> bool| {
        let sum: f64 = shifted.iter().enumerate().map(|(i, d)| if bits(i) { -d } else { *d }).sum();
        sum >= least
    };

    if n <= EXACT {
        let all = 1u64 << n;
        let count = (0..all).filter(|pattern| reaches(&|i| pattern >> i & 1 == 1)).count();
        return count as f64 / all as f64;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut words = vec![0u64; n.div_ceil(64)];
    let mut count = 1;
    for _ in 0..draws {
        words.iter_mut().for_each(|word| *word = rng.random());
        count += usize::from(reaches(&|i| words[i / 64] >> (i % 64) & 1 == 1));
    }
    count as f64 / (draws + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_differences_are_enumerated() {
        assert_eq!(sign_flips(&[1.0, 2.0, 3.0], 0.0, 0, 0), 1.0 / 8.0);
        assert_eq!(sign_flips(&[1.0, 2.0, -3.0], 0.0, 0, 0), 5.0 / 8.0);
        assert_eq!(sign_flips(&[2.0, 3.0], 1.0, 0, 0), 0.25);
    }

    #[test]
    fn many_differences_are_drawn_and_repeat() {
        let strong: Vec<f64> = (0..40).map(|i| 1.0 + f64::from(i % 3)).collect();
        assert_eq!(sign_flips(&strong, 0.0, 999, 1), 0.001);
        let balanced: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let p = sign_flips(&balanced, 0.0, 4000, 1);
        assert!((0.5..0.62).contains(&p) && p == sign_flips(&balanced, 0.0, 4000, 1));
    }
}
