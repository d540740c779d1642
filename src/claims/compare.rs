//! Cells: a metric, a setting and a baseline, with the paired differences that speak for the method where positive.

use std::collections::BTreeSet;

use super::claim::{Assertion, Claim, Metric, Of, Pairing, Setting};
use super::record::{Records, Summary};
use super::stats::paired::Paired;
use super::stats::{deviation, mean};
use super::values::{ByUnit, by_unit};

/// One cell of the grid that a claim is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub metric: String,
    /// With the sweep's value, where there is one.
    pub setting: String,
    pub baseline: String,
    /// `>` or `~`.
    pub relation: &'static str,
    pub paired: Paired,
    /// Differences by unit; empty where only a summary is known, or nothing pairs observations.
    pub differences: Vec<(String, f64)>,
    /// All values, oriented so that more is better.
    pub method_values: Vec<f64>,
    pub baseline_values: Vec<f64>,
    /// Units whose run failed, of the method and of the baseline.
    pub failed: [Vec<String>; 2],
    /// Units that the plan has and the records lack.
    pub missing: Vec<String>,
    /// Whether failures were given a value, so that they are among the differences.
    pub failures_count: bool,
}

impl Cell {
    /// `score | funnel | A > B`, or `A ~ B` for equivalence.
    pub fn name(&self, method: &str) -> String {
        format!("{} | {} | {method} {} {}", self.metric, self.setting, self.relation, self.baseline)
    }

    pub fn plain_differences(&self) -> Vec<f64> {
        self.differences.iter().map(|(_, d)| *d).collect()
    }
}

/// Every cell of the claim, in the order metric, setting, baseline.
pub fn cells(claim: &Claim, records: &Records) -> Vec<Cell> {
    let mut cells = Vec::new();
    for metric in &claim.metrics {
        for setting in &claim.settings {
            for x in sweep_values(claim, records, &setting.name) {
                for baseline in &claim.baselines {
                    cells.push(cell(claim, records, metric, setting, x, &baseline.name));
                }
            }
        }
    }
    cells
}

/// The sweep's values in a setting, planned ones and observed ones; one `None` without a sweep.
pub fn sweep_values(claim: &Claim, records: &Records, setting: &str) -> Vec<Option<f64>> {
    let planned = claim.sweep.iter().flat_map(|sweep| sweep.values.iter().copied());
    let observed = records.observations.iter().filter(|r| r.setting == setting).filter_map(|r| r.x);
    let mut values: Vec<f64> = planned.chain(observed).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
}

fn cell(claim: &Claim, records: &Records, metric: &Metric, setting: &Setting, x: Option<f64>, baseline: &str) -> Cell {
    let name = place(claim, &setting.name, x);
    let known = |s: &&Summary| {
        s.metric == metric.name && s.setting == setting.name && s.method == claim.method.name && s.baseline == baseline
    };
    if let Some(summary) = records.summaries.iter().find(known) {
        return from_summary(claim, metric, name, summary);
    }

    let values = |method: &str| by_unit(records, metric, method, &setting.name, x);
    let (method, other) = (values(&claim.method.name), values(baseline));
    let failed = [&method, &other].map(failures);
    let value =
        |units: &ByUnit, unit: &String| units.get(unit).copied().flatten().or_else(|| failure(units, unit, metric));
    let planned = planned_units(claim, setting, metric);
    let units: BTreeSet<&String> = method.keys().chain(other.keys()).chain(&planned).collect();
    let missing = |unit: &&String| !(method.contains_key(*unit) && other.contains_key(*unit));
    let mut lacking: Vec<String> = units.iter().copied().filter(missing).cloned().collect();
    lacking.extend(uncounted(claim, method.len().min(other.len())));

    let of = |units: &ByUnit| units.keys().filter_map(|unit| value(units, unit)).collect::<Vec<f64>>();
    let (method_values, baseline_values) = (of(&method), of(&other));
    let pairs = units.iter().filter_map(|unit| Some(((*unit).clone(), value(&method, unit)? - value(&other, unit)?)));
    let (differences, paired) = match claim.pairing {
        Pairing::Unit => {
            let differences: Vec<(String, f64)> = pairs.collect();
            let plain: Vec<f64> = differences.iter().map(|(_, d)| *d).collect();
            (differences, Paired::of(&plain))
        }
        Pairing::None => (Vec::new(), welch(&method_values, &baseline_values)),
    };
    Cell {
        metric: metric.name.clone(),
        setting: name,
        baseline: baseline.to_string(),
        relation: relation(claim),
        paired,
        differences,
        method_values,
        baseline_values,
        failed,
        missing: lacking,
        failures_count: metric.failed.is_some(),
    }
}

/// What stands between the names of method and baseline.
pub fn relation(claim: &Claim) -> &'static str {
    if matches!(claim.assertion, Assertion::Equivalence { .. }) { "~" } else { ">" }
}

/// A setting with the sweep's value.
pub fn place(claim: &Claim, setting: &str, x: Option<f64>) -> String {
    let key = claim.sweep.as_ref().map_or("x", |sweep| sweep.key.as_str());
    x.map_or(setting.to_string(), |x| format!("{setting}, {key} = {x}"))
}

fn from_summary(claim: &Claim, metric: &Metric, setting: String, summary: &Summary) -> Cell {
    let sign = metric.direction.sign();
    Cell {
        metric: metric.name.clone(),
        setting,
        baseline: summary.baseline.clone(),
        relation: relation(claim),
        paired: Paired::from_summary(summary.n, sign * summary.mean_difference, summary.deviation),
        differences: Vec::new(),
        method_values: Vec::new(),
        baseline_values: Vec::new(),
        failed: [Vec::new(), Vec::new()],
        missing: uncounted(claim, summary.n).into_iter().collect(),
        failures_count: true,
    }
}

/// Welch's comparison of two independent groups (Biometrika 34, 1947).
fn welch(x: &[f64], y: &[f64]) -> Paired {
    let squared = |v: &[f64]| deviation(v).powi(2) / v.len() as f64;
    let (a, b) = (squared(x), squared(y));
    let df = (a + b).powi(2) / (a.powi(2) / (x.len() as f64 - 1.0) + b.powi(2) / (y.len() as f64 - 1.0));
    let (n, error) = (x.len().min(y.len()), (a + b).sqrt());
    Paired { mean: mean(x) - mean(y), error, df, deviation: error * (n as f64).sqrt(), n }
}

fn failures(units: &ByUnit) -> Vec<String> {
    units.iter().filter(|(_, value)| value.is_none()).map(|(unit, _)| unit.clone()).collect()
}

/// The value that the claim gives to failed runs.
fn failure(units: &ByUnit, unit: &str, metric: &Metric) -> Option<f64> {
    let failed = units.get(unit).is_some_and(Option::is_none);
    metric.failed.filter(|_| failed).map(|value| metric.direction.sign() * value)
}

/// Units that the claim names.
fn planned_units(claim: &Claim, setting: &Setting, metric: &Metric) -> Vec<String> {
    let seeds = match metric.of {
        Of::Value => setting.seeds.as_ref().unwrap_or(&claim.evaluation_seeds),
        Of::TuningGap => &claim.tuning_seeds,
    };
    seeds.iter().map(u64::to_string).collect()
}

/// What is missing of a planned number of units without names.
fn uncounted(claim: &Claim, found: usize) -> Option<String> {
    let missing = claim.units?.checked_sub(found).filter(|n| *n > 0)?;
    Some(format!("{missing} of {} units", found + missing))
}

#[cfg(test)]
mod tests {
    use super::super::claim::tests::{SMALL, parse};
    use super::super::record::{Record, Split};
    use super::*;

    fn record(method: &str, unit: &str, config: &str, split: Split, value: Option<f64>) -> Record {
        Record {
            method: method.into(),
            setting: "one".into(),
            unit: unit.into(),
            config: config.into(),
            split,
            status: if value.is_some() { "done" } else { "failed" }.into(),
            metrics: value.map(|v| ("score".to_string(), v)).into_iter().collect(),
            ..Record::default()
        }
    }

    fn two_units() -> Records {
        let observations = vec![
            record("A", "100", "lr=1", Split::Tuning, Some(0.9)),
            record("A", "100", "lr=2", Split::Tuning, Some(0.1)),
            record("A", "0", "lr=1", Split::Evaluation, Some(3.0)),
            record("A", "0", "lr=2", Split::Evaluation, Some(100.0)),
            record("A", "1", "lr=1", Split::Evaluation, None),
            record("B", "0", "", Split::Evaluation, Some(1.0)),
            record("B", "1", "", Split::Evaluation, Some(1.0)),
        ];
        Records { observations, ..Records::default() }
    }

    #[test]
    fn the_config_chosen_on_tuning_seeds_is_what_is_compared() {
        let claim = parse(&SMALL.replace("[0, 1, 2, 3, 4, 5, 6, 7]", "[0, 1, 2]")).unwrap();
        let cells = cells(&claim, &two_units());
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0].differences, [("0".to_string(), 2.0)]);
        assert_eq!(cells[0].failed, [vec!["1".to_string()], vec![]]);
        assert_eq!(cells[0].missing, ["2"]);
        assert_eq!(cells[1].missing, ["0", "1", "2"]);
    }

    #[test]
    fn failures_take_the_value_that_the_claim_gives() {
        let yaml = SMALL.replace("[{name: score}]", "[{name: score, direction: lower, failed: 10}]");
        let cell = cells(&parse(&yaml).unwrap(), &two_units()).remove(0);
        // Less is better now: the second config is chosen, and a failure is 10 - 1 worse; that config's run is missing.
        assert_eq!(cell.differences, [("0".to_string(), -99.0)]);
        let mut records = two_units();
        records.observations[1].metrics.insert("score".into(), 2.0);
        let cell = cells(&parse(&yaml).unwrap(), &records).remove(0);
        assert_eq!(cell.differences, [("0".to_string(), -2.0), ("1".to_string(), -9.0)]);
    }

    #[test]
    fn the_gap_of_tuning_is_the_best_less_the_mean() {
        let claim = parse(&SMALL.replace("[{name: score}]", "[{name: score, of: tuning_gap}]")).unwrap();
        let gaps = by_unit(&two_units(), &claim.metrics[0], "A", "one", None);
        assert!((gaps["100"].unwrap() + 0.4).abs() < 1e-15);
    }

    #[test]
    fn independent_groups_are_compared_by_welch() {
        let claim = parse(&format!("pairing: none{SMALL}")).unwrap();
        let cell = cells(&claim, &two_units()).remove(0);
        assert!(cell.differences.is_empty() && cell.paired.mean == 2.0 && cell.paired.error.is_nan());
        let w = welch(&[1.0, 2.0, 3.0], &[0.0, 0.0, 3.0]);
        assert!((w.error - (1f64 / 3.0 + 1.0).sqrt()).abs() < 1e-14 && w.df > 2.0 && w.df < 4.0);
    }
}
