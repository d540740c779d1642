//! Bars with error bars: one figure for each of several things, in groups.

use anyhow::Result;

use super::axis::{Axis, Scale};
use super::canvas::{Align, Area, Canvas, Lettering};
use super::frame::{Frame, Surround};
use super::legend::{Entry, Mark};
use super::line::{draw_references, reference_entries};
use super::picture::Picture;
use super::style::{FAINT_INK, FRAME, INK, Sizes, series_color};

/// One bar in every category, all in one colour.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// Shown in the legend unless empty.
    pub label: String,
    /// One for each category; those that are not finite are marked as missing.
    pub values: Vec<f64>,
    /// Half lengths of the error bars.
    pub errors: Option<Vec<f64>>,
}

/// A bar chart.
#[derive(Debug, Clone, Default)]
pub struct BarChart {
    pub title: String,
    pub y: Axis,
    pub categories: Vec<String>,
    pub groups: Vec<Bars>,
    /// Horizontal lines with a name.
    pub references: Vec<(String, f64)>,
}

impl BarChart {
    pub fn new(title: impl Into<String>, y: Axis, categories: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let categories = categories.into_iter().map(Into::into).collect();
        Self { title: title.into(), y, categories, ..Self::default() }
    }

    pub fn bars(mut self, label: impl Into<String>, values: &[f64], errors: Option<&[f64]>) -> Self {
        let errors = errors.map(<[f64]>::to_vec);
        self.groups.push(Bars { label: label.into(), values: values.to_vec(), errors });
        self
    }

    pub fn reference(mut self, label: impl Into<String>, value: f64) -> Self {
        self.references.push((label.into(), value));
        self
    }

    /// 1200 x 800 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(1200, 800);
        let (sheet, legend, no_axis) = (canvas.area(), self.legend(), Axis::linear(""));
        let base = Surround::new(&no_axis, &self.y, Sizes::SINGLE);
        let surround = Surround { title: &self.title, legend: &legend, categories: &self.categories, ..base };

        let slots = self.categories.len().max(1) as f64;
        let x = Scale::fit(&no_axis.clone().within(0.0, slots), std::iter::empty(), 0.0);
        let frame = Frame::begin(&mut canvas, sheet, &surround, x, self.vertical_scale());
        for (i, group) in self.groups.iter().enumerate() {
            self.draw_group(&mut canvas, &frame, group, i);
        }
        if let Some((_, y)) = frame.at(0.0, 0.0).filter(|p| frame.holds(*p)) {
            canvas.line(&[(frame.inner.left, y), (frame.inner.right, y)], 1.6, FRAME);
        }
        if self.groups.iter().all(|g| g.values.iter().all(|v| !v.is_finite())) {
            frame.note(&mut canvas, "no data");
        }
        draw_references(&mut canvas, &frame, &self.references, self.groups.len());
        frame.end(&mut canvas, &surround);
        canvas.finish()
    }

    fn draw_group(&self, canvas: &mut Canvas, frame: &Frame, group: &Bars, i: usize) {
        let slot = frame.inner.width() / self.categories.len().max(1) as f64;
        let width = (slot * 0.8 / self.groups.len() as f64).min(110.0);
        let first = -width * self.groups.len() as f64 / 2.0;
        let foot = frame.at(0.0, 0.0).map_or(frame.inner.bottom, |p| frame.capped(p).1);

        for (k, value) in group.values.iter().enumerate().take(self.categories.len()) {
            let left = frame.inner.left + slot * (k as f64 + 0.5) + first + width * i as f64;
            let center = left + width / 2.0;
            let Some(head) = frame.at(0.0, *value) else {
                let style = Lettering {
                    size: frame.sizes.tick * 0.8,
                    bold: false,
                    color: FAINT_INK,
                    align: Align::Middle,
                    upwards: false,
                };
                canvas.text("n/a", (center, foot - frame.sizes.space * 0.6), style);
                continue;
            };
            let head = frame.capped(head).1;
            let body =
                Area { left: left + 2.0, right: left + width - 2.0, top: head.min(foot), bottom: head.max(foot) };
            canvas.rect(body, series_color(i));
            if let Some(error) = group.errors.as_ref().and_then(|e| e.get(k)).filter(|e| e.is_finite() && **e > 0.0) {
                draw_error(canvas, frame, center, (value - error, value + error), width);
            }
        }
    }

    /// Includes the foot of the bars, which is zero on a linear axis.
    fn vertical_scale(&self) -> Scale {
        let ends = |g: &Bars| -> Vec<f64> {
            let error =
                |k: usize| g.errors.as_ref().and_then(|e| e.get(k)).copied().filter(|e| e.is_finite()).unwrap_or(0.0);
            g.values.iter().enumerate().flat_map(|(k, v)| [v - error(k), v + error(k)]).collect()
        };
        let values = self.groups.iter().flat_map(ends).chain(self.references.iter().map(|(_, v)| *v));
        let values: Vec<f64> = values.filter(|v| v.is_finite()).chain((!self.y.log).then_some(0.0)).collect();

        let fitted = Scale::fit(&self.y, values.iter().copied(), 0.06);
        let (low, high) = fitted.limits();
        // Bars stand on the axis itself unless some hang below it.
        let standing = self.y.range.is_none() && !self.y.log && high > 0.0 && values.iter().all(|v| *v >= 0.0);
        let low = if standing { 0.0 } else { low };
        Scale::fit(&self.y.clone().within(low, high), std::iter::empty(), 0.0)
    }

    fn legend(&self) -> Vec<Entry> {
        let entry =
            |(i, g): (usize, &Bars)| Entry { label: g.label.clone(), mark: Mark::Patch, color: series_color(i) };
        let entries = self.groups.iter().enumerate().map(entry);
        let entries = entries.chain(reference_entries(&self.references, self.groups.len()));
        entries.filter(|e| !e.label.is_empty()).collect()
    }
}

/// A whisker with short feet. An end that a logarithmic axis cannot show lies on the axis.
fn draw_error(canvas: &mut Canvas, frame: &Frame, x: f64, (low, high): (f64, f64), width: f64) {
    let y = |v: f64| frame.at(0.0, v).map_or(frame.inner.bottom, |p| frame.capped(p).1);
    let (bottom, top, half) = (y(low), y(high), (width * 0.18).min(12.0));
    canvas.line(&[(x, bottom), (x, top)], 2.2, INK);
    canvas.line(&[(x - half, top), (x + half, top)], 2.2, INK);
    canvas.line(&[(x - half, bottom), (x + half, bottom)], 2.2, INK);
}
