//! Sentences for someone who knows neither the papers nor statistics.

use crate::claims::claim::{Assertion, Claim, Quantifier, Relation};
use crate::claims::judge::Verdict;
use crate::claims::report::Report;
use crate::claims::test::Test;
use crate::log::table::figure;

/// What a verdict means.
pub fn meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Supported => "what was measured bears the claim out, by the rules that it was declared under.",
        Verdict::Refuted => "what was measured contradicts the claim, by the rules that it was declared under.",
        Verdict::Inconclusive => {
            "what was measured does not suffice, either way. This does not mean that the methods are equal."
        }
    }
}

/// The assertion as a sentence.
pub fn asserted(claim: &Claim) -> String {
    let method = &claim.method.name;
    let others = claim.baselines.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(" and ");
    let metrics = claim.metrics.iter().map(|m| format!("`{}`", m.name)).collect::<Vec<_>>().join(" and ");
    let where_ = |quantifier: Quantifier| match quantifier {
        Quantifier::All => "in every setting",
        Quantifier::Average => "in the mean over settings",
        Quantifier::Some => "in some setting",
    };
    match &claim.assertion {
        Assertion::Superiority { quantifier, delta, .. } => {
            let by = if *delta == 0.0 { String::new() } else { format!(" by more than {delta}") };
            format!("{method} is better than {others} in {metrics}{by}, {}.", where_(*quantifier))
        }
        Assertion::Equivalence { quantifier, delta } => {
            format!("{method} and {others} differ by less than {delta} in {metrics}, {}.", where_(*quantifier))
        }
        Assertion::Rate(rate) => {
            let how = match rate.relation {
                Relation::Equal => "as the power",
                Relation::AtLeast => "at least as fast as the power",
                Relation::AtMost => "at most as fast as the power",
            };
            let key = claim.sweep.as_ref().map_or("x", |s| s.key.as_str());
            let of = if claim.sweep.as_ref().is_some_and(|s| s.inverse) { "1 / " } else { "" };
            format!("{metrics} of {method} falls {how} {} of {of}{key}, in every setting.", rate.order)
        }
        Assertion::Figures { figures } => format!("each of {} stated figures comes out again.", figures.len()),
    }
}

/// The outcome in a few sentences.
pub fn outcome(report: &Report) -> String {
    let claim = &report.claim;
    let single = |test: &&Test| ["cell", "exact", "equivalence"].contains(&test.kind.as_str()) && test.effect.is_some();
    let of_claim = |test: &&Test| test.setting != "mean over settings";
    let mut cells: Vec<&Test> = report.tests.iter().filter(single).filter(of_claim).collect();
    cells.sort_by(|a, b| a.effect.unwrap_or(f64::NAN).total_cmp(&b.effect.unwrap_or(f64::NAN)));
    match &claim.assertion {
        Assertion::Figures { .. } => {
            let held = report.reasons.first().map_or("", String::as_str);
            format!("{held}, measured in {} runs.", report.fairness.spent.iter().map(|s| s.runs).sum::<usize>())
        }
        Assertion::Rate(_) => slopes(report),
        _ if cells.is_empty() => "Nothing could be compared.".into(),
        Assertion::Equivalence { delta, .. } => equivalence(claim, &cells, *delta),
        Assertion::Superiority { .. } => {
            let means = report.tests.iter().filter(|test| test.kind == "average" && test.decides);
            let means: Vec<String> = means.map(|test| format!(" What decides is {}.", ahead_by(test))).collect();
            superiority(claim, &cells) + &means.concat()
        }
    }
}

fn superiority(claim: &Claim, cells: &[&Test]) -> String {
    let ahead = cells.iter().filter(|test| test.effect.is_some_and(|effect| effect > 0.0)).count();
    let (method, all) = (&claim.method.name, cells.len());
    let count = match ahead {
        0 => format!("{method} came out ahead in none of {all} comparisons."),
        n if n == all => format!("{method} came out ahead in all of {all} comparisons."),
        n => format!("{method} came out ahead in {n} of {all} comparisons."),
    };
    let mut sentences = vec![count];
    sentences.extend(cells.first().map(|test| format!("Its weakest: {}.", ahead_by(test))));
    if all > 1 {
        sentences.extend(cells.last().map(|test| format!("Its strongest: {}.", ahead_by(test))));
    }
    sentences.join(" ")
}

/// `funnel against LV, 0.11 (95 % interval 0.09 to 0.14)`.
fn ahead_by(test: &Test) -> String {
    let effect = test.effect.unwrap_or(f64::NAN);
    let interval = interval(test).map_or(String::new(), |interval| format!(" ({interval})"));
    format!("`{}` in {} against {}, {}{interval}", test.metric, test.setting, test.baseline, figure(effect, 3))
}

fn interval(test: &Test) -> Option<String> {
    let (low, high) = test.ci_low.zip(test.ci_high).filter(|(low, high)| low < high)?;
    let level = percent(test.ci_level);
    Some(format!("{level} interval {} to {}", figure(low, 3), figure(high, 3)))
}

/// `95 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.trim_end_matches(".0"))
}

fn equivalence(claim: &Claim, cells: &[&Test], delta: f64) -> String {
    let within = cells.iter().filter(|test| test.outcome.starts_with("within")).count();
    let outside = cells.iter().filter(|test| test.outcome.starts_with("outside")).count();
    let end = |test: Option<&&Test>| test.map_or(String::new(), |test| ahead_by(test));
    format!(
        "Of {} comparisons {within} are surely within ±{delta} and {outside} surely outside. The differences run from that of {} to \
         that of {}; positive ones speak for {}.",
        cells.len(),
        end(cells.first()),
        end(cells.last()),
        claim.method.name
    )
}

fn slopes(report: &Report) -> String {
    let Assertion::Rate(rate) = &report.claim.assertion else { return String::new() };
    let slope = |test: &Test| {
        let interval = interval(test).map_or(String::new(), |interval| format!(" ({interval})"));
        format!("{} in {}{interval}", number(test.effect), test.setting)
    };
    let measured: Vec<String> = report.tests.iter().filter(|t| t.kind == "rate" && t.decides).map(slope).collect();
    format!("The measured power is {}; the stated one is {}.", measured.join(" and "), rate.order)
}

pub fn number(value: Option<f64>) -> String {
    value.map_or("–".into(), |v| figure(v, 4))
}

/// How often the rules err.
pub fn error_rates(claim: &Claim) -> Option<String> {
    let noisy = matches!(claim.assertion, Assertion::Superiority { .. } | Assertion::Equivalence { .. });
    let half = percent(claim.alpha / 2.0);
    (noisy && claim.unit != "exact").then(|| {
        format!(
            "Rules of this kind call a single comparison that lies at its border wrongly supported in {half} of experiments, \
             and wrongly refuted in as many."
        )
    })
}

/// Metrics of this project's summaries in plain words, in the order in which a report mentions them.
pub fn glossary(report: &Report) -> Vec<String> {
    let named = |name: &str| match &report.claim.assertion {
        Assertion::Figures { .. } => report.tests.iter().any(|test| test.metric == name),
        _ => report.claim.metrics.iter().any(|metric| metric.name == name),
    };
    METRICS.iter().filter(|(name, _)| named(name)).map(|(name, words)| format!("`{name}`: {words}")).collect()
}

const METRICS: &[(&str, &str)] = &[
    (
        "eval/elbo",
        "evidence lower bound, in nats. It is never above the true log Z in expectation, and the shortfall is what the sampler \
         gets wrong on its own paths; more is better.",
    ),
    ("eval/log_z", "estimate of log Z, the logarithm of the density's normalising constant."),
    ("eval/log_z_error", "distance of that estimate from the exact value; less is better."),
    ("eval/log_z_exact", "the exact value of log Z, by enumeration or a closed form."),
    (
        "eval/ess",
        "effective sample size as a share of the samples: 1 if all weigh the same, near 0 if a few weigh all.",
    ),
    ("ess", "effective sample size as a share of the samples: 1 if all weigh the same, near 0 if a few weigh all."),
    ("eval/emc", "evenness of mode coverage, from 0 (one mode) to 1 (every mode as often as it should be)."),
    (
        "eval/w1",
        "Wasserstein distance of order 1 from the data's law: how far probability has to be carried; less is better.",
    ),
    ("eval/w2", "Wasserstein distance of order 2 from exact samples; less is better."),
    ("w2", "Wasserstein distance of order 2 between the law of the samples and that of the data; less is better."),
    ("rate_max", "the fastest rate at which a mode of the chain forgets its start."),
    ("rate_min", "the slowest such rate."),
    ("target_calls", "evaluations of the density or its score."),
    ("cpu_s", "CPU seconds of the whole run, all threads."),
];
