//! Pictures of a report.

use anyhow::Result;

use super::claim::{Assertion, Figure, RateClaim, Relation};
use super::overall::Overall;
use super::report::Report;
use super::test::Test;
use crate::log::plot::{Axis, Forest, Interval, LinePlot, Picture, Series};
use crate::log::table::figure as number;

/// Lines that a forest plot can show legibly.
const LINES: usize = 40;
/// Settings whose advantages differ by more than this factor in size share no axis.
const SCALES: f64 = 10.0;
/// Differences that should be small are drawn as far as this many margins.
const MARGINS: f64 = 12.0;
/// Departures of figures are drawn as far as this many times what is allowed.
const DEPARTURES: f64 = 3.0;

/// Every picture that the report has data for, with its name.
pub fn of(report: &Report) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    if let Assertion::Figures { figures } = &report.claim.assertion {
        let pages = report.tests.chunks(LINES).zip(figures.chunks(LINES));
        for (page, (tests, figures)) in pages.enumerate() {
            pictures.push((format!("figures_{page}"), departures(report, tests, figures).draw()?));
        }
        return Ok(pictures);
    }
    if let Some(forest) = effects(report) {
        pictures.push(("effects".to_string(), forest.draw()?));
    }
    for (i, curves) in report.equal_n.iter().enumerate().filter(|(_, e)| e.curves.iter().any(|c| c.configs > 1)) {
        let title = format!("{}: best of N configs, {}", curves.metric, curves.setting);
        let mut plot = LinePlot::new(title, Axis::counts("N configs tried"), Axis::linear(&curves.metric));
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

/// Departures of figures from what is stated in units of what is allowed; those that hold in one colour, others in
/// another. What is better than a one-sided figure counts as no departure.
fn departures(report: &Report, tests: &[Test], figures: &[Figure]) -> Forest {
    let line = |(test, figure): (&Test, &Figure)| {
        let found = test.statistic.unwrap_or(f64::NAN);
        let allowed = figure.tolerance.max(1e-12 * figure.expected.abs());
        let scaled = |difference: f64| match figure.relation {
            _ if allowed == 0.0 => 0.0,
            Relation::Equal => (difference / allowed).clamp(-DEPARTURES, DEPARTURES),
            Relation::AtLeast => (difference / allowed).clamp(-DEPARTURES, 0.0),
            Relation::AtMost => (difference / allowed).clamp(0.0, DEPARTURES),
        };
        let holds = test.statistic.is_some_and(|found| figure.holds(found));
        Interval {
            label: test.name.clone(),
            value: scaled(found - figure.expected),
            range: None,
            group: usize::from(!holds),
            note: number(found, 4),
        }
    };
    Forest {
        title: format!("{}: {}", report.claim.id, report.verdict.word()),
        x: Axis::linear("distance from what is stated, 1 = all that is allowed").within(-1.2, 1.2),
        intervals: tests.iter().zip(figures).map(line).collect(),
        references: vec![-1.0, 1.0],
    }
}

/// Effects with their intervals: cells first, then averages.
fn effects(report: &Report) -> Option<Forest> {
    let shown = |test: &&Test| {
        ["cell", "equivalence", "exact", "average"].contains(&test.kind.as_str()) && test.effect.is_some()
    };
    let mut tests: Vec<&Test> = report.tests.iter().filter(shown).take(LINES).collect();
    let scatter = scatters(report, &tests);
    // A mean over settings has no scatter of its own to be measured by.
    tests.retain(|test| !scatter || test.kind != "average");
    if tests.is_empty() {
        return None;
    }
    let groups = super::record::in_order(tests.iter().map(|test| &test.metric));
    let line = |test: &&Test| {
        let metric = if groups.len() > 1 { format!("{}: ", test.metric) } else { String::new() };
        let unit = if scatter { test.deviation.unwrap_or(f64::NAN) } else { 1.0 };
        let group = groups.iter().position(|metric| *metric == test.metric).unwrap_or(0);
        Interval {
            label: format!("{metric}{}, over {}", test.setting, test.baseline),
            value: test.effect.unwrap_or(f64::NAN) / unit,
            range: test.ci_low.zip(test.ci_high).map(|(low, high)| (low / unit, high / unit)),
            group,
            note: in_numbers(test),
        }
    };
    let mut references = vec![0.0];
    match report.claim.assertion {
        Assertion::Superiority { delta, .. } if delta != 0.0 => references.push(delta),
        Assertion::Equivalence { delta, .. } => references = vec![-delta, delta],
        _ => {}
    }
    let widest = tests.iter().filter_map(|test| test.ci_low.zip(test.ci_high));
    let widest = widest.fold(0.0, |widest: f64, (low, high)| widest.max(low.abs()).max(high.abs()));
    let (unit, limit) = match report.claim.assertion {
        Assertion::Equivalence { delta, .. } if widest > MARGINS * delta => {
            ("better to the right; cut off at the frame", Some(MARGINS * delta))
        }
        _ if scatter => ("in units of its scatter", None),
        _ => ("better to the right", None),
    };
    let x = Axis::linear(format!("advantage of {} ({unit})", report.claim.method.name));
    let x = limit.map_or(x.clone(), |limit| x.within(-limit, limit));
    let title = format!("{}: {}", report.claim.id, report.verdict.word());
    Some(Forest { title, x, intervals: tests.iter().map(line).collect(), references })
}

/// Whether advantages are to be drawn in units of their scatter: their sizes differ too much for one axis, and no
/// difference other than 0 is asked about.
fn scatters(report: &Report, tests: &[&Test]) -> bool {
    let about_zero = matches!(report.claim.assertion, Assertion::Superiority { delta, .. } if delta == 0.0);
    let cells = || tests.iter().filter(|test| test.kind == "cell");
    let sizes = || cells().filter_map(|test| test.deviation).filter(|deviation| *deviation > 0.0);
    let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    about_zero && sizes().count() == cells().count() && most > SCALES * least
}

/// `0.114 (0.0937 to 0.135)`.
fn in_numbers(test: &Test) -> String {
    let value = test.effect.map_or(String::new(), |effect| number(effect, 3));
    match test.ci_low.zip(test.ci_high) {
        Some((low, high)) if low < high => format!("{value} ({} to {})", number(low, 3), number(high, 3)),
        _ => value,
    }
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
            let own = report.tests.iter().filter(of).find(|test| test.decides).and_then(|test| test.points.as_ref());
            if let Some(line) = own.and_then(|(x, y)| stated_line(x, y, rate.order)) {
                plot = plot.series(line);
            }
            if !plot.series.is_empty() {
                pictures.push((format!("rate_{}", pictures.len()), plot.draw()?));
            }
        }
    }
    Ok(pictures)
}

/// A line of the stated order through the point of the largest step.
fn stated_line(x: &[f64], y: &[f64], order: f64) -> Option<Series> {
    let (x_max, at) = x.iter().copied().zip(y.iter().copied()).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let line: Vec<f64> = x.iter().map(|x| at * (x / x_max).powf(order)).collect();
    Some(Series::new(format!("stated order {order}"), x, &line))
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
