//! Curves of a run, from the lines of its `metrics.jsonl`.

use anyhow::Result;

use crate::log::plot::{Axis, LinePlot, Picture, Series};
use crate::train::objective::History;

/// What a plot of curves shows.
pub struct Curves<'a> {
    pub title: &'a str,
    /// Tag of the horizontal axis and its name.
    pub against: (&'a str, &'a str),
    pub y_name: &'a str,
    /// Label and tag of each curve.
    pub tags: &'a [(&'a str, &'a str)],
    /// Label and height of a line to compare with.
    pub reference: Option<(&'a str, f64)>,
}

impl Curves<'_> {
    pub fn draw(&self, history: &History) -> Result<Picture> {
        let (axis, axis_name) = self.against;
        let y = robust_axis(history, self.y_name, self.tags);
        let mut plot = LinePlot::new(self.title, Axis::linear(axis_name), y);
        for (label, tag) in self.tags {
            let rows = history.iter().filter(|row| row.contains_key(*tag));
            let points = rows.map(|row| (row.get(axis).copied().unwrap_or(0.0), row[*tag]));
            let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
            if !x.is_empty() {
                plot = plot.series(Series::new(*label, &x, &y));
            }
        }
        if let Some((label, value)) = self.reference {
            plot = plot.reference(label, value);
        }
        plot.draw()
    }
}

/// The first evaluations may lie orders of magnitude off: the axis spans what came after the first quarter.
fn robust_axis(history: &History, name: &str, tags: &[(&str, &str)]) -> Axis {
    let mut settled = Vec::new();
    for (_, tag) in tags {
        let values: Vec<f64> = history.iter().filter_map(|row| row.get(*tag)).copied().collect();
        settled.extend(values[values.len() / 4..].iter().filter(|v| v.is_finite()));
    }
    let (low, high) = settled.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    if low < high { Axis::linear(name).within(low, high) } else { Axis::linear(name) }
}
