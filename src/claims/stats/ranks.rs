//! Tests on ranks: Wilcoxon's for pairs, Mann and Whitney's for two groups.

use super::distributions::normal_cdf;

/// Wilcoxon's signed-rank test against differences that are not positive, by its normal limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRanks {
    /// Sum of the ranks of positive differences.
    pub w: f64,
    /// One-sided, without and with a continuity correction of one half.
    pub p: f64,
    pub p_continuity: f64,
    /// Differences that are not 0; zeros are dropped (Wilcoxon, Biometrics Bulletin 1, 1945).
    pub n: usize,
}

/// Ranks of `values` from 1, tied ones sharing their mean, and the sum of `t³ - t` over groups of `t` ties.
fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let (mut ranks, mut ties, mut before) = (vec![0.0; values.len()], 0.0, 0);
    for group in order.chunk_by(|i, j| values[*i] == values[*j]) {
        let size = group.len() as f64;
        group.iter().for_each(|i| ranks[*i] = before as f64 + (size + 1.0) / 2.0);
        ties += size.powi(3) - size;
        before += group.len();
    }
    (ranks, ties)
}

/// Signed ranks of `differences` less `null`.
pub fn signed_ranks(differences: &[f64], null: f64) -> SignedRanks {
    let shifted: Vec<f64> = differences.iter().map(|d| d - null).filter(|d| *d != 0.0).collect();
    let sizes: Vec<f64> = shifted.iter().map(|d| d.abs()).collect();
    let (ranks, ties) = ranks(&sizes);
    let w: f64 = shifted.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| rank).sum();

    let n = shifted.len() as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    let p = |correction: f64| {
        if n == 0.0 { 1.0 } else { normal_cdf(-(w - n * (n + 1.0) / 4.0 - correction) / variance.sqrt()) }
    };
    SignedRanks { w, p: p(0.0), p_continuity: p(0.5), n: shifted.len() }
}

/// The chance that a value of `x` exceeds one of `y`, ties counting half: Mann and Whitney's U over all pairs.
pub fn probability_of_improvement(x: &[f64], y: &[f64]) -> f64 {
    let wins: f64 = x.iter().flat_map(|a| y.iter().map(move |b| win(a - b))).sum();
    wins / (x.len() * y.len()) as f64
}

/// The same for pairs: the share of positive differences, zeros counting half.
pub fn share_of_wins(differences: &[f64]) -> f64 {
    differences.iter().map(|d| win(*d)).sum::<f64>() / differences.len() as f64
}

fn win(difference: f64) -> f64 {
    if difference > 0.0 {
        1.0
    } else if difference == 0.0 {
        0.5
    } else {
        0.0
    }
}

/// Mann and Whitney's one-sided p that `x` tends to exceed `y`, by the normal limit with ties and continuity
/// (Annals of Mathematical Statistics 18, 1947).
pub fn mann_whitney(x: &[f64], y: &[f64]) -> f64 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let (_, ties) = ranks(&[x, y].concat());
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let u = probability_of_improvement(x, y) * n * m;
    if variance > 0.0 { normal_cdf(-(u - n * m / 2.0 - 0.5) / variance.sqrt()) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), (vec![3.5, 1.0, 3.5, 2.0], 6.0));
    }

    #[test]
    fn signed_ranks_by_hand() {
        // |d| = 1, 2, 2, 3 with ranks 1, 2.5, 2.5, 4; the zero is dropped. W = 2.5 + 4.
        let test = signed_ranks(&[-1.0, 2.0, -2.0, 3.0, 0.0], 0.0);
        assert_eq!((test.w, test.n), (6.5, 4));
        let z = (6.5 - 5.0) / (7.5f64 - 6.0 / 48.0).sqrt();
        assert!((test.p - normal_cdf(-z)).abs() < 1e-15 && test.p_continuity > test.p);
        assert_eq!(signed_ranks(&[0.0, 0.0], 0.0).p, 1.0);
    }

    #[test]
    fn wins_are_counted_over_all_pairs() {
        assert_eq!(probability_of_improvement(&[1.0, 2.0], &[1.0, 0.0, 3.0]), (1.5 + 2.0) / 6.0);
        assert_eq!(share_of_wins(&[1.0, 0.0, -1.0, 2.0]), 0.625);
        let (low, high) = (vec![0.0, 1.0, 2.0, 3.0], vec![10.0, 11.0, 12.0, 13.0]);
        assert!(mann_whitney(&high, &low) < 0.02 && mann_whitney(&low, &high) > 0.98);
        assert_eq!(mann_whitney(&[1.0; 3], &[1.0; 3]), 1.0);
    }
}
