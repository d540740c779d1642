//! Figures over all settings: interquartile means, gaps to the best, performance profiles.

use std::collections::BTreeMap;

use serde::Serialize;

use super::claim::{Claim, Metric};
use super::compare::sweep_values;
use super::record::Records;
use super::stats::aggregate::{
    interquartile_mean, mean_probability_of_improvement, median_of_means, optimality_gap, profile,
};
use super::stats::bootstrap::bootstrap;
use super::stats::mean;
use super::values::by_unit;

/// Thresholds of a profile.
const THRESHOLDS: usize = 61;

/// One method in one metric. Scores are oriented so that more is better, and scaled to [0, 1] where the metric has a
/// range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    pub metric: String,
    pub method: String,
    pub scaled: bool,
    pub runs: usize,
    pub mean: f64,
    pub median_of_settings: f64,
    pub interquartile_mean: f64,
    /// Bootstrap within settings.
    pub interquartile_interval: Option<(f64, f64)>,
    /// Mean shortfall from the top of the range.
    pub optimality_gap: Option<f64>,
    /// Mean over settings of the chance that a run exceeds one of another method.
    pub probability_over: BTreeMap<String, f64>,
    /// Thresholds and the share of runs above each.
    pub profile: (Vec<f64>, Vec<f64>),
}

/// Every metric and method with scores. Without a range, means over several settings mix their scales.
pub fn overall(claim: &Claim, records: &Records) -> Vec<Overall> {
    let mut rows = Vec::new();
    for metric in &claim.metrics {
        let all: Vec<(String, Vec<Vec<f64>>)> =
            claim.methods().map(|m| (m.name.clone(), scores(claim, records, metric, &m.name))).collect();
        let values = all.iter().flat_map(|(_, tasks)| tasks.iter().flatten().copied());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if metric.range.is_some() { (0.0, 1.0) } else { (low, high) };
        let at = |i: usize| low + (high - low) * i as f64 / (THRESHOLDS - 1) as f64;
        let thresholds: Vec<f64> = (0..THRESHOLDS).map(at).collect();
        for (method, tasks) in all.iter().filter(|(_, tasks)| !tasks.is_empty()) {
            let mut row = row(claim, metric, method.clone(), tasks, &thresholds);
            let others = all.iter().filter(|(name, other)| name != method && other.len() == tasks.len());
            row.probability_over =
                others.map(|(name, other)| (name.clone(), mean_probability_of_improvement(tasks, other))).collect();
            rows.push(row);
        }
    }
    rows
}

fn row(claim: &Claim, metric: &Metric, method: String, tasks: &[Vec<f64>], thresholds: &[f64]) -> Overall {
    let values = tasks.concat();
    let draws = claim.bootstrap.draws.min(4000);
    let statistic = |tasks: &[Vec<f64>]| interquartile_mean(&tasks.concat());
    let interval = (values.len() > 2 && draws > 0)
        .then(|| bootstrap(tasks, &statistic, claim.level(), draws, claim.bootstrap.seed).percentile);
    Overall {
        metric: metric.name.clone(),
        method,
        scaled: metric.range.is_some(),
        runs: values.len(),
        mean: mean(&values),
        median_of_settings: median_of_means(tasks),
        interquartile_mean: interquartile_mean(&values),
        interquartile_interval: interval,
        optimality_gap: metric.range.map(|_| optimality_gap(&values, 1.0)),
        probability_over: BTreeMap::new(),
        profile: (thresholds.to_vec(), profile(&values, thresholds)),
    }
}

/// One list a setting.
fn scores(claim: &Claim, records: &Records, metric: &Metric, method: &str) -> Vec<Vec<f64>> {
    let scaled = |v: f64| match metric.range {
        // Values come oriented: the better end of the range is 1.
        Some((low, high)) => (v - (low * metric.direction.sign()).min(high * metric.direction.sign())) / (high - low),
        None => v,
    };
    let mut tasks = Vec::new();
    for setting in &claim.settings {
        for x in sweep_values(claim, records, &setting.name) {
            let values = by_unit(records, metric, method, &setting.name, x);
            tasks.push(values.into_values().flatten().map(scaled).collect::<Vec<f64>>());
        }
    }
    tasks.retain(|task| !task.is_empty());
    tasks
}
