//! The report in words, for someone who knows neither the papers nor this code: the verdict, then what was claimed, what
//! was run, what came out, how sure.

mod tables;
mod words;

use super::claim::Assertion;
use super::fair::Balance;
use super::report::Report;
use crate::log::table::{Table, figure};

pub fn render(report: &Report, plots: &[String]) -> String {
    let parts = [
        format!("# Claim {}: {}", report.claim.id, report.verdict.word()),
        in_short(report),
        claimed(report),
        what_was_run(report),
        "## What came out".to_string(),
        pictures(report, plots),
        tables::tests(report),
        how_sure(report),
        tables::equal_n(report),
        tables::overall(report),
        gaps(report),
        provenance(report),
    ];
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("* {line}")).collect::<Vec<_>>().join("\n")
}

/// Claim, verdict and outcome, for those who read no further.
fn in_short(report: &Report) -> String {
    let claim = &report.claim;
    let verdict = report.verdict;
    format!(
        "> {}\n>\n> {}\n\n**{}:** {}\n\n{}\n\nWhy this verdict:\n\n{}",
        claim.text.trim(),
        claim.source.trim(),
        capital(verdict.word()),
        words::meaning(verdict),
        words::outcome(report),
        list(&report.reasons)
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn claimed(report: &Report) -> String {
    let claim = &report.claim;
    let mut parts = vec![format!("## What was claimed\n\nTested as: {}", words::asserted(claim))];
    if !claim.notes.is_empty() {
        parts.push(claim.notes.trim().to_string());
    }
    let terms = words::glossary(report);
    if !terms.is_empty() {
        parts.push(list(&terms));
    }
    parts.push(format!("The claim was {}.", report.origin.declared.words()));
    parts.join("\n\n")
}

fn what_was_run(report: &Report) -> String {
    let claim = &report.claim;
    let seeds = |seeds: &[u64]| seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let observation = match claim.unit.as_str() {
        "exact" => "Figures have no noise: one run says all".to_string(),
        unit => format!("One observation is one {unit}"),
    };
    let mut lines = vec![format!("{observation}; the experiment ends after: {}.", claim.stopping)];
    if !claim.evaluation_seeds.is_empty() && claim.unit != "exact" {
        let own = claim.settings.iter().any(|setting| setting.seeds.is_some());
        let but = if own { ", where a setting names no others" } else { "" };
        lines.push(format!("Judged on seeds {}{but}.", seeds(&claim.evaluation_seeds)));
    }
    if !claim.tuning_seeds.is_empty() {
        lines.push(format!(
            "Configs were chosen on seeds {}, up to {}.",
            seeds(&claim.tuning_seeds),
            claim.budget.configs
        ));
    }
    let table = spent(report);
    let balance = match report.fairness.balance {
        Balance::Equal if !claim.baselines.is_empty() => "\n\nThe budgets are equal within the tolerance.",
        Balance::MethodMore => "\n\n**The method had the larger budget.**",
        Balance::MethodLess => "\n\n**The method had the smaller budget.**",
        Balance::Unknown => "\n\n**The budgets cannot be compared.**",
        _ => "",
    };
    format!("## What was run\n\n{}{table}{balance}", lines.join(" ")).trim_end().to_string()
}

/// Runs and their cost, by setting and method.
fn spent(report: &Report) -> String {
    let measure = &report.claim.budget.measure;
    let (costed, compared) = (measure != "none", !report.claim.baselines.is_empty());
    let mut table = Table::new(["setting"]);
    if compared {
        table.header.extend(["method".to_string(), "configs".to_string()]);
    }
    table.header.extend(["runs".to_string(), "failed".to_string()]);
    if costed {
        table.header.push(format!("{measure} a run"));
    }
    for spent in report.fairness.spent.iter().filter(|s| s.runs > 0) {
        let mut row = vec![spent.setting.clone()];
        if compared {
            row.extend([spent.method.clone(), spent.configs.to_string()]);
        }
        row.extend([spent.runs, spent.failed].map(|n| n.to_string()));
        if costed {
            row.push(spent.mean.map_or("–".into(), |v| figure(v, 4)));
        }
        table.row(row);
    }
    if table.rows.is_empty() { String::new() } else { format!("\n\n{}", table.to_markdown().trim_end()) }
}

/// Every picture under what it shows.
fn pictures(report: &Report, plots: &[String]) -> String {
    let caption = |name: &str| {
        match name.split('_').next().unwrap_or_default() {
        "figures" => {
            "Distance of each figure from what is stated, in units of what is allowed: between the dashed lines a figure holds. \
             Costs and speeds that are better than stated lie at 0. To the right: what was found."
                .to_string()
        }
        "effects" => format!(
            "Advantage of {} with its interval, one comparison a line, in figures to the right. Where the intervals lie beside the \
             dashed line or lines, and on which side, decides.",
            report.claim.method.name
        ),
        "best" => "What the best of N configs is expected to reach; shaded are the middle 80 % of such searches.".to_string(),
        "rate" => "Error against step size, both logarithmic: the steeper the line, the faster the convergence."
            .to_string(),
        "profile" => "Share of runs above each value: the higher the curve, the better.".to_string(),
        _ => String::new(),
    }
    };
    let shown = |name: &String| format!("{}\n\n![{name}](plots/{name}.png)", caption(name));
    let mut parts: Vec<String> = Vec::new();
    for name in plots {
        // Pictures of one kind share their caption.
        let again = parts.iter().any(|part| part.starts_with(&caption(name)));
        parts.push(if again { format!("![{name}](plots/{name}.png)") } else { shown(name) });
    }
    parts.join("\n\n")
}

fn how_sure(report: &Report) -> String {
    let mut parts: Vec<String> = words::error_rates(&report.claim).into_iter().collect();
    parts.push(tables::detectable(report));
    match &report.claim.assertion {
        Assertion::Figures { .. } => parts.push(
            "Exact figures are sure; figures of trainings stand on the runs above, and hold as often as their tolerances are \
             wide. A figure that holds may still be off by as much as is allowed."
                .into(),
        ),
        Assertion::Rate(_) => parts.push(
            "The intervals take the points for a straight line with independent errors. Errors of a convergence study bend \
             instead, so they say how straight the line is rather than how often it would come out."
                .into(),
        ),
        _ if report.claim.unit == "exact" => {
            parts.push("The figures have no noise, so that every row is sure for its own setting and says nothing of others.".into())
        }
        _ => {}
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { String::new() } else { format!("## How sure\n\n{}", parts.join("\n\n")) }
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
    let complete = report.missing.is_empty() && report.failed_runs.is_empty();
    if complete {
        lines.insert(0, "no cell is missing and no run failed".into());
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
