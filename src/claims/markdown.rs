//! The report in words, for someone who knows neither the papers nor this code.

use super::claim::{Assertion, Claim, Quantifier, Relation};
use super::fair::Balance;
use super::judge::Verdict;
use super::report::Report;
use super::test::Test;
use crate::log::table::{Table, figure};

pub fn render(report: &Report, plots: &[String]) -> String {
    let claim = &report.claim;
    let parts = [
        format!("# {}: {}", claim.id, report.verdict.word()),
        claimed(report),
        format!("## Verdict: {}\n\n{}", report.verdict.word(), list(&report.reasons)),
        what_was_run(report),
        tests(report),
        plots.iter().map(|name| format!("![{name}](plots/{name}.png)")).collect::<Vec<_>>().join("\n\n"),
        how_sure(report),
        equal_n(report),
        overall(report),
        gaps(report),
        provenance(report),
    ];
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("* {line}")).collect::<Vec<_>>().join("\n")
}

fn claimed(report: &Report) -> String {
    let claim = &report.claim;
    let notes = if claim.notes.is_empty() { String::new() } else { format!("\n\n{}", claim.notes.trim()) };
    format!(
        "**Claimed:** {} ({})\n\n**Tested as:** {}{notes}\n\nThe claim was {}.",
        claim.text.trim(),
        claim.source.trim(),
        asserted(claim),
        report.origin.declared.words()
    )
}

/// The assertion as a sentence.
fn asserted(claim: &Claim) -> String {
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
        Assertion::Figures { figures } => format!("{} stated figures come out again.", figures.len()),
    }
}

fn what_was_run(report: &Report) -> String {
    let claim = &report.claim;
    let seeds = |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let observation = match claim.unit.as_str() {
        "exact" => "Figures have no noise: one run says all".to_string(),
        unit => format!("One observation is one {unit}"),
    };
    let mut lines = vec![format!("{observation}; stopping rule: {}.", claim.stopping)];
    if !claim.evaluation_seeds.is_empty() {
        lines.push(format!("Judged on seeds {}.", seeds(&claim.evaluation_seeds)));
    }
    if !claim.tuning_seeds.is_empty() {
        lines.push(format!(
            "Configs were chosen on seeds {}, up to {}.",
            seeds(&claim.tuning_seeds),
            claim.budget.configs
        ));
    }
    let measure = &claim.budget.measure;
    let mut table = Table::new(["setting", "method", "configs", "runs", "failed"]);
    let costed = measure != "none";
    if costed {
        table.header.push(format!("{measure} a run"));
    }
    for spent in report.fairness.spent.iter().filter(|s| s.runs > 0) {
        let counts = [spent.configs, spent.runs, spent.failed].map(|n| n.to_string());
        let mut row = vec![spent.setting.clone(), spent.method.clone()];
        row.extend(counts);
        if costed {
            row.push(spent.mean.map_or("–".into(), |v| figure(v, 4)));
        }
        table.row(row);
    }
    let table = if table.rows.is_empty() { String::new() } else { format!("\n\n{}", table.to_markdown().trim_end()) };
    let balance = match report.fairness.balance {
        Balance::Equal if !claim.baselines.is_empty() => "\n\nThe budgets are equal within the tolerance.",
        Balance::MethodMore => "\n\n**The method had the larger budget.**",
        Balance::MethodLess => "\n\n**The method had the smaller budget.**",
        Balance::Unknown => "\n\n**The budgets cannot be compared.**",
        _ => "",
    };
    format!("## What was run\n\n{}{table}{balance}", lines.join(" ")).trim_end().to_string()
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".into(), |v| figure(v, 4))
}

fn tests(report: &Report) -> String {
    if report.tests.is_empty() {
        return String::new();
    }
    let exact = report.tests.iter().all(|test| test.p.is_none());
    let mut header = vec!["test", "n", "effect", "interval"];
    let effects = !matches!(report.claim.assertion, Assertion::Rate(_));
    if !exact {
        header.push("p");
    }
    if !exact && effects {
        header.extend(["p, Holm", "g"]);
    }
    header.push("says");
    let mut table = Table::new(header);
    for test in &report.tests {
        let interval = match test.ci_low.zip(test.ci_high) {
            Some((low, high)) if low < high => format!("{} to {}", figure(low, 4), figure(high, 4)),
            _ => "–".into(),
        };
        let name = if test.decides { test.name.clone() } else { format!("*{}*", test.name) };
        let mut row = vec![name, test.n.to_string(), number(test.effect), interval];
        if !exact {
            row.push(number(test.p));
        }
        if !exact && effects {
            row.extend([test.p_adjusted, test.hedges_gz].map(number));
        }
        row.push(test.outcome.clone());
        table.row(row);
    }
    let level = report.claim.level() * 100.0;
    let positive = match &report.claim.assertion {
        Assertion::Rate(_) => "Effects are slopes; p is two-sided, of the slope being the stated order.".to_string(),
        Assertion::Figures { .. } => "Effects are what was found less what is stated.".to_string(),
        _ if exact => format!("Positive effects speak for {}.", report.claim.method.name),
        Assertion::Equivalence { delta, .. } => {
            let method = &report.claim.method.name;
            format!("Effects are advantages of {method}; p is the larger of those against -{delta} and {delta}.")
        }
        _ => format!("Positive effects speak for {}; p is one-sided, intervals two-sided.", report.claim.method.name),
    };
    let level = if exact { String::new() } else { format!(" Intervals are at {} %.", figure(level, 3)) };
    format!(
        "## Every test\n\n{positive}{level} Rows in italics decide nothing. \
         All other figures of each test (statistic, bootstrap, Wilcoxon, permutation, corrections) are in report.json.\n\n{}",
        table.to_markdown().trim_end()
    )
}

fn how_sure(report: &Report) -> String {
    let planned = report.claim.planning.power * 100.0;
    let cells: Vec<&Test> = report.tests.iter().filter(|t| t.detectable.is_some() && t.kind != "pooled").collect();
    if cells.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["test", "deviation", "least effect seen", "power"]);
    for test in cells {
        let power = test.power.zip(test.power_effect);
        let power = power.map_or("–".into(), |(p, effect)| format!("{} for {effect}", figure(p, 3)));
        table.row([test.name.clone(), number(test.deviation), number(test.detectable), power]);
    }
    let line = format!(
        "With the number of {}s and the scatter found here, an advantage must be this large to be seen with a chance \
         of {} %:",
        report.claim.unit,
        figure(planned, 3)
    );
    let caution = match report.verdict {
        Verdict::Inconclusive => {
            "Inconclusive means that the evidence does not suffice, not that the methods are equal. "
        }
        _ => "",
    };
    format!("## How sure\n\n{caution}{line}\n\n{}", table.to_markdown().trim_end())
}

fn equal_n(report: &Report) -> String {
    let with_choice = report.equal_n.iter().filter(|e| e.curves.iter().any(|c| c.configs > 1));
    let lines: Vec<String> = with_choice.clone().map(|e| e.line()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let split = with_choice.clone().all(|e| e.split);
    let how = if split {
        "Configs are chosen on tuning seeds and reported on evaluation seeds."
    } else {
        "Not every config was run on evaluation seeds: curves show the scores that configs were chosen by, and are \
         optimistic for every method alike."
    };
    format!(
        "## Equal tuning\n\nExpected outcome of the best of N configs, in closed form, against each baseline at the \
         same N. {how}\n\n{}",
        list(&lines)
    )
}

fn overall(report: &Report) -> String {
    if report.overall.is_empty() || report.claim.unit == "exact" || report.claim.baselines.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["metric", "method", "runs", "mean", "interquartile mean", "interval", "gap to best"]);
    for row in &report.overall {
        let interval =
            row.interquartile_interval.map_or("–".into(), |(l, h)| format!("{} to {}", figure(l, 4), figure(h, 4)));
        let values = [Some(row.mean), Some(row.interquartile_mean)].map(number);
        let mut cells = vec![row.metric.clone(), row.method.clone(), row.runs.to_string()];
        cells.extend(values);
        cells.extend([interval, number(row.optimality_gap)]);
        table.row(cells);
    }
    let mixed = report.claim.settings.len() > 1 && report.overall.iter().any(|row| !row.scaled);
    let caution =
        if mixed { " Without a range of the metric these figures mix the scales of the settings." } else { "" };
    format!("## Over all settings\n\nMore is better.{caution}\n\n{}", table.to_markdown().trim_end())
}

fn gaps(report: &Report) -> String {
    let mut lines = report.fairness.remarks.clone();
    lines.extend(report.missing.iter().map(|missing| format!("missing: {missing}")));
    lines.extend(report.failed_runs.iter().map(|run| {
        let error = if run.error.is_empty() { String::new() } else { format!(" ({})", run.error) };
        format!(
            "failed: {} in {}, {} {} {}: {}{error}",
            run.method, run.setting, report.claim.unit, run.unit, run.config, run.status
        )
    }));
    if lines.is_empty() {
        return "## Gaps and failures\n\nNo cell is missing and no run failed.".into();
    }
    format!("## Gaps and failures\n\n{}", list(&lines))
}

fn provenance(report: &Report) -> String {
    let mut lines = vec![
        format!("claim: SHA-256 {}", report.claim_sha256),
        format!("records: {}, SHA-256 {}", report.origin.records, report.origin.records_sha256),
    ];
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (key, values) in &report.runs {
        let values = values.as_array().into_iter().flatten().map(shown).collect::<Vec<_>>().join(", ");
        lines.push(format!("runs, {key}: {values}"));
    }
    for (key, value) in &report.computed_with {
        lines.push(format!("computed with {key}: {}", shown(value)));
    }
    format!(
        "## Provenance\n\n{}\n\nRecompute: `claims verdict {} --claim claim.yaml --out DIR`",
        list(&lines),
        report.origin.records
    )
}
