//! Stated orders: the slope of log metric against log x, with its interval.

use super::claim::{Claim, Metric, RateClaim, Relation};
use super::compare::sweep_values;
use super::judge::Verdict;
use super::record::Records;
use super::stats::distributions::t_upper;
use super::stats::rate::{Slope, slope};
use super::test::{Test, known};
use super::values::by_unit;

/// Points of a fit: x as the rate has it, and the metric's values.
pub type Points = (Vec<f64>, Vec<f64>);

/// Slopes of the method, which decide, and of the baselines, which do not.
pub fn rates(claim: &Claim, rate: &RateClaim, records: &Records) -> (Vec<Test>, Verdict, Vec<String>) {
    let (mut tests, mut verdicts, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for metric in &claim.metrics {
        for setting in &claim.settings {
            for (i, method) in claim.methods().enumerate() {
                let (x, y) = points(claim, rate, records, metric, &setting.name, &method.name);
                let draws = claim.bootstrap.draws.min(2000);
                let found = slope(&x, &y, claim.level(), draws, claim.bootstrap.seed);
                let (verdict, words) = judge_slope(rate, found.as_ref());
                let name = format!("order in {} | {} | {}", metric.name, setting.name, method.name);
                if i == 0 {
                    verdicts.push(verdict);
                    reasons.push(format!("{name}: {words}"));
                }
                let row = Test { name, metric: metric.name.clone(), setting: setting.name.clone(), ..Test::default() };
                tests.push(Test {
                    method: method.name.clone(),
                    decides: i == 0,
                    outcome: words,
                    points: Some((x, y)),
                    ..fill(claim, rate, row, found)
                });
            }
        }
    }
    let verdict = if verdicts.contains(&Verdict::Refuted) {
        Verdict::Refuted
    } else if verdicts.iter().all(|v| *v == Verdict::Supported) {
        Verdict::Supported
    } else {
        Verdict::Inconclusive
    };
    (tests, verdict, reasons)
}

/// The finest `last` values of x with every unit's value.
pub fn points(
    claim: &Claim,
    rate: &RateClaim,
    records: &Records,
    metric: &Metric,
    setting: &str,
    method: &str,
) -> Points {
    let inverse = claim.sweep.as_ref().is_some_and(|sweep| sweep.inverse);
    let mut found: Vec<(f64, f64)> = Vec::new();
    for x in sweep_values(claim, records, setting).into_iter().flatten() {
        let values = by_unit(records, metric, method, setting, Some(x));
        let sign = metric.direction.sign();
        found.extend(values.into_values().flatten().map(|v| (if inverse { 1.0 / x } else { x }, sign * v)));
    }
    let mut xs: Vec<f64> = found.iter().map(|(x, _)| *x).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    if let Some(largest) = rate.last.checked_sub(1).and_then(|k| xs.get(k)) {
        found.retain(|(x, _)| x <= largest);
    }
    found.into_iter().unzip()
}

/// Supported where the interval is short and holds the order, or lies on the better side of a bound.
fn judge_slope(rate: &RateClaim, found: Option<&Slope>) -> (Verdict, String) {
    let Some(slope) = found else {
        return (Verdict::Inconclusive, "fewer than three usable points".into());
    };
    let ((low, high), order) = (slope.interval, rate.order);
    let said = format!("slope {:.3}, interval {low:.3} to {high:.3}, stated {order}", slope.value);
    if (high - low) / 2.0 > rate.resolution {
        return (Verdict::Inconclusive, format!("{said}; the interval is too wide to tell"));
    }
    let (holds, better) = match rate.relation {
        Relation::Equal => (low <= order && order <= high, low > order),
        Relation::AtLeast => (high >= order, low > order),
        Relation::AtMost => (low <= order, high < order),
    };
    let verdict = if holds { Verdict::Supported } else { Verdict::Refuted };
    let aside = match (rate.relation, better) {
        (Relation::AtMost, _) | (_, false) => "",
        _ => "; faster than stated",
    };
    (verdict, format!("{said}{aside}"))
}

fn fill(claim: &Claim, rate: &RateClaim, row: Test, found: Option<Slope>) -> Test {
    let mut test =
        Test { kind: "rate".into(), test: "two-sided t of slope - order".into(), ci_level: claim.level(), ..row };
    if let Some(slope) = found {
        let df = slope.n as f64 - 2.0;
        let t = (slope.value - rate.order) / slope.error;
        (test.n, test.df, test.statistic) = (slope.n, known(df), known(t));
        test.p = known(2.0 * t_upper(t.abs(), df));
        test.p_adjusted = test.p;
        test.effect = known(slope.value);
        (test.ci_low, test.ci_high) = (known(slope.interval.0), known(slope.interval.1));
        test.bootstrap_percentile = Some(slope.bootstrap).filter(|b| b.0.is_finite() && b.1.is_finite());
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64, half: f64) -> Slope {
        let interval = (value - half, value + half);
        Slope { value, intercept: 0.0, error: half / 3.0, interval, bootstrap: interval, n: 5 }
    }

    #[test]
    fn slopes_are_judged_by_their_interval() {
        let rate = |relation| RateClaim { order: 1.0, relation, last: 0, resolution: 0.25 };
        let verdict = |relation, value, half| judge_slope(&rate(relation), Some(&of(value, half))).0;
        assert_eq!(verdict(Relation::Equal, 1.1, 0.15), Verdict::Supported);
        assert_eq!(verdict(Relation::Equal, 2.0, 0.1), Verdict::Refuted);
        assert_eq!(verdict(Relation::Equal, 1.0, 0.4), Verdict::Inconclusive);
        assert_eq!(verdict(Relation::AtLeast, 2.0, 0.1), Verdict::Supported);
        assert_eq!(verdict(Relation::AtLeast, 0.5, 0.1), Verdict::Refuted);
        assert_eq!(verdict(Relation::AtMost, 0.5, 0.1), Verdict::Supported);
        assert!(judge_slope(&rate(Relation::Equal), Some(&of(2.0, 0.1))).1.contains("faster than stated"));
        assert_eq!(judge_slope(&rate(Relation::Equal), None).0, Verdict::Inconclusive);
    }
}
