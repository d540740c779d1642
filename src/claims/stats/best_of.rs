//! The best of N configs drawn without replacement, in closed form.
//!
//! Of K configs the one ranked i-th from below is the best of N with probability `C(i-1, N-1) / C(K, N)`. Methods are
//! to be compared at equal N, one by one: the best over N configs of *each* of several baselines has several times the
//! draws, and its advantage grows with their number ([`union`] shows by how much).

/// The probability that each of `scores` is the best of `n` drawn without replacement. Configs that tie share theirs,
/// and NaN, the score of a failed config, ranks below all numbers.
pub fn chances(scores: &[f64], n: usize) -> Vec<f64> {
    let k = scores.len();
    if n == 0 || n > k {
        return vec![f64::NAN; k];
    }
    let key = |i: usize| if scores[i].is_nan() { f64::NEG_INFINITY } else { scores[i] };
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|i, j| key(*i).total_cmp(&key(*j)));

    let below: Vec<f64> = (0..=k).map(|rank| at_most(rank, k, n)).collect();
    let (mut chances, mut rank) = (vec![0.0; k], 0);
    for group in order.chunk_by(|i, j| key(*i) == key(*j)) {
        let share = (below[rank + group.len()] - below[rank]) / group.len() as f64;
        group.iter().for_each(|i| chances[*i] = share);
        rank += group.len();
    }
    chances
}

/// `C(rank, n) / C(k, n)`: that all `n` are among the `rank` lowest of `k`.
fn at_most(rank: usize, k: usize, n: usize) -> f64 {
    if rank < n {
        return 0.0;
    }
    (0..n).map(|i| (rank - i) as f64 / (k - i) as f64).product()
}

/// Expected best of `n` of `scores`.
pub fn expected(scores: &[f64], n: usize) -> f64 {
    expected_of(scores, scores, n)
}

/// Expected `values` of the config that is the best of `n` by `scores`: select on one split, report on another.
pub fn expected_of(scores: &[f64], values: &[f64], n: usize) -> f64 {
    let terms = chances(scores, n).into_iter().zip(values);
    terms.map(|(chance, value)| if chance == 0.0 { 0.0 } else { chance * value }).sum()
}

/// Expected best over `n` configs of each of several methods: what a method must *not* be compared with.
pub fn union(methods: &[Vec<f64>], n: usize) -> f64 {
    let mut points: Vec<f64> = methods.iter().flatten().copied().collect();
    points.sort_by(f64::total_cmp);
    points.dedup();
    let below = |x: f64| -> f64 {
        let one =
            |scores: &Vec<f64>| at_most(scores.iter().filter(|v| **v <= x).count(), scores.len(), n.min(scores.len()));
        methods.iter().map(one).product()
    };
    let mut before = 0.0;
    let step = |x: f64| {
        let (now, last) = (below(x), before);
        before = now;
        x * (now - last)
    };
    points.into_iter().map(step).sum()
}

/// At most `most` values of N from 1 to `k`, evenly spaced in their logarithm.
pub fn sizes(k: usize, most: usize) -> Vec<usize> {
    if k <= most {
        return (1..=k).collect();
    }
    let at = |i: usize| (k as f64).powf(i as f64 / (most - 1) as f64).round() as usize;
    let mut sizes: Vec<usize> = (0..most).map(at).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_configs_by_hand() {
        let scores = [3.0, 1.0, 2.0];
        assert!((expected(&scores, 1) - 2.0).abs() < 1e-15);
        // Pairs: (3,1), (3,2), (1,2) with bests 3, 3, 2.
        assert!((expected(&scores, 2) - 8.0 / 3.0).abs() < 1e-15);
        assert_eq!(expected(&scores, 3), 3.0);
        assert!(expected(&scores, 4).is_nan());
    }

    #[test]
    fn ties_share_and_failures_rank_last() {
        assert_eq!(chances(&[1.0, 1.0, 0.0], 3), [0.5, 0.5, 0.0]);
        assert_eq!(expected_of(&[0.3, f64::NAN], &[7.0, f64::NAN], 2), 7.0);
        let total: f64 = chances(&[0.1, 0.5, 0.5, 0.9, 0.2], 3).iter().sum();
        assert!((total - 1.0).abs() < 1e-14);
    }

    #[test]
    fn selecting_on_the_same_split_overstates() {
        // Selection by noise: the reported value is an average one.
        let (tuning, evaluation) = ([0.9, 0.1, 0.5, 0.7], [0.5; 4]);
        assert!((expected_of(&tuning, &evaluation, 4) - 0.5).abs() < 1e-15);
        assert!(expected(&tuning, 4) > 0.8);
    }

    #[test]
    fn a_union_has_more_draws() {
        let same = vec![0.0, 1.0, 2.0, 3.0];
        assert!((union(std::slice::from_ref(&same), 2) - expected(&same, 2)).abs() < 1e-14);
        assert!(union(&[same.clone(), same.clone(), same.clone()], 1) > expected(&same, 1) + 0.5);
        assert_eq!(sizes(5, 10), [1, 2, 3, 4, 5]);
        assert!(sizes(186, 12).len() <= 12 && sizes(186, 12).last() == Some(&186));
    }
}
