//! The best of N configs, method against each baseline at the same N.

use serde::Serialize;

use super::claim::{Assertion, Claim, Metric, Of};
use super::compare::{place, sweep_values};
use super::record::{Records, Split};
use super::stats::best_of::{chances, expected_of, sizes};
use super::stats::mean;
use super::values::tuning_scores;

/// Points of a curve: every N up to this many configs.
const POINTS: usize = 200;

/// Expected outcome over N for one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    pub method: String,
    pub configs: usize,
    pub n: Vec<usize>,
    /// In the metric's own sign.
    pub expected: Vec<f64>,
    /// The middle 80 % of outcomes.
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

/// One metric and setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EqualN {
    pub metric: String,
    pub setting: String,
    /// Whether configs are chosen on one split and reported on another. If not, every curve is optimistic.
    pub split: bool,
    pub curves: Vec<Curve>,
    /// The N of `differences`: the claim's, or the smallest number of configs that a method has.
    pub n: usize,
    /// Expected advantage over each baseline, positive for the method.
    pub differences: Vec<(String, f64)>,
    /// Whether the advantage exceeds what is claimed, over every baseline.
    pub holds: bool,
}

impl EqualN {
    pub fn line(&self) -> String {
        let listed = self.differences.iter().map(|(name, d)| format!("{d:+.4} against {name}"));
        let listed = listed.collect::<Vec<_>>().join(", ");
        format!("{} | {}: at equal N = {} the expected advantage is {listed}", self.metric, self.setting, self.n)
    }
}

/// Tuning and reported score of every config of a method; oriented.
struct Scores {
    tuning: Vec<f64>,
    reported: Vec<f64>,
    split: bool,
}

/// Every metric and setting in which configs were tried.
pub fn equal_n(claim: &Claim, records: &Records) -> Vec<EqualN> {
    let mut found = Vec::new();
    for metric in claim.metrics.iter().filter(|m| m.of == Of::Value) {
        for setting in &claim.settings {
            for x in sweep_values(claim, records, &setting.name) {
                found.extend(one(claim, records, metric, &setting.name, x));
            }
        }
    }
    found
}

fn one(claim: &Claim, records: &Records, metric: &Metric, setting: &str, x: Option<f64>) -> Option<EqualN> {
    let all: Vec<(String, Scores)> =
        claim.methods().map(|m| (m.name.clone(), scores(records, metric, &m.name, setting, x))).collect();
    let fewest = all.iter().map(|(_, s)| s.tuning.len()).min()?;
    let most = all.iter().map(|(_, s)| s.tuning.len()).max()?;
    if fewest == 0 || most < 2 {
        return None;
    }
    let n = fewest.min(if claim.budget.configs > 1 { claim.budget.configs } else { fewest });
    let value = |s: &Scores| expected_of(&s.tuning, &s.reported, n);
    let own = value(&all[0].1);
    let differences: Vec<(String, f64)> = all[1..].iter().map(|(name, s)| (name.clone(), own - value(s))).collect();
    let holds = match claim.assertion {
        Assertion::Superiority { delta, .. } => differences.iter().all(|(_, d)| *d > delta),
        _ => true,
    };
    let setting = place(claim, setting, x);
    let split = all.iter().all(|(_, s)| s.split);
    let sign = metric.direction.sign();
    let curves = all.into_iter().map(|(name, s)| curve(name, &s, sign)).collect();
    Some(EqualN { metric: metric.name.clone(), setting, split, curves, n, differences, holds })
}

/// Scores on tuning units, and on evaluation units if every config was evaluated. Records without a tuning split are
/// taken for both.
fn scores(records: &Records, metric: &Metric, method: &str, setting: &str, x: Option<f64>) -> Scores {
    let mut tuned = tuning_scores(records, metric, method, setting, x);
    let evaluated = |config: &str| -> Option<f64> {
        let of = records.of(method, setting, Split::Evaluation).filter(|r| r.x == x && r.config == config);
        let values: Vec<f64> = of.filter_map(|r| r.value(&metric.name)).map(|v| metric.direction.sign() * v).collect();
        (!values.is_empty()).then(|| mean(&values))
    };
    let untuned = tuned.is_empty();
    if untuned {
        let of = records.of(method, setting, Split::Evaluation).filter(|r| r.x == x).map(|r| &r.config);
        let names = super::record::in_order(of);
        tuned = names.into_iter().filter_map(|config| Some((config.clone(), evaluated(&config)?))).collect();
    }
    let reported: Option<Vec<f64>> = tuned.iter().map(|(config, _)| evaluated(config)).collect();
    let tuning: Vec<f64> = tuned.into_iter().map(|(_, score)| score).collect();
    let split = reported.is_some() && !untuned;
    Scores { reported: reported.unwrap_or_else(|| tuning.clone()), tuning, split }
}

fn curve(method: String, scores: &Scores, sign: f64) -> Curve {
    let configs = scores.tuning.len();
    let n = sizes(configs, POINTS);
    let expected = n.iter().map(|n| sign * expected_of(&scores.tuning, &scores.reported, *n)).collect();
    let at = |n: &usize, p: f64| weighted_quantile(&scores.reported, &chances(&scores.tuning, *n), p);
    let edges = |p: f64| n.iter().map(|n| sign * at(n, p)).collect::<Vec<f64>>();
    let (a, b) = (edges(0.1), edges(0.9));
    let pairs = || a.iter().zip(&b);
    let (low, high) = (pairs().map(|(a, b)| a.min(*b)).collect(), pairs().map(|(a, b)| a.max(*b)).collect());
    Curve { method, configs, n, expected, low, high }
}

/// The least value that at least a share `p` of the weight does not exceed.
fn weighted_quantile(values: &[f64], weights: &[f64], p: f64) -> f64 {
    let mut pairs: Vec<(f64, f64)> = values.iter().copied().zip(weights.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    for (value, weight) in &pairs {
        sum += weight;
        if sum >= p - 1e-12 {
            return *value;
        }
    }
    pairs.last().map_or(f64::NAN, |pair| pair.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_quantiles_follow_the_weight() {
        let (values, weights) = ([3.0, 1.0, 2.0], [0.5, 0.3, 0.2]);
        assert_eq!([0.1, 0.3, 0.4, 0.9].map(|p| weighted_quantile(&values, &weights, p)), [1.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn bands_close_at_the_full_budget() {
        let scores = Scores { tuning: vec![0.1, 0.9, 0.5], reported: vec![1.0, 2.0, 3.0], split: true };
        let curve = curve("A".into(), &scores, 1.0);
        assert_eq!((curve.expected[2], curve.low[2], curve.high[2]), (2.0, 2.0, 2.0));
        assert!(curve.low[0] < curve.high[0] && (curve.expected[0] - 2.0).abs() < 1e-15);
    }
}
