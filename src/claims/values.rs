//! The values that are compared: of one method in one setting, a number a unit.

use std::collections::BTreeMap;

use super::claim::{Metric, Of};
use super::record::{Record, Records, Split};
use super::stats::mean;

/// A value a unit; `None` for a run that failed.
pub type ByUnit = BTreeMap<String, Option<f64>>;

/// Oriented values of a method in a setting, under its chosen config.
pub fn by_unit(records: &Records, metric: &Metric, method: &str, setting: &str, x: Option<f64>) -> ByUnit {
    let split = if metric.of == Of::Value { Split::Evaluation } else { Split::Tuning };
    let chosen = if metric.of == Of::Value { chosen_config(records, metric, method, setting, x) } else { None };
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
    records: &Records,
    metric: &Metric,
    method: &str,
    setting: &str,
    x: Option<f64>,
) -> Option<String> {
    let scores = tuning_scores(records, metric, method, setting, x);
    let best = scores.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    best.map(|(config, _)| config)
}

/// Mean tuning score of every config; a config with a failed run scores below all others unless failures have a value.
pub fn tuning_scores(
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
