//! Curves: losses over steps, profiles over a coordinate.

use anyhow::Result;
use plotters::style::RGBAColor;

use super::axis::{Axis, Scale};
use super::canvas::{Canvas, Point};
use super::curve::smoothed;
use super::frame::{Frame, Surround};
use super::legend::{Entry, Mark};
use super::picture::Picture;
use super::style::{INK, Sizes, faded, is_dashed, pale, series_color};

/// One curve. Values that are not finite, or not positive on a logarithmic axis, leave a gap.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Shown in the legend unless empty.
    pub label: String,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// Lower and upper edge of a shaded band, as long as `x`.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
    /// A dot at every point, for a handful of measurements.
    pub dots: bool,
    /// Draws the curve pale, and over it its mean over a window of this many points.
    pub window: Option<usize>,
}

impl Series {
    pub fn new(label: impl Into<String>, x: &[f64], y: &[f64]) -> Self {
        Self { label: label.into(), x: x.to_vec(), y: y.to_vec(), ..Self::default() }
    }

    /// Shades `y ± deviation`.
    pub fn plus_minus(mut self, deviation: &[f64]) -> Self {
        let edge = |sign: f64| self.y.iter().zip(deviation).map(|(y, d)| y + sign * d).collect();
        self.band = Some((edge(-1.0), edge(1.0)));
        self
    }

    /// For noisy curves: draws a moving mean (geometric on a logarithmic axis) over the pale curve itself.
    pub fn smoothed(mut self, window: usize) -> Self {
        self.window = Some(window);
        self
    }

    pub fn with_dots(mut self) -> Self {
        self.dots = true;
        self
    }
}

/// Curves in one frame.
#[derive(Debug, Clone, Default)]
pub struct LinePlot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Horizontal lines with a name, such as an exact value.
    pub references: Vec<(String, f64)>,
}

impl LinePlot {
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, ..Self::default() }
    }

    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    pub fn reference(mut self, label: impl Into<String>, value: f64) -> Self {
        self.references.push((label.into(), value));
        self
    }

    /// 1200 x 800 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(1200, 800);
        let (x, y) = self.scales();
        let legend = self.legend();
        let base = Surround::new(&self.x, &self.y, Sizes::SINGLE);
        let surround = Surround { title: &self.title, legend: &legend, ..base };
        let sheet = canvas.area();
        let frame = Frame::begin(&mut canvas, sheet, &surround, x, y);

        self.series.iter().enumerate().for_each(|(i, series)| draw_band(&mut canvas, &frame, series, i));
        draw_references(&mut canvas, &frame, &self.references, self.series.len());
        self.series.iter().enumerate().for_each(|(i, series)| draw_series(&mut canvas, &frame, series, i));
        if !self.shows_anything(&frame) {
            frame.note(&mut canvas, "no data");
        }
        frame.end(&mut canvas, &surround);
        canvas.finish()
    }

    /// Scales on which everything finite is seen; the bands too.
    fn scales(&self) -> (Scale, Scale) {
        let x = self.series.iter().flat_map(|s| s.x.iter().copied());
        let edges = |s: &Series| {
            s.band.iter().flat_map(|(low, high)| [low.clone(), high.clone()]).flatten().collect::<Vec<_>>()
        };
        let y = self.series.iter().flat_map(|s| s.y.iter().copied().chain(edges(s)));
        let y = y.chain(self.references.iter().map(|(_, value)| *value));
        (Scale::fit(&self.x, x, 0.02), Scale::fit(&self.y, y, 0.05))
    }

    fn legend(&self) -> Vec<Entry> {
        let entry = |(i, s): (usize, &Series)| Entry {
            label: s.label.clone(),
            mark: if is_dashed(i) { Mark::Dashes } else { Mark::Line },
            color: series_color(i),
        };
        let entries = self.series.iter().enumerate().map(entry);
        let entries = entries.chain(reference_entries(&self.references, self.series.len()));
        entries.filter(|e| !e.label.is_empty()).collect()
    }

    fn shows_anything(&self, frame: &Frame) -> bool {
        let shown = |s: &Series| s.x.iter().zip(&s.y).any(|(x, y)| frame.at(*x, *y).is_some());
        self.series.iter().any(shown)
    }
}

fn draw_band(canvas: &mut Canvas, frame: &Frame, series: &Series, i: usize) {
    let Some((low, high)) = &series.band else { return };
    let edges = series.x.iter().zip(low.iter().zip(high));
    let pixels = edges.map(|(x, (l, h))| {
        let top = frame.at(*x, *h)?;
        // Below everything that a logarithmic axis can show is still a band.
        let bottom = frame.at(*x, *l).or(l.is_finite().then_some((top.0, frame.inner.bottom)))?;
        Some((top, bottom))
    });
    let pixels: Vec<_> = pixels.collect();
    for piece in pixels.split(|p| p.is_none()) {
        let (upper, lower): (Vec<_>, Vec<_>) = piece.iter().flatten().copied().unzip();
        canvas.between(&upper, &lower, frame.inner, faded(series_color(i), 0.18));
    }
}

fn draw_series(canvas: &mut Canvas, frame: &Frame, series: &Series, i: usize) {
    let color = series_color(i);
    let points: Vec<Option<Point>> = series.x.iter().zip(&series.y).map(|(x, y)| frame.at(*x, *y)).collect();
    if let Some(window) = series.window {
        frame.curve(canvas, &points, frame.sizes.line * 0.5, pale(color), false);
        frame.curve(canvas, &smoothed(&points, window), frame.sizes.line, color, is_dashed(i));
    } else {
        frame.curve(canvas, &points, frame.sizes.line, color, is_dashed(i));
    }
    if series.dots {
        let inside = points.into_iter().flatten().filter(|p| frame.holds(*p));
        inside.for_each(|p| canvas.disc(p, frame.sizes.line * 2.0, color));
    }
}

/// Legend entries of reference lines in a plot of `num_series` series.
pub(super) fn reference_entries(references: &[(String, f64)], num_series: usize) -> impl Iterator<Item = Entry> {
    let entry = move |(k, (label, _)): (usize, &(String, f64))| Entry {
        label: label.clone(),
        mark: Mark::Dashes,
        color: reference_color(k, num_series),
    };
    references.iter().enumerate().map(entry)
}

/// Dashed lines right across the frame.
pub(super) fn draw_references(canvas: &mut Canvas, frame: &Frame, references: &[(String, f64)], num_series: usize) {
    let (x, a) = (frame.x.limits().0, frame.inner);
    for (k, (_, value)) in references.iter().enumerate() {
        if let Some((_, y)) = frame.at(x, *value).filter(|p| frame.holds(*p)) {
            let color = reference_color(k, num_series);
            canvas.dashed_line(&[(a.left, y), (a.right, y)], frame.sizes.line * 0.8, color, (9.0, 6.0));
        }
    }
}

/// Black for the first, for any further ones the colours that the series left.
fn reference_color(k: usize, num_series: usize) -> RGBAColor {
    if k == 0 { INK } else { series_color(num_series + k - 1) }
}
