//! The tables of a report, each with a line on how to read it.

use super::list;
use super::words::{number, percent};
use crate::claims::claim::{Assertion, Figure, Relation};
use crate::claims::report::Report;
use crate::claims::test::Test;
use crate::log::table::{Table, figure};

/// Every test that was run, deciding or not.
pub fn tests(report: &Report) -> String {
    if report.tests.is_empty() {
        return String::new();
    }
    if let Assertion::Figures { figures } = &report.claim.assertion {
        return stated(report, figures);
    }
    let exact = report.tests.iter().all(|test| test.p.is_none());
    let effects = !matches!(report.claim.assertion, Assertion::Rate(_));
    let mut header = vec!["test", "n", if effects { "effect" } else { "slope" }, "interval"];
    if !exact {
        header.push("p");
    }
    if !exact && effects {
        header.extend(["p, Holm", "g"]);
    }
    header.push("says");
    let mut table = Table::new(header);
    for test in &report.tests {
        let name = if test.decides { test.name.clone() } else { format!("*{}*", test.name) };
        let mut row = vec![name, test.n.to_string(), number(test.effect), interval(test)];
        if !exact {
            row.push(number(test.p));
        }
        if !exact && effects {
            row.extend([test.p_adjusted, test.hedges_gz].map(number));
        }
        row.push(test.outcome.clone());
        table.row(row);
    }
    format!("### Every test\n\n{}\n\n{}", reading(report, exact), table.to_markdown().trim_end())
}

fn interval(test: &Test) -> String {
    match test.ci_low.zip(test.ci_high) {
        Some((low, high)) if low < high => format!("{} to {}", figure(low, 4), figure(high, 4)),
        _ => "–".into(),
    }
}

/// What the columns are.
fn reading(report: &Report, exact: bool) -> String {
    let (claim, method) = (&report.claim, &report.claim.method.name);
    let level = percent(claim.level());
    let mut lines = match &claim.assertion {
        Assertion::Rate(_) => vec![
            "The slope is that of the fitted line, log metric against log x: the power. p is two-sided, of the slope being the \
             stated order."
                .to_string(),
        ],
        _ => vec![format!("The effect is the mean advantage of {method}, in the metric's unit; positive speaks for it.")],
    };
    if !exact {
        lines.push(format!("Were all of it repeated, {level} of such intervals would hold the true value."));
    }
    match &claim.assertion {
        _ if exact => {}
        Assertion::Equivalence { delta, .. } => {
            lines.push(format!("p is the larger of those against differences of -{delta} and {delta}."))
        }
        Assertion::Superiority { .. } => lines.push(
            "p is the chance of an advantage at least this large if there were none; p, Holm is that after correction for \
             the number of tests; g is the effect in units of its scatter (Hedges)."
                .to_string(),
        ),
        _ => {}
    }
    lines.push("Rows in italics decide nothing; report.json has every other figure of each test.".into());
    lines.join(" ")
}

/// Stated and found, one row a figure.
fn stated(report: &Report, figures: &[Figure]) -> String {
    let mut table = Table::new(["figure", "stated", "allowed", "found", "runs", "", "stated in"]);
    for (test, figure) in report.tests.iter().zip(figures) {
        let found = test.statistic.map_or("–".into(), |value| plain(value, figure.expected));
        let allowed = match figure.relation {
            Relation::Equal => format!("± {}", figure.tolerance),
            Relation::AtLeast => format!("≥ {}", plain(figure.expected - figure.tolerance, figure.expected)),
            Relation::AtMost => format!("≤ {}", plain(figure.expected + figure.tolerance, figure.expected)),
        };
        let holds = match (test.statistic, test.outcome.starts_with("found")) {
            (Some(value), true) if figure.holds(value) => "holds",
            (Some(_), true) => "**does not hold**",
            _ => "**not measured**",
        };
        let stated = plain(figure.expected, figure.expected);
        let cells =
            [test.name.clone(), stated, allowed, found, test.n.to_string(), holds.into(), figure.stated.clone()];
        table.row(cells);
    }
    let mut how = "Found is the mean over the runs.".to_string();
    if figures.iter().any(|figure| figure.reference.is_some()) {
        how += " A figure named \"… over ours\" is a cost recorded elsewhere over the cost measured here.";
    }
    format!("### Every figure\n\n{how}\n\n{}", table.to_markdown().trim_end())
}

/// A value to two digits more than the stated one is likely to have; whole numbers as they are.
fn plain(value: f64, beside: f64) -> String {
    let whole = value.fract() == 0.0 && beside.fract() == 0.0 && value.abs() < 1e12;
    if whole { format!("{value}") } else { figure(value, 6) }
}

/// The least effects that the design could see.
pub fn detectable(report: &Report) -> String {
    let cells: Vec<&Test> = report.tests.iter().filter(|t| t.detectable.is_some() && t.kind != "pooled").collect();
    if cells.is_empty() {
        return String::new();
    }
    let powered = cells.iter().any(|test| test.power.is_some());
    let mut table = Table::new(["test", "scatter of a difference", "least effect seen"]);
    if powered {
        table.header.push("chance to see the planned effect".into());
    }
    for test in cells {
        let mut row = vec![test.name.clone(), number(test.deviation), number(test.detectable)];
        if powered {
            let power = test.power.zip(test.power_effect);
            row.push(power.map_or("–".into(), |(p, effect)| format!("{} for {effect}", figure(p, 3))));
        }
        table.row(row);
    }
    format!(
        "With the number of {}s and the scatter (standard deviation) found here, an advantage must be this large to be seen with \
         a chance of {}:\n\n{}",
        report.claim.unit,
        percent(report.claim.planning.power),
        table.to_markdown().trim_end()
    )
}

/// Best of N configs, at equal N.
pub fn equal_n(report: &Report) -> String {
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
        "## Equal tuning\n\nWhoever tries more configs finds a better one. So this compares the expected outcome of the best of N \
         configs, in closed form, against each baseline at the same N. {how}\n\n{}",
        list(&lines)
    )
}

/// Aggregates over all settings.
pub fn overall(report: &Report) -> String {
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
