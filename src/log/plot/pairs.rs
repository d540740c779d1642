//! All marginals of a few coordinates at a glance: histograms on the diagonal, pairs below it.

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Align, Area, Canvas, Lettering};
use super::frame::Surround;
use super::histogram::{HistogramPlot, Sample};
use super::legend::{self, Entry, Mark};
use super::picture::Picture;
use super::scatter::ScatterPlot;
use super::style::{INK, Sizes, series_color};

/// More panels than 5 x 5 are too small to read.
const MOST_COORDINATES: usize = 5;

/// Width and height of the picture, and what the title takes of it.
const SIDE: f64 = 1200.0;
const HEADING: f64 = 60.0;

/// Points drawn in each panel for each set.
const POINTS_PER_PANEL: usize = 1000;

/// Samples of a distribution on R^d, compared by their one- and two-dimensional marginals.
#[derive(Debug, Clone, Default)]
pub struct PairsPlot {
    pub title: String,
    /// Names of the coordinates; the first few are shown.
    pub names: Vec<String>,
    /// Names of the sets and their points as rows; later sets lie on top.
    pub sets: Vec<(String, Vec<Vec<f64>>)>,
    /// Limits of all coordinates; the middle 99 % of all sets if absent.
    pub range: Option<(f64, f64)>,
}

impl PairsPlot {
    pub fn new(title: impl Into<String>, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { title: title.into(), names: names.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds the rows of a `[N, D]` tensor.
    pub fn points(mut self, label: impl Into<String>, points: &tch::Tensor) -> Self {
        let width = points.size().last().copied().unwrap_or(1).max(1) as usize;
        let rows = crate::log::values(points).chunks_exact(width).map(<[f64]>::to_vec).collect();
        self.sets.push((label.into(), rows));
        self
    }

    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// 1200 x 1200 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(SIDE as u32, SIDE as u32);
        let k = self.names.len().clamp(1, MOST_COORDINATES);
        let axes: Vec<Axis> = (0..k).map(|i| self.axis(i)).collect();
        for row in 0..k {
            for column in 0..=row {
                self.draw_panel(&mut canvas, &axes, row, column);
            }
        }
        self.draw_heading(&mut canvas, k);
        canvas.finish()
    }

    /// One panel; numbers and names stand only along the outer edge of the matrix.
    fn draw_panel(&self, canvas: &mut Canvas, axes: &[Axis], row: usize, column: usize) {
        let unnamed = |axis: &Axis| Axis { label: String::new(), ..axis.clone() };
        let (bottom, leftmost) = (row + 1 == axes.len(), column == 0 && row > 0);
        let x = if bottom { axes[column].clone() } else { unnamed(&axes[column]) };
        let y = if leftmost { axes[row].clone() } else { unnamed(&axes[row]) };
        let inner = Some(panel(row, column, axes.len()));
        let surround = Surround { inner, numbers: (bottom, leftmost), ..Surround::new(&x, &y, Sizes::SMALL) };

        let sheet = canvas.area();
        if row == column {
            let mut plot = HistogramPlot::new("", x.clone()).bins(40);
            plot.samples = self.sets.iter().map(|(_, rows)| Sample::new("", &values_of(rows, row))).collect();
            plot.draw_in(canvas, sheet, &surround);
        } else {
            let mut plot = ScatterPlot::new("", x.clone(), y.clone());
            plot.sets = self.sets.iter().map(|(_, rows)| (String::new(), some_points(rows, column, row))).collect();
            plot.draw_in(canvas, sheet, &surround);
        }
    }

    fn axis(&self, i: usize) -> Axis {
        let (low, high) = self.range.unwrap_or_else(|| self.central_range(i));
        Axis::linear(self.names.get(i).cloned().unwrap_or_default()).within(low, high)
    }

    /// From the 0.5th to the 99.5th percentile of a coordinate over all sets, and a little more.
    fn central_range(&self, i: usize) -> (f64, f64) {
        let mut all: Vec<f64> =
            self.sets.iter().flat_map(|(_, rows)| values_of(rows, i)).filter(|v| v.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        let Some(last) = all.len().checked_sub(1) else { return (0.0, 1.0) };
        let (low, high) = (all[last / 200], all[last - last / 200]);
        let room = if high > low { (high - low) * 0.08 } else { low.abs().max(1.0) * 0.1 };
        (low - room, high + room)
    }

    /// The title, and the names of the sets in the empty upper right.
    fn draw_heading(&self, canvas: &mut Canvas, k: usize) {
        let s = Sizes::SINGLE;
        let style = Lettering { size: s.title, bold: true, color: INK, align: Align::Start, upwards: false };
        canvas.text(&self.title, (panel(0, 0, k).left, s.title * 1.3), style);

        let mark = |(i, (label, _)): (usize, &(String, _))| Entry {
            label: label.clone(),
            mark: Mark::Dot,
            color: series_color(i),
        };
        let entries: Vec<Entry> = self.sets.iter().enumerate().map(mark).filter(|e| !e.label.is_empty()).collect();
        let rows: Vec<&[Entry]> = entries.chunks(1).collect();
        let corner = if k > 1 { (panel(1, 1, k).left, HEADING) } else { (SIDE * 0.8, 0.0) };
        legend::draw(canvas, &rows, corner, s);
    }
}

/// Where a panel's frame lies.
fn panel(row: usize, column: usize, k: usize) -> Area {
    let (left, below, gap) = (100.0, 80.0, 18.0);
    let width = (SIDE - left - 20.0 + gap) / k as f64;
    let height = (SIDE - HEADING - below + gap) / k as f64;
    let (x, y) = (left + column as f64 * width, HEADING + row as f64 * height);
    Area { left: x, top: y, right: x + width - gap, bottom: y + height - gap }
}

/// Two coordinates of evenly spaced rows.
fn some_points(rows: &[Vec<f64>], i: usize, j: usize) -> Vec<(f64, f64)> {
    let stride = rows.len().div_ceil(POINTS_PER_PANEL).max(1);
    let (x, y) = (values_of(rows, i), values_of(rows, j));
    x.into_iter().zip(y).step_by(stride).collect()
}

/// One coordinate of all rows; NaN where a row is too short.
fn values_of(rows: &[Vec<f64>], i: usize) -> Vec<f64> {
    rows.iter().map(|row| row.get(i).copied().unwrap_or(f64::NAN)).collect()
}
