//! Paired differences: Student's test, its interval, effect sizes, equivalence.

use super::distributions::{t_quantile, t_upper};
use super::{deviation, mean};

/// Paired differences by their sufficient statistics. Positive differences speak for the method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    pub mean: f64,
    /// Standard error of `mean`.
    pub error: f64,
    /// Degrees of freedom of `error`.
    pub df: f64,
    /// Standard deviation of a difference; NaN where strata differ in theirs.
    pub deviation: f64,
    /// Number of differences.
    pub n: usize,
}

/// Two one-sided tests (Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equivalence {
    /// Against a difference of `-margin` or less, and of `margin` or more.
    pub p_low: f64,
    pub p_high: f64,
    /// The larger: equivalence is shown where it is small.
    pub p: f64,
}

impl Paired {
    /// From the differences themselves.
    pub fn of(differences: &[f64]) -> Self {
        Self::from_summary(differences.len(), mean(differences), deviation(differences))
    }

    /// From their number, mean and standard deviation (n - 1 in the denominator).
    pub fn from_summary(n: usize, mean: f64, deviation: f64) -> Self {
        Self { mean, error: deviation / (n as f64).sqrt(), df: n as f64 - 1.0, deviation, n }
    }

    /// The mean over strata of equal weight, with Welch's and Satterthwaite's degrees of freedom
    /// (Welch, Biometrika 34, 1947).
    pub fn stratified(strata: &[Paired]) -> Self {
        let k = strata.len() as f64;
        let squares = |power: i32| strata.iter().map(move |s| (s.error / k).powi(power));
        let variance: f64 = squares(2).sum();
        let spread: f64 = squares(4).zip(strata).map(|(fourth, s)| fourth / s.df).sum();
        let mean = strata.iter().map(|s| s.mean).sum::<f64>() / k;
        let df = if spread > 0.0 { variance.powi(2) / spread } else { strata.iter().map(|s| s.df).sum() };
        Self { mean, error: variance.sqrt(), df, deviation: f64::NAN, n: strata.iter().map(|s| s.n).sum() }
    }

    /// All pairs of all strata as one sample, which forgets which stratum a pair is from.
    pub fn pooled(strata: &[Paired]) -> Self {
        let n: usize = strata.iter().map(|s| s.n).sum();
        let mean = strata.iter().map(|s| s.n as f64 * s.mean).sum::<f64>() / n as f64;
        let within: f64 = strata.iter().map(|s| (s.n as f64 - 1.0) * s.deviation.powi(2)).sum();
        let between: f64 = strata.iter().map(|s| s.n as f64 * (s.mean - mean).powi(2)).sum();
        Self::from_summary(n, mean, ((within + between) / (n as f64 - 1.0)).sqrt())
    }

    /// Student's statistic against a mean of `null`. Without spread it is infinite, or 0 at the null itself.
    pub fn t(&self, null: f64) -> f64 {
        let shift = self.mean - null;
        if self.error == 0.0 && shift == 0.0 { 0.0 } else { shift / self.error }
    }

    /// One-sided: how likely differences so large are if their mean is `null`.
    pub fn p_greater(&self, null: f64) -> f64 {
        t_upper(self.t(null), self.df)
    }

    /// Two-sided.
    pub fn p_two_sided(&self, null: f64) -> f64 {
        2.0 * t_upper(self.t(null).abs(), self.df)
    }

    /// The two-sided interval of the mean at `level`, such as 0.95.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = t_quantile(0.5 + level / 2.0, self.df) * self.error;
        (self.mean - half, self.mean + half)
    }

    /// The one-sided lower bound of the mean at `level`.
    pub fn lower_bound(&self, level: f64) -> f64 {
        self.mean - t_quantile(level, self.df) * self.error
    }

    /// Cohen's d of the differences: mean over deviation.
    pub fn cohen_dz(&self) -> f64 {
        self.mean / self.deviation
    }

    /// Hedges' g: [`cohen_dz`](Self::cohen_dz) times `1 - 3 / (4 df - 1)`, nearly without bias (J. Educational
    /// Statistics 6, 1981).
    pub fn hedges_gz(&self) -> f64 {
        self.cohen_dz() * (1.0 - 3.0 / (4.0 * self.df - 1.0))
    }

    /// Whether the mean lies within `margin` of 0.
    pub fn equivalence(&self, margin: f64) -> Equivalence {
        let (p_low, p_high) = (self.p_greater(-margin), 1.0 - self.p_greater(margin));
        Equivalence { p_low, p_high, p: p_low.max(p_high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_pairs_by_hand() {
        // Mean 2, deviation 1, error 1/√3: t = 2√3; with two degrees of freedom P(T > t) = (1 - t/√(2 + t²))/2.
        let paired = Paired::of(&[1.0, 2.0, 3.0]);
        let t = 12f64.sqrt();
        assert!((paired.t(0.0) - t).abs() < 1e-14);
        assert!((paired.p_greater(0.0) - (1.0 - t / 14f64.sqrt()) / 2.0).abs() < 1e-13);
        assert!((paired.hedges_gz() - 2.0 * (1.0 - 3.0 / 7.0)).abs() < 1e-14);
        let (low, high) = paired.interval(0.9);
        assert!((Paired { mean: paired.mean - low, ..paired }.p_greater(0.0) - 0.05).abs() < 1e-12);
        assert!((low + high - 4.0).abs() < 1e-12 && (low - paired.lower_bound(0.95)).abs() < 1e-12);
    }

    #[test]
    fn pooling_equals_the_concatenation_and_equal_strata_add_up() {
        let (a, b) = ([1.0, 4.0, 2.0, 7.0], [0.0, 0.5, -1.0]);
        let pooled = Paired::pooled(&[Paired::of(&a), Paired::of(&b)]);
        let all = Paired::of(&[a.as_slice(), b.as_slice()].concat());
        assert!((pooled.mean - all.mean).abs() < 1e-14 && (pooled.deviation - all.deviation).abs() < 1e-14);
        let twice = Paired::stratified(&[Paired::of(&a), Paired::of(&a)]);
        assert!((twice.df - 6.0).abs() < 1e-12 && (twice.error - Paired::of(&a).error / 2f64.sqrt()).abs() < 1e-14);
    }

    #[test]
    fn equivalence_needs_both_sides() {
        let near = Paired::from_summary(20, 0.0, 0.1);
        assert!(near.equivalence(0.1).p < 0.001 && near.equivalence(0.01).p > 0.3);
        let off = Paired::from_summary(20, 0.5, 0.1).equivalence(0.1);
        assert!(off.p > 0.999 && off.p_low < 1e-6 && off.p == off.p_high);
    }

    #[test]
    fn no_spread_is_certain_and_one_pair_knows_nothing() {
        let certain = Paired::of(&[0.5, 0.5, 0.5]);
        assert_eq!((certain.p_greater(0.0), certain.p_greater(1.0), certain.p_greater(0.5)), (0.0, 1.0, 0.5));
        assert!(Paired::of(&[0.5]).p_greater(0.0).is_nan() && Paired::of(&[]).mean.is_nan());
    }
}
