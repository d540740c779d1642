//! One row of a report: a test with everything that is said about it.

use serde::Serialize;

use super::claim::{Assertion, Claim, Quantifier, TestKind};
use super::compare::Cell;
use super::stats::bootstrap::{bootstrap, mean_of_means};
use super::stats::paired::Paired;
use super::stats::permutation::sign_flips;
use super::stats::power::{detectable, power};
use super::stats::ranks::{SignedRanks, mann_whitney, probability_of_improvement, share_of_wins, signed_ranks};

/// Patterns of signs that a permutation test draws.
const FLIPS: usize = 20_000;

/// A test that was run. Figures that do not apply are null.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Test {
    pub name: String,
    /// cell, average, pooled, intersection_union, equivalence, exact, rate or figure.
    pub kind: String,
    pub metric: String,
    pub setting: String,
    pub method: String,
    pub baseline: String,
    /// Which test `statistic` and `p` are of.
    pub test: String,
    pub n: usize,
    pub df: Option<f64>,
    pub statistic: Option<f64>,
    /// One-sided, for the claim.
    pub p: Option<f64>,
    /// Holm's over the tests of the same family; `p` itself where the family is judged by its largest.
    pub p_adjusted: Option<f64>,
    pub p_bonferroni: Option<f64>,
    pub p_benjamini_hochberg: Option<f64>,
    /// Mean difference, oriented so that positive speaks for the method; the slope of a rate; a figure's departure.
    pub effect: Option<f64>,
    /// Two-sided, at `ci_level`.
    pub ci_low: Option<f64>,
    pub ci_high: Option<f64>,
    pub ci_level: f64,
    /// Two-sided, at a level with which all cells' intervals hold together (Bonferroni).
    pub simultaneous_low: Option<f64>,
    pub simultaneous_high: Option<f64>,
    pub bootstrap_percentile: Option<(f64, f64)>,
    pub bootstrap_bca: Option<(f64, f64)>,
    pub deviation: Option<f64>,
    pub cohen_dz: Option<f64>,
    pub hedges_gz: Option<f64>,
    /// Share of pairs won, or Mann and Whitney's over all pairs where nothing is paired; ties count half.
    pub probability_of_improvement: Option<f64>,
    pub wilcoxon: Option<Wilcoxon>,
    pub p_permutation: Option<f64>,
    pub p_mann_whitney: Option<f64>,
    /// Chance that this design supports an effect of `power_effect`, with the deviation that was seen.
    pub power: Option<f64>,
    pub power_effect: Option<f64>,
    /// Least effect seen with the planned power.
    pub detectable: Option<f64>,
    /// Units whose run failed: of the method, of the baseline.
    pub failed: [Vec<String>; 2],
    pub missing: Vec<String>,
    /// What the test says in words.
    pub outcome: String,
    /// Of a rate: x and metric, every point of the fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<(Vec<f64>, Vec<f64>)>,
    /// Whether it decides: tests that are shown for comparison do not.
    pub decides: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wilcoxon {
    pub w: f64,
    pub p: f64,
    pub p_continuity: f64,
    pub n: usize,
}

impl From<SignedRanks> for Wilcoxon {
    fn from(s: SignedRanks) -> Self {
        Self { w: s.w, p: s.p, p_continuity: s.p_continuity, n: s.n }
    }
}

/// What a test means for the claim, before it is asked whether the experiment was fair.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Meaning {
    pub p: f64,
    pub supports: bool,
    /// The interval excludes what is claimed.
    pub refutes: bool,
    /// The same with simultaneous intervals.
    pub refutes_with_all: bool,
}

/// A number that is one.
pub fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The test of one cell and what it means; `cells` is the number of tests in its family.
pub fn of_cell(claim: &Claim, cell: &Cell, cells: usize) -> (Test, Meaning) {
    let differences = cell.plain_differences();
    let kind = test_kind(claim);
    let (mut test, meaning) = of_paired(claim, &cell.paired, kind, &differences, cells);
    test.name = cell.name(&claim.method.name);
    test.metric = cell.metric.clone();
    test.setting = cell.setting.clone();
    test.baseline = cell.baseline.clone();
    test.failed = cell.failed.clone();
    test.missing = cell.missing.clone();

    if !differences.is_empty() {
        test.probability_of_improvement = known(share_of_wins(&differences));
    } else if !cell.method_values.is_empty() && !cell.baseline_values.is_empty() {
        test.probability_of_improvement = known(probability_of_improvement(&cell.method_values, &cell.baseline_values));
        test.p_mann_whitney = known(mann_whitney(&cell.method_values, &cell.baseline_values));
    }
    (test, meaning)
}

/// Which test decides.
pub fn test_kind(claim: &Claim) -> TestKind {
    match &claim.assertion {
        Assertion::Superiority { test, .. } => *test,
        _ if claim.unit == "exact" => TestKind::Exact,
        _ => TestKind::PairedT,
    }
}

/// The difference that the claim is about, and whether it claims equivalence.
fn bounds(claim: &Claim) -> (f64, bool) {
    match claim.assertion {
        Assertion::Superiority { delta, .. } => (delta, false),
        Assertion::Equivalence { delta, .. } => (delta, true),
        _ => (0.0, false),
    }
}

/// A test of paired differences, known by their summary or one by one.
pub fn of_paired(claim: &Claim, paired: &Paired, kind: TestKind, differences: &[f64], cells: usize) -> (Test, Meaning) {
    let (delta, equivalence) = bounds(claim);
    let mut test = Test {
        kind: if equivalence { "equivalence" } else { "cell" }.into(),
        method: claim.method.name.clone(),
        n: paired.n,
        effect: known(paired.mean),
        ci_level: claim.level(),
        decides: true,
        ..Test::default()
    };
    if kind == TestKind::Exact {
        return exact(test, paired, delta, equivalence);
    }
    let ((low, high), (all_low, all_high)) =
        (paired.interval(claim.level()), paired.interval(1.0 - claim.alpha / cells as f64));
    test.df = known(paired.df);
    (test.ci_low, test.ci_high) = (known(low), known(high));
    (test.simultaneous_low, test.simultaneous_high) = (known(all_low), known(all_high));
    (test.deviation, test.cohen_dz, test.hedges_gz) =
        (known(paired.deviation), known(paired.cohen_dz()), known(paired.hedges_gz()));
    if differences.len() > 1 {
        resampled(claim, &mut test, &[differences.to_vec()]);
        test.wilcoxon = Some(signed_ranks(differences, delta).into());
        test.p_permutation = known(sign_flips(differences, delta, FLIPS, claim.bootstrap.seed));
    }
    plan(claim, &mut test, paired, cells);

    let p = if equivalence { paired.equivalence(delta).p } else { decide(&mut test, paired, kind, delta) };
    if equivalence {
        (test.test, test.statistic) =
            ("two one-sided t".into(), known(paired.t(delta).abs().min(paired.t(-delta).abs())));
    }
    test.p = known(p);
    let rejects = p < claim.alpha;
    let meaning = if equivalence {
        let outside = |low: f64, high: f64| low > delta || high < -delta;
        Meaning { p, supports: rejects, refutes: outside(low, high), refutes_with_all: outside(all_low, all_high) }
    } else {
        let supports = rejects && low > delta;
        Meaning { p, supports, refutes: high < delta, refutes_with_all: all_high < delta }
    };
    test.outcome = words(claim, &test, &meaning, delta, equivalence);
    (test, meaning)
}

/// The p that decides, its name and its statistic.
fn decide(test: &mut Test, paired: &Paired, kind: TestKind, delta: f64) -> f64 {
    match (kind, test.wilcoxon, test.p_permutation) {
        (TestKind::Wilcoxon, Some(ranks), _) => {
            (test.test, test.statistic) = ("Wilcoxon signed rank".into(), known(ranks.w));
            ranks.p_continuity
        }
        (TestKind::Permutation, _, Some(p)) => {
            (test.test, test.statistic) = ("sign flips".into(), known(paired.mean));
            p
        }
        _ => {
            (test.test, test.statistic) = ("paired t".into(), known(paired.t(delta)));
            paired.p_greater(delta)
        }
    }
}

/// Figures without noise: the difference is what it is.
fn exact(mut test: Test, paired: &Paired, delta: f64, equivalence: bool) -> (Test, Meaning) {
    let value = paired.mean;
    test.kind = "exact".into();
    test.test = "none: figures without noise".into();
    test.statistic = known(value);
    (test.ci_low, test.ci_high) = (known(value), known(value));
    (test.simultaneous_low, test.simultaneous_high) = (known(value), known(value));
    let holds = if equivalence { value.abs() < delta } else { value > delta };
    let refutes = value.is_finite() && !holds;
    test.outcome = if holds { "holds".into() } else { "does not hold".into() };
    let p = if holds { 0.0 } else { 1.0 };
    (test, Meaning { p, supports: holds, refutes, refutes_with_all: refutes })
}

/// Bootstrap intervals of the mean over strata.
pub fn resampled(claim: &Claim, test: &mut Test, strata: &[Vec<f64>]) {
    let (draws, seed) = (claim.bootstrap.draws, claim.bootstrap.seed);
    if draws > 0 && strata.iter().all(|values| values.len() > 1) {
        let found = bootstrap(strata, &mean_of_means, claim.level(), draws, seed);
        (test.bootstrap_percentile, test.bootstrap_bca) = (Some(found.percentile), Some(found.bca));
    }
}

/// What the design could have seen, given the deviation that was found.
fn plan(claim: &Claim, test: &mut Test, paired: &Paired, cells: usize) {
    let level = planned_level(claim, cells);
    test.detectable = known(detectable(paired.deviation, paired.n, level, claim.planning.power));
    let (delta, _) = bounds(claim);
    let effect = if claim.planning.effect > 0.0 { claim.planning.effect } else { delta };
    if effect > 0.0 {
        test.power_effect = Some(effect);
        test.power = known(power(beyond(effect, delta), paired.deviation, paired.n, level));
    }
}

/// What of an effect there is to see: its excess over what is claimed; all of it where only that is given.
pub fn beyond(effect: f64, delta: f64) -> f64 {
    if effect > delta { effect - delta } else { effect }
}

/// One-sided level at which a cell's interval excludes nothing: the first step of Holm's where one cell suffices.
pub fn planned_level(claim: &Claim, cells: usize) -> f64 {
    match claim.assertion {
        Assertion::Superiority { quantifier: Quantifier::Some, .. } => claim.alpha / (cells as f64).max(2.0),
        _ => claim.alpha / 2.0,
    }
}

fn words(claim: &Claim, test: &Test, meaning: &Meaning, delta: f64, equivalence: bool) -> String {
    let threshold = if delta == 0.0 { "0".to_string() } else { format!("{delta}") };
    let (Some(_), Some(_)) = (test.ci_low, test.p) else {
        return "too few observations for a test".into();
    };
    if meaning.supports {
        return if equivalence { format!("within ±{threshold}") } else { format!("above {threshold}") };
    }
    if meaning.refutes {
        return if equivalence { format!("outside ±{threshold}") } else { format!("below {threshold}") };
    }
    if meaning.p < claim.alpha {
        return format!("p below {}, but the two-sided interval holds {threshold}", claim.alpha);
    }
    format!("undecided at level {}", claim.alpha)
}
