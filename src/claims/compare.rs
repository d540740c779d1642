//! Cells: a metric, a setting and a baseline, with the paired differences that speak for the method where positive.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::{Claim, Metric, Of, Pairing, Setting};
use super::record::{Record, Records, Split, Summary};
use super::stats::paired::Paired;
use super::stats::{deviation, mean};

/// One cell of the grid that a claim is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub metric: String,
    /// With the sweep's value, where there is one.
    pub setting: String,
    pub baseline: String,
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
    /// `score | funnel | A > B`.
    pub fn name(&self, method: &str) -> String {
        format!("{} | {} | {method} > {}", self.metric, self.setting, self.baseline)
    }

    pub fn plain_differences(&self) -> Vec<f64> {
        self.differences.iter().map(|(_, d)| *d).collect()
    }
}

/// A value a unit; `None` for a run that failed.
pub type ByUnit = BTreeMap<String, Option<f64>>;

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
    let name = match x {
        Some(x) => format!("{}, x = {x}", setting.name),
        None => setting.name.clone(),
    };
    let known = |s: &&Summary| {
        s.metric == metric.name && s.setting == setting.name && s.method == claim.method.name && s.baseline == baseline
    };
    if let Some(summary) = records.summaries.iter().find(known) {
        return from_summary(claim, metric, name, summary);
    }

    let values = |method: &str| by_unit(claim, records, metric, method, &setting.name, x);
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
        paired,
        differences,
        method_values,
        baseline_values,
        failed,
        missing: lacking,
        failures_count: metric.failed.is_some(),
    }
}

fn from_summary(claim: &Claim, metric: &Metric, setting: String, summary: &Summary) -> Cell {
    let sign = metric.direction.sign();
    Cell {
        metric: metric.name.clone(),
        setting,
        baseline: summary.baseline.clone(),
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

/// Oriented values of a method in a setting, under its chosen config.
pub fn by_unit(
    claim: &Claim,
    records: &Records,
    metric: &Metric,
    method: &str,
    setting: &str,
    x: Option<f64>,
) -> ByUnit {
    let split = if metric.of == Of::Value { Split::Evaluation } else { Split::Tuning };
    let chosen = if metric.of == Of::Value { chosen_config(claim, records, metric, method, setting, x) } else { None };
    let mut grouped: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
    let of = records.of(method, setting, split).filter(|r| r.x == x);
    for record in of.filter(|r| chosen.as_ref().is_none_or(|config| r.config == *config)) {
        if let Some(value) = oriented(metric, record) {
            grouped.entry(record.unit.clone()).or_default().push(value);
        }
    }
    grouped.into_iter().map(|(unit, values)| (unit, over_configs(metric, values))).collect()
}

/// A record's value, `Some(None)` for a failed run; `None` for a good run that does not report the metric.
fn oriented(metric: &Metric, record: &Record) -> Option<Option<f64>> {
    let value = record.value(&metric.name).map(|value| metric.direction.sign() * value);
    let absent = record.done() && !record.metrics.contains_key(&metric.name);
    (!absent).then_some(value)
}

/// One value for all configs of a unit: their mean, the value of a config taken at random; for the gap, how far that
/// falls short of the best.
fn over_configs(metric: &Metric, values: Vec<Option<f64>>) -> Option<f64> {
    let given = |value: Option<f64>| value.or_else(|| metric.failed.map(|failed| metric.direction.sign() * failed));
    let values: Option<Vec<f64>> = values.into_iter().map(given).collect();
    let values = values?;
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(if metric.of == Of::TuningGap { mean(&values) - best } else { mean(&values) })
}

/// The config with the best mean over tuning seeds; `None` without a choice.
pub fn chosen_config(
    claim: &Claim,
    records: &Records,
    metric: &Metric,
    method: &str,
    setting: &str,
    x: Option<f64>,
) -> Option<String> {
    let scores = tuning_scores(claim, records, metric, method, setting, x);
    let best = scores.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    best.map(|(config, _)| config)
}

/// Mean tuning score of every config; a config with a failed run scores below all others unless failures have a value.
pub fn tuning_scores(
    _claim: &Claim,
    records: &Records,
    metric: &Metric,
    method: &str,
    setting: &str,
    x: Option<f64>,
) -> Vec<(String, f64)> {
    let mut grouped: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in records.of(method, setting, Split::Tuning).filter(|r| r.x == x) {
        let failed = metric.failed.map_or(f64::NEG_INFINITY, |value| metric.direction.sign() * value);
        let value = oriented(metric, record).map(|value| value.unwrap_or(failed));
        grouped.entry(record.config.clone()).or_default().extend(value);
    }
    grouped.into_iter().filter(|(_, scores)| !scores.is_empty()).map(|(config, s)| (config, mean(&s))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::claim::tests::{SMALL, parse};
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
        let gaps = by_unit(&claim, &two_units(), &claim.metrics[0], "A", "one", None);
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
