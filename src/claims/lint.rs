//! Design flaws that can be seen before anything runs.

use super::claim::{Assertion, Claim, Method, Of, Quantifier, TestKind};
use super::quotes;
use super::stats::power::{detectable, power, sample_size};
use super::test::{beyond, planned_level};

/// Something to say about a design.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Whether the design can then support nothing, or misleads; advice otherwise.
    pub flaw: bool,
    pub text: String,
}

/// Keys that set what a run may spend.
const SPENDING: &[&str] = &["train.steps", "train.batch_size", "num_steps", "sample.n", "loss.batch_size"];

/// Everything found, flaws first.
pub fn lint(claim: &Claim) -> Vec<Finding> {
    let mut findings = Vec::new();
    spaces(claim, &mut findings);
    seeds(claim, &mut findings);
    size(claim, &mut findings);
    measures(claim, &mut findings);
    findings.extend(quotes::missing(claim).into_iter().map(|text| Finding { flaw: true, text }));
    findings.sort_by_key(|finding| !finding.flaw);
    findings
}

fn flaw(findings: &mut Vec<Finding>, text: String) {
    findings.push(Finding { flaw: true, text });
}

fn advice(findings: &mut Vec<Finding>, text: String) {
    findings.push(Finding { flaw: false, text });
}

/// Every method must search as much and spend as much.
fn spaces(claim: &Claim, findings: &mut Vec<Finding>) {
    let own = claim.method.configs().len();
    for baseline in &claim.baselines {
        let other = baseline.configs().len();
        if own != other {
            let (name, who) = (&claim.method.name, &baseline.name);
            flaw(
                findings,
                format!("unequal tuning: {own} configs for {name}, {other} for {who}; give both the same number"),
            );
        }
    }
    for method in claim.methods() {
        let count = method.configs().len();
        if count > claim.budget.configs {
            let allowed = claim.budget.configs;
            flaw(findings, format!("{}: {count} configs exceed budget.configs, {allowed}", method.name));
        }
    }
    for key in SPENDING {
        let values: Vec<Vec<String>> = claim.methods().map(|method| spending(method, key)).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            flaw(findings, format!("unequal budgets: the methods set {key} differently; set it once for all"));
        }
    }
}

/// What a method sets a key to, by overrides and by tuning.
fn spending(method: &Method, key: &str) -> Vec<String> {
    let fixed = method.overrides.iter().filter_map(|o| o.split_once('=')).filter(|(k, _)| *k == key);
    let tuned = method.tuning.get(key).into_iter().flatten().map(ToString::to_string);
    fixed.map(|(_, value)| value.to_string()).chain(tuned).collect()
}

/// Disjoint, distinct, and there where they are needed.
fn seeds(claim: &Claim, findings: &mut Vec<Finding>) {
    let shared: Vec<String> =
        claim.tuning_seeds.iter().filter(|s| claim.evaluation_seeds.contains(s)).map(u64::to_string).collect();
    if !shared.is_empty() {
        let shared = shared.join(", ");
        flaw(
            findings,
            format!("tuning and evaluation share the seeds {shared}: the best config would be judged on its luck"),
        );
    }
    for (key, seeds) in [("tuning_seeds", &claim.tuning_seeds), ("evaluation_seeds", &claim.evaluation_seeds)] {
        let mut distinct = seeds.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < seeds.len() {
            flaw(findings, format!("{key} names a seed twice"));
        }
    }
    let tuned = claim.methods().any(|method| method.configs().len() > 1);
    if tuned && claim.tuning_seeds.is_empty() && claim.run.is_some() {
        flaw(findings, "there are configs to choose from, but no tuning_seeds to choose them on".into());
    }
    let on_evaluation = claim.metrics.iter().any(|m| m.of == Of::Value);
    let own = claim.settings.iter().all(|s| s.seeds.as_ref().is_some_and(|seeds| !seeds.is_empty()));
    if claim.run.is_some() && on_evaluation && claim.evaluation_seeds.is_empty() && !own {
        flaw(findings, "evaluation_seeds is empty: nothing would be judged".into());
    }
}

/// Units that a test of this claim will have.
fn units(claim: &Claim) -> Option<usize> {
    let seeds = match claim.metrics.first().map(|m| m.of) {
        Some(Of::TuningGap) => claim.tuning_seeds.len(),
        _ => claim.evaluation_seeds.len(),
    };
    claim.units.or((seeds > 0).then_some(seeds))
}

/// Whether the design can see what it looks for.
fn size(claim: &Claim, findings: &mut Vec<Finding>) {
    let (Assertion::Superiority { .. } | Assertion::Equivalence { .. }) = claim.assertion else {
        return rate_size(claim, findings);
    };
    let Some(n) = units(claim).filter(|_| claim.unit != "exact") else { return };
    if n < 2 {
        return flaw(findings, format!("{n} {}: no test is possible; plan at least 5", claim.unit));
    }
    if n < 5 {
        advice(findings, format!("{n} {}s are few: intervals will be wide", claim.unit));
    }
    let x = claim.sweep.as_ref().map_or(1, |sweep| sweep.values.len());
    let cells = claim.metrics.len() * claim.settings.len() * claim.baselines.len() * x;
    let (level, wanted) = (planned_level(claim, cells), claim.planning.power);
    smallest_p(claim, n, findings);

    let delta = match claim.assertion {
        Assertion::Superiority { delta, .. } => delta,
        _ => 0.0,
    };
    let effect = if claim.planning.effect > 0.0 { claim.planning.effect } else { delta };
    let deviation = claim.planning.deviation;
    if effect > 0.0 && deviation > 0.0 {
        let effect = beyond(effect, delta);
        let found = power(effect, deviation, n, level);
        if found < wanted {
            let needed = sample_size(effect, deviation, level, wanted);
            let needed = needed.map_or("more than 100000".into(), |n| n.to_string());
            flaw(
                findings,
                format!(
                    "no power: an effect of {effect} is seen with chance {found:.2} by {n} {}s, {needed} are needed for {wanted}",
                    claim.unit
                ),
            );
        }
    } else {
        let least = detectable(1.0, n, level, wanted);
        advice(
            findings,
            format!(
                "with {n} {}s only effects above {least:.2} deviations of a paired difference are seen with chance {wanted}; give planning.effect and planning.deviation to have this checked",
                claim.unit
            ),
        );
    }
    if matches!(claim.assertion, Assertion::Superiority { quantifier: Quantifier::All, .. }) && cells > 1 {
        advice(
            findings,
            format!("{cells} cells must all hold: the chance of support is about the product of their powers"),
        );
    }
}

/// Tests on signs and ranks have a least p.
fn smallest_p(claim: &Claim, n: usize, findings: &mut Vec<Finding>) {
    let Assertion::Superiority { test, .. } = claim.assertion else { return };
    let least = 0.5f64.powi(n.min(1000) as i32);
    if matches!(test, TestKind::Wilcoxon | TestKind::Permutation) && least >= claim.alpha {
        flaw(
            findings,
            format!(
                "the smallest p of this test with {n} {}s is {least:.3}, not below alpha = {}",
                claim.unit, claim.alpha
            ),
        );
    }
}

fn rate_size(claim: &Claim, findings: &mut Vec<Finding>) {
    let Assertion::Rate(rate) = &claim.assertion else { return };
    let values = claim.sweep.as_ref().map_or(0, |sweep| sweep.values.len());
    let fitted = if rate.last == 0 { values } else { rate.last.min(values) };
    if fitted < 3 {
        flaw(findings, format!("{fitted} points are no line with an interval; fit at least 3"));
    }
}

fn measures(claim: &Claim, findings: &mut Vec<Finding>) {
    if claim.budget.measure == "none" && claim.budget.reason.is_empty() && !claim.baselines.is_empty() {
        flaw(
            findings,
            "budget.measure is none without a budget.reason: nothing shows that the methods spent the same".into(),
        );
    }
    if claim.unit == "exact" && claim.evaluation_seeds.len() > 1 {
        advice(findings, "figures without noise need one seed".into());
    }
    let average = matches!(claim.assertion, Assertion::Superiority { quantifier: Quantifier::Average, .. });
    if average && claim.settings.len() > 1 && claim.metrics.iter().any(|m| m.range.is_none()) {
        advice(
            findings,
            "a mean over settings without a common range is ruled by the setting of the largest scale".into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::tests::{SMALL, parse};
    use super::*;

    fn flaws(yaml: &str) -> Vec<String> {
        lint(&parse(yaml).unwrap()).into_iter().filter(|f| f.flaw).map(|f| f.text).collect()
    }

    #[test]
    fn a_fair_design_has_no_flaw_and_gets_advice() {
        assert_eq!(flaws(SMALL), Vec::<String>::new());
        assert!(lint(&parse(SMALL).unwrap()).iter().any(|f| f.text.contains("deviations of a paired difference")));
    }

    #[test]
    fn flaws_are_found() {
        for (from, to, part) in [
            ("{lr: [0.1, 0.01]}}]", "{lr: [0.1]}}]", "unequal tuning: 2 configs for A, 1 for B"),
            ("configs: 2", "configs: 1", "exceed budget.configs"),
            ("tuning_seeds: [100]", "tuning_seeds: [7, 8]", "share the seeds 7"),
            ("tuning_seeds: [100]", "tuning_seeds: []\nrun: {binary: b, verb: v}", "no tuning_seeds"),
            ("[0, 1, 2, 3, 4, 5, 6, 7]", "[1, 1, 2]", "seed twice"),
            ("[0, 1, 2, 3, 4, 5, 6, 7]", "[1]", "no test is possible"),
            ("tuning_seeds", "planning: {effect: 0.5, deviation: 1}\ntuning_seeds", "no power"),
            ("method: {name: A,", "method: {name: A, overrides: [train.steps=5],", "train.steps differently"),
            ("measure: calls", "measure: none", "budget.reason"),
            (
                "quantifier: all}\nmetrics",
                "quantifier: all, test: permutation}\nevaluation_seeds: [1, 2, 3]\nmetrics",
                "smallest p",
            ),
        ] {
            let yaml = SMALL.replace(from, to);
            let yaml = if to.contains("evaluation_seeds") {
                yaml.replace("evaluation_seeds: [0, 1, 2, 3, 4, 5, 6, 7]\n", "")
            } else {
                yaml
            };
            let found = flaws(&yaml);
            assert!(found.iter().any(|text| text.contains(part)), "{part}: {found:?}");
        }
    }
}
