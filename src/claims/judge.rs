//! From tests to a verdict: rules that anyone can follow, each with its reason in words.

use serde::Serialize;

use super::averages::{averages, pooled};
use super::claim::{Assertion, Claim, Quantifier};
use super::compare::cells;
use super::equal_n::{EqualN, equal_n};
use super::fair::{Balance, Fairness, fairness};
use super::figures::figures;
use super::rates::rates;
use super::record::Records;
use super::stats::correction::{benjamini_hochberg, bonferroni, holm, intersection_union};
use super::stats::mean;
use super::test::{Meaning, Test, known, of_cell};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Supported,
    Refuted,
    Inconclusive,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Supported => "supported",
            Verdict::Refuted => "refuted",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// The verdict with everything it rests on.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub tests: Vec<Test>,
    pub fairness: Fairness,
    pub equal_n: Vec<EqualN>,
}

/// Judges the records under the claim. The same records give the same judgement.
pub fn judge(claim: &Claim, records: &Records) -> Judgement {
    match &claim.assertion {
        Assertion::Superiority { quantifier, .. } | Assertion::Equivalence { quantifier, .. } => {
            compared(claim, records, *quantifier)
        }
        Assertion::Rate(rate) => {
            let (tests, verdict, reasons) = rates(claim, rate, records);
            plain(claim, records, tests, verdict, reasons)
        }
        Assertion::Figures { figures: listed } => {
            let (tests, verdict, reasons) = figures(claim, listed, records);
            plain(claim, records, tests, verdict, reasons)
        }
    }
}

/// A judgement of claims that compare no methods.
fn plain(claim: &Claim, records: &Records, tests: Vec<Test>, verdict: Verdict, reasons: Vec<String>) -> Judgement {
    let fairness = fairness(claim, records, &[]);
    Judgement { verdict, reasons, tests, fairness, equal_n: Vec::new() }
}

/// Superiority and equivalence.
fn compared(claim: &Claim, records: &Records, quantifier: Quantifier) -> Judgement {
    let cells = cells(claim, records);
    let (mut tests, meanings): (Vec<Test>, Vec<Meaning>) =
        cells.iter().map(|cell| of_cell(claim, cell, cells.len())).unzip();
    adjust(&mut tests, &meanings);
    let averages = averages(claim, &cells);
    let union = union(claim, &tests, &meanings);

    let fairness = fairness(claim, records, &cells);
    let equal_n = equal_n(claim, records);
    let (decisive, meanings) = match quantifier {
        Quantifier::Average => averages.iter().map(|(test, meaning)| (test.name.clone(), *meaning)).unzip(),
        _ => (tests.iter().map(|test| test.name.clone()).collect::<Vec<_>>(), meanings),
    };
    let (verdict, reasons) = rule(claim, quantifier, &decisive, &meanings, &fairness, &equal_n);

    tests.iter_mut().for_each(|test| test.decides = quantifier != Quantifier::Average);
    for (mut test, _) in averages {
        test.decides = quantifier == Quantifier::Average;
        tests.push(test);
    }
    tests.extend(pooled(claim, &cells));
    tests.push(Test { decides: quantifier == Quantifier::All, ..union });
    Judgement { verdict, reasons, tests, fairness, equal_n }
}

/// Corrections over a family.
pub fn adjust(tests: &mut [Test], meanings: &[Meaning]) {
    let p: Vec<f64> = meanings.iter().map(|meaning| meaning.p).collect();
    let (holm, bonferroni, bh) = (holm(&p), bonferroni(&p), benjamini_hochberg(&p));
    for (i, test) in tests.iter_mut().enumerate().filter(|(_, test)| test.p.is_some()) {
        test.p_adjusted = known(holm[i]);
        test.p_bonferroni = known(bonferroni[i]);
        test.p_benjamini_hochberg = known(bh[i]);
    }
}

/// "Every cell holds" as one test.
fn union(claim: &Claim, tests: &[Test], meanings: &[Meaning]) -> Test {
    let exact = tests.iter().all(|test| test.p.is_none());
    let p = intersection_union(&meanings.iter().map(|meaning| meaning.p).collect::<Vec<_>>());
    let least = tests.iter().filter_map(|test| Some((test.effect?, test.ci_low?, test.ci_high?)));
    let least = least.min_by(|a, b| a.0.total_cmp(&b.0));
    Test {
        name: "every cell".into(),
        kind: "intersection_union".into(),
        test: "intersection-union: the largest p".into(),
        method: claim.method.name.clone(),
        n: tests.iter().map(|test| test.n).sum(),
        statistic: known(p).filter(|_| !exact),
        p: known(p).filter(|_| !exact),
        p_adjusted: known(p).filter(|_| !exact),
        effect: least.map(|l| l.0),
        ci_low: least.map(|l| l.1),
        ci_high: least.map(|l| l.2),
        ci_level: claim.level(),
        outcome: if p < claim.alpha { "every cell holds".into() } else { "not shown for every cell".into() },
        ..Test::default()
    }
}

/// The rule. Support needs the tests, fairness, and the same at equal N; refutation needs the tests, and budgets that
/// did not work against the method.
fn rule(
    claim: &Claim,
    quantifier: Quantifier,
    names: &[String],
    meanings: &[Meaning],
    fairness: &Fairness,
    equal_n: &[EqualN],
) -> (Verdict, Vec<String>) {
    let (supported, refuting, reasons) = match quantifier {
        _ if meanings.is_empty() => (false, vec![], vec!["there is nothing to average".to_string()]),
        Quantifier::All | Quantifier::Average => every(claim, names, meanings),
        Quantifier::Some => some(claim, names, meanings),
    };
    let mut reasons = reasons;
    let supporting = chosen(names, meanings, |m| m.supports);
    let behind = behind(claim, quantifier, equal_n, &supporting);
    let unfair = matches!(fairness.balance, Balance::MethodLess | Balance::Unknown);

    let refuted = !refuting.is_empty() && !unfair;
    if supported && !refuted && fairness.obstacles.is_empty() && behind.is_empty() {
        return (Verdict::Supported, reasons);
    }
    if refuted {
        reasons.extend(refuting);
        return (Verdict::Refuted, reasons);
    }
    if !refuting.is_empty() {
        reasons.extend(refuting);
        reasons.push("but the budgets did not favour the method, or are not known: no refutation".into());
    }
    reasons.extend(fairness.obstacles.iter().map(|obstacle| format!("no support: {obstacle}")));
    reasons.extend(behind.into_iter().map(|line| format!("no support: {line}")));
    (Verdict::Inconclusive, reasons)
}

/// Names of the tests of a certain meaning.
fn chosen<'a>(names: &'a [String], meanings: &[Meaning], is: impl Fn(&Meaning) -> bool) -> Vec<&'a str> {
    names.iter().zip(meanings).filter(|(_, m)| is(m)).map(|(name, _)| name.as_str()).collect()
}

/// Comparisons at equal N that stand against support: any of them, their mean for a claim about the mean, and those of
/// supporting cells where one cell suffices.
fn behind(claim: &Claim, quantifier: Quantifier, equal_n: &[EqualN], supporting: &[&str]) -> Vec<String> {
    let supports =
        |e: &EqualN| supporting.iter().any(|name| name.starts_with(&format!("{} | {} |", e.metric, e.setting)));
    if quantifier == Quantifier::Average {
        let all: Vec<f64> = equal_n.iter().flat_map(|e| e.differences.iter().map(|(_, d)| *d)).collect();
        let Assertion::Superiority { delta, .. } = claim.assertion else { return Vec::new() };
        let short = !all.is_empty() && mean(&all) <= delta;
        return if short { equal_n.iter().map(EqualN::line).collect() } else { Vec::new() };
    }
    let stands = |e: &&EqualN| !e.holds && (quantifier == Quantifier::All || supports(e));
    equal_n.iter().filter(stands).map(EqualN::line).collect()
}

type Ruling = (bool, Vec<String>, Vec<String>);

/// All cells, or all averages, must hold.
fn every(claim: &Claim, names: &[String], meanings: &[Meaning]) -> Ruling {
    let (total, exact) = (names.len(), claim.unit == "exact");
    let holding = chosen(names, meanings, |m| m.supports);
    let largest = intersection_union(&meanings.iter().map(|m| m.p).collect::<Vec<_>>());
    let mut reasons = vec![format!("{} of {total} tests support it", holding.len())];
    if !exact {
        let p: Vec<f64> = meanings.iter().map(|m| m.p).collect();
        let below = |p: &[f64]| p.iter().filter(|p| **p < claim.alpha).count();
        let (raw, after) = (below(&p), below(&holm(&p)));
        reasons.push(format!("{raw} of {total} have p < {}, {after} after Holm's correction", claim.alpha));
        let verb = if largest < claim.alpha { "is" } else { "is not" };
        reasons.push(format!(
            "all of them have to hold, so that the largest p decides (intersection-union): {largest:.4}, which {verb} below {}",
            claim.alpha
        ));
    }
    let failing = chosen(names, meanings, |m| !m.supports);
    if !failing.is_empty() && failing.len() <= 12 {
        reasons.push(format!("not shown: {}", failing.join("; ")));
    }
    let against = chosen(names, meanings, |m| m.refutes_with_all);
    let refuting: Vec<String> = against
        .iter()
        .map(|name| format!("{name}: the interval that holds for all {total} tests together excludes it"))
        .collect();
    (holding.len() == total, refuting, reasons)
}

/// One cell suffices, after Holm's correction; to refute it every cell must speak against.
fn some(claim: &Claim, names: &[String], meanings: &[Meaning]) -> Ruling {
    let adjusted = holm(&meanings.iter().map(|m| m.p).collect::<Vec<_>>());
    let holding: Vec<&str> = names
        .iter()
        .zip(meanings)
        .zip(&adjusted)
        .filter(|((_, m), p)| m.supports && **p < claim.alpha)
        .map(|((name, _), _)| name.as_str())
        .collect();
    let raw = chosen(names, meanings, |m| m.p < claim.alpha).len();
    let mut reasons = vec![format!(
        "{} of {} tests support it after Holm's correction, {raw} have p < {} before",
        holding.len(),
        names.len(),
        claim.alpha
    )];
    if !holding.is_empty() {
        reasons.push(format!("holds in: {}", holding.join("; ")));
    }
    let everywhere = chosen(names, meanings, |m| m.refutes).len() == names.len();
    let refuting = if everywhere { vec!["every test's interval excludes it".to_string()] } else { vec![] };
    (!holding.is_empty(), refuting, reasons)
}
