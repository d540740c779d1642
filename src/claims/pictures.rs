//! Pictures of a report.

use anyhow::Result;

use super::claim::{Assertion, RateClaim};
use super::overall::Overall;
use super::report::Report;
use super::test::Test;
use crate::log::plot::{Axis, Forest, Interval, LinePlot, Picture, Series};

/// Lines that a forest plot can show legibly.
const LINES: usize = 40;

/// Every picture that the report has data for, with its name.
pub fn of(report: &Report) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    if let Some(forest) = effects(report) {
        pictures.push(("effects".to_string(), forest.draw()?));
    }
    for (i, curves) in report.equal_n.iter().enumerate().filter(|(_, e)| e.curves.iter().any(|c| c.configs > 1)) {
        let title = format!("{}: best of N configs, {}", curves.metric, curves.setting);
        let mut plot = LinePlot::new(title, Axis::linear("N configs tried"), Axis::linear(&curves.metric));
        for curve in &curves.curves {
            let x: Vec<f64> = curve.n.iter().map(|n| *n as f64).collect();
            let band = Some((curve.low.clone(), curve.high.clone()));
            let dots = x.len() < 20;
            plot = plot.series(Series { band, dots, ..Series::new(&curve.method, &x, &curve.expected) });
        }
        pictures.push((format!("best_of_n_{i}"), plot.draw()?));
    }
    if let Assertion::Rate(rate) = &report.claim.assertion {
        pictures.extend(rate_plots(report, rate)?);
    }
    pictures.extend(profiles(report)?);
    Ok(pictures)
}

/// Effects with their intervals: cells first, then averages.
fn effects(report: &Report) -> Option<Forest> {
    let shown = |test: &&Test| {
        ["cell", "equivalence", "exact", "average", "figure"].contains(&test.kind.as_str()) && test.effect.is_some()
    };
    let tests: Vec<&Test> = report.tests.iter().filter(shown).take(LINES).collect();
    if tests.is_empty() {
        return None;
    }
    let groups = super::record::in_order(tests.iter().map(|test| &test.metric));
    let (several, figures) = (groups.len() > 1, tests.iter().all(|test| test.kind == "figure"));
    let line = |test: &&Test| {
        let mut label = if figures { test.name.clone() } else { format!("{}, over {}", test.setting, test.baseline) };
        if several && !figures {
            label = format!("{}: {label}", test.metric);
        }
        let group = groups.iter().position(|metric| *metric == test.metric).unwrap_or(0);
        Interval { label, value: test.effect.unwrap_or(f64::NAN), range: test.ci_low.zip(test.ci_high), group }
    };
    let axis = if figures {
        "found less stated".to_string()
    } else {
        format!("advantage of {} (to the right: better)", report.claim.method.name)
    };
    let mut references = vec![0.0];
    match report.claim.assertion {
        Assertion::Superiority { delta, .. } if delta != 0.0 => references.push(delta),
        Assertion::Equivalence { delta, .. } => references = vec![-delta, delta],
        _ => {}
    }
    let title = format!("{}: {}", report.claim.id, report.verdict.word());
    Some(Forest { title, x: Axis::linear(axis), intervals: tests.iter().map(line).collect(), references })
}

/// The points of a rate with the fitted lines, one picture a metric and setting.
fn rate_plots(report: &Report, rate: &RateClaim) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for metric in &report.claim.metrics {
        for setting in &report.claim.settings {
            let x = if report.claim.sweep.as_ref().is_some_and(|s| s.inverse) { "1 / " } else { "" };
            let key = report.claim.sweep.as_ref().map_or("x", |sweep| sweep.key.as_str());
            let title = format!("{}, {}: stated order {}", metric.name, setting.name, rate.order);
            let mut plot = LinePlot::new(title, Axis::log(format!("{x}{key}")), Axis::log(&metric.name));
            let of = |test: &&Test| test.metric == metric.name && test.setting == setting.name && test.kind == "rate";
            for test in report.tests.iter().filter(of) {
                let Some((x, y)) = &test.points else { continue };
                let slope = test.effect.map_or("no slope".to_string(), |slope| format!("slope {slope:.2}"));
                plot = plot.series(Series::new(format!("{}, {slope}", test.method), x, y).with_dots());
            }
            if !plot.series.is_empty() {
                pictures.push((format!("rate_{}", pictures.len()), plot.draw()?));
            }
        }
    }
    Ok(pictures)
}

fn profiles(report: &Report) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for metric in &report.claim.metrics {
        let common = |scaled: bool| scaled || report.claim.settings.len() == 1;
        let of = |row: &&Overall| row.metric == metric.name && row.runs > 1 && common(row.scaled);
        let rows: Vec<&Overall> = report.overall.iter().filter(of).collect();
        if rows.len() < 2 {
            continue;
        }
        let unit = if rows[0].scaled { " (0 worst, 1 best)" } else { ", better to the right" };
        let mut plot = LinePlot::new(
            format!("Performance profile, {}", metric.name),
            Axis::linear(format!("{}{unit}", metric.name)),
            Axis::linear("share of runs above").within(0.0, 1.0),
        );
        for row in rows {
            plot = plot.series(Series::new(&row.method, &row.profile.0, &row.profile.1));
        }
        pictures.push((format!("profile_{}", pictures.len()), plot.draw()?));
    }
    Ok(pictures)
}
