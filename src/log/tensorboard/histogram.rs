//! Buckets for TensorBoard's histograms.

/// TensorBoard redraws every histogram with 30 buckets of equal width; the same number here loses nothing.
const NUM_BUCKETS: usize = 30;

/// Counts in buckets of equal width between the least and the largest finite value.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    pub min: f64,
    pub max: f64,
    pub num: f64,
    pub sum: f64,
    pub sum_squares: f64,
    /// Upper edge of each bucket; the last is `max`.
    pub limits: Vec<f64>,
    pub counts: Vec<f64>,
}

impl Buckets {
    /// Buckets of the finite values; `None` if there are none. Equal values share one bucket of no width.
    pub fn of(values: &[f64]) -> Option<Self> {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let min = finite().reduce(f64::min)?;
        let max = finite().reduce(f64::max)?;
        let num = finite().count() as f64;
        let (sum, sum_squares) = (finite().sum(), finite().map(|v| v * v).sum());

        // Dividing before subtracting keeps the width finite for the widest data there can be.
        let width = max / NUM_BUCKETS as f64 - min / NUM_BUCKETS as f64;
        if min + width <= min || max - width >= max {
            return Some(Self { min, max, num, sum, sum_squares, limits: vec![max], counts: vec![num] });
        }

        // `min + width * i`, halved on the way for the same reason.
        let limit = |i: usize| 2.0 * (min / 2.0 + width / 2.0 * i as f64);
        let mut limits: Vec<f64> = (1..=NUM_BUCKETS).map(limit).collect();
        limits[NUM_BUCKETS - 1] = max;
        let mut counts = vec![0.0; NUM_BUCKETS];
        for v in finite() {
            let bucket = (v / width - min / width) as usize;
            counts[bucket.min(NUM_BUCKETS - 1)] += 1.0;
        }
        Some(Self { min, max, num, sum, sum_squares, limits, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_finite_value_once() {
        let values: Vec<f64> =
            (0..1000).map(|i| (i as f64 * 0.37).sin() * 3.0).chain([f64::NAN, f64::INFINITY]).collect();
        let b = Buckets::of(&values).unwrap();
        assert_eq!(b.num, 1000.0);
        assert_eq!(b.counts.iter().sum::<f64>(), 1000.0);
        assert!(b.limits.windows(2).all(|w| w[0] < w[1]));

        // Each bucket holds what lies between its edges, up to the rounding of an edge.
        let mut low = b.min;
        for (high, count) in b.limits.iter().zip(&b.counts) {
            let inside =
                values.iter().filter(|v| **v >= low && (**v < *high || (*high == b.max && **v == b.max))).count();
            assert!((inside as f64 - count).abs() <= 1.0, "{inside} against {count} in [{low}, {high})");
            low = *high;
        }
    }

    #[test]
    fn constant_empty_and_extreme_data() {
        let b = Buckets::of(&[2.5; 7]).unwrap();
        assert_eq!((b.min, b.max, b.counts.as_slice()), (2.5, 2.5, [7.0].as_slice()));
        assert!(Buckets::of(&[]).is_none());
        assert!(Buckets::of(&[f64::NAN, f64::NEG_INFINITY]).is_none());

        let b = Buckets::of(&[f64::MIN, 0.0, f64::MAX]).unwrap();
        assert_eq!(b.counts.iter().sum::<f64>(), 3.0);
        assert_eq!((b.counts[0], b.counts[NUM_BUCKETS - 1]), (1.0, 1.0));
        assert!(b.limits.iter().all(|l| l.is_finite()));

        // Neighbouring doubles: no room for 30 edges.
        assert_eq!(Buckets::of(&[1.0, 1.0 + f64::EPSILON]).unwrap().counts, [2.0]);
    }
}
