//! Many tests at once. A p that is NaN, of a test that could not be made, counts as 1 and stays in the family.

fn known(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p }
}

/// Indices by rising p.
fn rising(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|i, j| known(p[*i]).total_cmp(&known(p[*j])));
    order
}

/// Bonferroni: each p times their number.
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    p.iter().map(|p_i| (known(*p_i) * p.len() as f64).min(1.0)).collect()
}

/// Holm's step-down (Scandinavian J. Statistics 6, 1979): the chance of any false rejection stays at the level.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let (mut adjusted, mut largest) = (vec![0.0; p.len()], 0.0f64);
    for (k, i) in rising(p).into_iter().enumerate() {
        largest = largest.max(known(p[i]) * (p.len() - k) as f64).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}

/// Benjamini and Hochberg's step-up (J. Royal Statistical Society B 57, 1995): the share of false rejections stays at
/// the level.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let (mut adjusted, mut least) = (vec![0.0; p.len()], 1.0f64);
    for (k, i) in rising(p).into_iter().enumerate().rev() {
        least = least.min(known(p[i]) * p.len() as f64 / (k + 1) as f64);
        adjusted[i] = least;
    }
    adjusted
}

/// The intersection-union test of "every one holds": the largest p, without correction (Berger, Technometrics 24,
/// 1982). No tests show nothing.
pub fn intersection_union(p: &[f64]) -> f64 {
    p.iter().copied().map(known).fold(None, |most: Option<f64>, p| Some(most.map_or(p, |m| m.max(p)))).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_tests_by_hand() {
        let p = [0.04, 0.01, 0.03, 0.5];
        assert_eq!(bonferroni(&p), [0.16, 0.04, 0.12, 1.0]);
        assert_eq!(holm(&p), [0.09, 0.04, 0.09, 0.5]);
        let expected = [0.04 * 4.0 / 3.0, 0.04, 0.04 * 4.0 / 3.0, 0.5];
        assert!(benjamini_hochberg(&p).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15));
        assert_eq!(intersection_union(&p), 0.5);
    }

    #[test]
    fn a_test_that_failed_stays_in_the_family() {
        assert_eq!(holm(&[0.02, f64::NAN]), [0.04, 1.0]);
        assert_eq!(intersection_union(&[0.02, f64::NAN]), 1.0);
        assert_eq!((intersection_union(&[]), holm(&[]).len()), (1.0, 0));
    }
}
