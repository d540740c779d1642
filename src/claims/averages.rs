//! Tests over all settings of a metric and baseline: their mean, and all pairs thrown together.

use super::claim::{Assertion, Claim, Pairing, Quantifier, TestKind};
use super::compare::Cell;
use super::judge::adjust;
use super::stats::mean;
use super::stats::paired::Paired;
use super::test::{Meaning, Test, of_paired, resampled, test_kind};

/// One test a metric and baseline over the mean of all settings.
pub fn averages(claim: &Claim, cells: &[Cell]) -> Vec<(Test, Meaning)> {
    // Summaries do not tell how a unit's differences in several settings go together.
    let known = |group: &Vec<&Cell>| !claim.crossed || group.iter().all(|cell| !cell.differences.is_empty());
    let groups: Vec<Vec<&Cell>> = groups(claim, cells).into_iter().filter(known).collect();
    let (mut tests, meanings): (Vec<Test>, Vec<Meaning>) =
        groups.iter().map(|group| average(claim, group, groups.len())).unzip();
    adjust(&mut tests, &meanings);
    tests.into_iter().zip(meanings).collect()
}

/// Cells of one metric and baseline.
fn groups<'a>(claim: &Claim, cells: &'a [Cell]) -> Vec<Vec<&'a Cell>> {
    let least =
        if matches!(claim.assertion, Assertion::Superiority { quantifier: Quantifier::Average, .. }) { 1 } else { 2 };
    let pairs = claim.metrics.iter().flat_map(|m| claim.baselines.iter().map(move |b| (&m.name, &b.name)));
    let of = |(metric, baseline): (&String, &String)| {
        cells.iter().filter(|c| c.metric == *metric && c.baseline == *baseline).collect::<Vec<_>>()
    };
    pairs.map(of).filter(|group| group.len() >= least).collect()
}

/// Units that are the same in every setting are averaged first; others make strata of equal weight.
fn average(claim: &Claim, group: &[&Cell], tests: usize) -> (Test, Meaning) {
    let kind = test_kind(claim);
    let strata: Vec<Vec<f64>> = group.iter().map(|cell| cell.plain_differences()).collect();
    let crossed = claim.crossed && claim.pairing == Pairing::Unit && strata.iter().all(|s| !s.is_empty());
    let (mut test, meaning, how) = if crossed {
        let means = unit_means(group);
        let (test, meaning) = of_paired(claim, &Paired::of(&means), kind, &means, tests);
        (test, meaning, "paired t of each unit's mean over settings")
    } else {
        let paired = Paired::stratified(&group.iter().map(|cell| cell.paired).collect::<Vec<_>>());
        let (mut test, meaning) = of_paired(claim, &paired, kind, &[], tests);
        resampled(claim, &mut test, &strata);
        (test, meaning, "stratified paired t, each setting of equal weight")
    };
    test.name = named(claim, group, "mean over settings");
    test.kind = "average".into();
    test.test = how.into();
    test.metric = group[0].metric.clone();
    test.setting = "mean over settings".into();
    test.baseline = group[0].baseline.clone();
    (test, meaning)
}

/// The name of a test of a whole group.
fn named(claim: &Claim, group: &[&Cell], what: &str) -> String {
    Cell { setting: what.to_string(), ..group[0].clone() }.name(&claim.method.name)
}

/// Each unit's mean over the settings, of units that have all.
fn unit_means(group: &[&Cell]) -> Vec<f64> {
    let in_all = |unit: &String| {
        let values: Option<Vec<f64>> = group
            .iter()
            .map(|cell| cell.differences.iter().find(|(known, _)| known == unit).map(|(_, d)| *d))
            .collect();
        values.map(|values| mean(&values))
    };
    group[0].differences.iter().filter_map(|(unit, _)| in_all(unit)).collect()
}

/// All pairs of all settings thrown together, for comparison with papers that do so. It decides nothing: pairs of one
/// unit are not independent, and an average says nothing of every setting.
pub fn pooled(claim: &Claim, cells: &[Cell]) -> Vec<Test> {
    let groups = groups(claim, cells);
    let usable =
        |group: &&Vec<&Cell>| claim.unit != "exact" && group.iter().all(|cell| cell.paired.deviation.is_finite());
    let one = |group: &Vec<&Cell>| {
        let strata: Vec<Paired> = group.iter().map(|cell| cell.paired).collect();
        let kind = TestKind::PairedT;
        let (test, _) = of_paired(claim, &Paired::pooled(&strata), kind, &[], 1);
        Test {
            name: named(claim, group, "all pairs pooled"),
            kind: "pooled".into(),
            metric: group[0].metric.clone(),
            setting: "all pairs pooled".into(),
            baseline: group[0].baseline.clone(),
            decides: false,
            ..test
        }
    };
    groups.iter().filter(usable).map(one).collect()
}
