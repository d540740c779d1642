//! Published figures that are to come out again.

use super::claim::{Claim, Figure, Relation};
use super::judge::Verdict;
use super::record::{Records, Split};
use super::stats::paired::Paired;
use super::test::{Test, known};
use crate::log::table::figure as significant;

/// One row a figure: measured, stated, and whether it still holds.
pub fn figures(claim: &Claim, figures: &[Figure], records: &Records) -> (Vec<Test>, Verdict, Vec<String>) {
    let rows: Vec<(Test, Verdict, String)> = figures.iter().map(|figure| row(claim, figure, records)).collect();
    let of = |verdict: Verdict| rows.iter().filter(|row| row.1 == verdict).count();
    let verdict = match (of(Verdict::Refuted), of(Verdict::Inconclusive)) {
        (0, 0) => Verdict::Supported,
        (0, _) => Verdict::Inconclusive,
        _ => Verdict::Refuted,
    };
    let mut reasons = vec![format!("{} of {} figures hold", of(Verdict::Supported), rows.len())];
    reasons.extend(rows.iter().filter(|row| row.1 != Verdict::Supported).map(|row| row.2.clone()));
    (rows.into_iter().map(|row| row.0).collect(), verdict, reasons)
}

fn row(claim: &Claim, figure: &Figure, records: &Records) -> (Test, Verdict, String) {
    let of: Vec<_> = records.of(&claim.method.name, &figure.setting, Split::Evaluation).collect();
    let values: Option<Vec<f64>> =
        of.iter().map(|record| record.value(&figure.key()).map(|value| figure.of(value))).collect();
    let setting = claim.settings.iter().find(|s| s.name == figure.setting);
    let planned = setting.and_then(|s| s.seeds.as_ref()).unwrap_or(&claim.evaluation_seeds).len();
    let paired = values.as_deref().filter(|v| !v.is_empty() && v.len() >= planned).map(Paired::of);

    let (verdict, words) = match &paired {
        Some(paired) => compare(figure, paired.mean),
        None => (Verdict::Inconclusive, format!("{} of {planned} runs gave it", values.map_or(0, |v| v.len()))),
    };
    let mut test = Test {
        name: figure.name.clone(),
        kind: "figure".into(),
        test: "distance from the stated figure".into(),
        metric: figure.key(),
        setting: figure.setting.clone(),
        method: claim.method.name.clone(),
        n: of.len(),
        ci_level: claim.level(),
        decides: true,
        outcome: words.clone(),
        ..Test::default()
    };
    if let Some(paired) = paired {
        let (low, high) = paired.interval(claim.level());
        test.statistic = known(paired.mean);
        test.effect = known(paired.mean - figure.expected);
        (test.ci_low, test.ci_high) = (known(low - figure.expected), known(high - figure.expected));
        test.deviation = known(paired.deviation);
    }
    (test, verdict, format!("{}: {words}", figure.name))
}

fn compare(figure: &Figure, found: f64) -> (Verdict, String) {
    let sign = match figure.relation {
        Relation::Equal => "±",
        Relation::AtLeast => "at least, less",
        Relation::AtMost => "at most, plus",
    };
    let verdict = if figure.holds(found) { Verdict::Supported } else { Verdict::Refuted };
    (verdict, format!("found {}, stated {} ({sign} {})", plain(found), plain(figure.expected), figure.tolerance))
}

/// Whole numbers as they are, others to six digits.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e12 { format!("{value}") } else { significant(value, 6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_hold_within_their_tolerance() {
        let figure = |relation| Figure {
            name: "f".into(),
            setting: "s".into(),
            metric: "m".into(),
            row: Default::default(),
            reference: None,
            quote: String::new(),
            expected: 2.0,
            tolerance: 0.1,
            relation,
            stated: String::new(),
            commit: String::new(),
        };
        let verdict = |relation, found| compare(&figure(relation), found).0;
        assert_eq!(verdict(Relation::Equal, 2.09), Verdict::Supported);
        assert_eq!(verdict(Relation::Equal, 1.8), Verdict::Refuted);
        assert_eq!(verdict(Relation::AtLeast, 5.0), Verdict::Supported);
        assert_eq!(verdict(Relation::AtMost, 5.0), Verdict::Refuted);
    }
}
