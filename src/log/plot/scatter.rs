//! Points in the plane, over the contours of the density they should follow.

use anyhow::Result;
use plotters::style::RGBAColor;

use super::axis::{Axis, Scale};
use super::canvas::{Area, Canvas};
use super::field::Field;
use super::frame::{Frame, Surround};
use super::legend::{Entry, Mark};
use super::picture::Picture;
use super::style::{FRAME, Sizes, faded, series_color};

/// More points than this only darken the picture; evenly spaced ones are drawn.
const MOST_POINTS: usize = 10_000;

/// White rows left below a plot that its shape made shorter than the sheet.
pub(super) const MARGIN: u32 = 16;

/// Depths below the highest log-density at which contours are drawn: one to five standard deviations of a Gaussian.
const CONTOUR_DEPTHS: [f64; 5] = [0.5, 2.0, 4.5, 8.0, 12.5];

/// Sets of points, such as samples and a reference.
#[derive(Debug, Clone, Default)]
pub struct ScatterPlot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// Names and points; later sets lie on top.
    pub sets: Vec<(String, Vec<(f64, f64)>)>,
    /// A log-density whose contours are drawn below the points.
    pub contours: Option<Field>,
    /// Whether one unit is as long on both axes.
    pub equal: bool,
}

impl ScatterPlot {
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, equal: true, ..Self::default() }
    }

    pub fn points(mut self, label: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self.sets.push((label.into(), points.to_vec()));
        self
    }

    /// Contours of an unnormalised log-density.
    pub fn contours(mut self, log_density: Field) -> Self {
        self.contours = Some(log_density);
        self
    }

    /// 1000 x 1000 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(1000, 1000);
        let (sheet, legend) = (canvas.area(), self.legend());
        let base = Surround::new(&self.x, &self.y, Sizes::SINGLE);
        let surround = Surround { title: &self.title, legend: &legend, equal: self.equal, ..base };
        self.draw_in(&mut canvas, sheet, &surround);
        let picture = canvas.finish()?;
        Ok(if self.equal { picture.without_white_below(MARGIN) } else { picture })
    }

    /// Draws into a part of a sheet.
    pub(super) fn draw_in(&self, canvas: &mut Canvas, outer: Area, surround: &Surround) {
        let (x, y) = self.scales();
        let frame = Frame::begin(canvas, outer, surround, x, y);
        if let Some(field) = &self.contours {
            draw_contours(canvas, &frame, field);
        }

        let mut drawn = 0;
        for (i, (_, points)) in self.sets.iter().enumerate() {
            let stride = points.len().div_ceil(MOST_POINTS).max(1);
            let pixels = points.iter().step_by(stride).filter_map(|(x, y)| frame.at(*x, *y));
            let inside: Vec<_> = pixels.filter(|p| frame.holds(*p)).collect();
            let (radius, color) = marker(inside.len(), series_color(i), frame.inner.width());
            inside.iter().for_each(|p| canvas.disc(*p, radius, color));
            drawn += inside.len();
        }
        if drawn == 0 && self.contours.is_none() {
            frame.note(canvas, "no data");
        }
        frame.end(canvas, surround);
    }

    /// The rectangle of the contours if there are any, else of the points.
    fn scales(&self) -> (Scale, Scale) {
        if let Some(field) = &self.contours {
            let fit = |axis: &Axis, (low, high): (f64, f64)| Scale::fit(axis, [low, high].into_iter(), 0.0);
            return (fit(&self.x, field.x), fit(&self.y, field.y));
        }
        let points = || self.sets.iter().flat_map(|(_, points)| points);
        (Scale::fit(&self.x, points().map(|p| p.0), 0.04), Scale::fit(&self.y, points().map(|p| p.1), 0.04))
    }

    fn legend(&self) -> Vec<Entry> {
        let entry = |(i, (label, _)): (usize, &(String, _))| Entry {
            label: label.clone(),
            mark: Mark::Dot,
            color: series_color(i),
        };
        self.sets.iter().enumerate().map(entry).filter(|e| !e.label.is_empty()).collect()
    }
}

/// Radius and colour of the dots: the more, the smaller and the more transparent.
fn marker(count: usize, color: RGBAColor, frame_width: f64) -> (f64, RGBAColor) {
    let crowd = (count as f64 / 300.0).max(1.0);
    let radius = (frame_width / 180.0).clamp(2.4, 5.0) * crowd.powf(-0.17);
    (radius, faded(color, (0.85 * crowd.powf(-0.28)).clamp(0.25, 0.85)))
}

fn draw_contours(canvas: &mut Canvas, frame: &Frame, field: &Field) {
    let Some((_, highest)) = field.limits() else { return };
    for depth in CONTOUR_DEPTHS {
        for [a, b] in field.contour(highest - depth) {
            let ends = (frame.at(a.0, a.1), frame.at(b.0, b.1));
            if let (Some(a), Some(b)) = ends
                && frame.holds(a)
                && frame.holds(b)
            {
                canvas.line(&[a, b], frame.sizes.line * 0.5, FRAME);
            }
        }
    }
}
