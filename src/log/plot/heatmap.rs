//! Colour maps of a function of two variables, with a colour bar.

use anyhow::Result;
use plotters::style::RGBAColor;

use super::axis::{Axis, Scale, Tick};
use super::canvas::{Align, Area, Canvas, Lettering};
use super::field::Field;
use super::font::{self, CAP_HEIGHT};
use super::frame::{Frame, Surround, multiplier};
use super::picture::Picture;
use super::scatter::MARGIN;
use super::style::{FRAME, INK, Sizes, density_color};

/// Width of the colour bar in units of its numbers' size, and how many numbers stand beside it.
const BAR_WIDTH: f64 = 1.1;
const MOST_NUMBERS: usize = 11;

/// A [`Field`] in colours; cells without a value stay white.
#[derive(Debug, Clone)]
pub struct HeatMap {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub field: Field,
    /// What the colours mean, and between which values they run.
    pub color: Axis,
    /// Whether small values are dark, as befits energies; otherwise large ones are.
    pub dark_is_low: bool,
    /// Whether one unit is as long on both axes.
    pub equal: bool,
}

impl HeatMap {
    /// Large values dark.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, color: Axis, field: Field) -> Self {
        Self { title: title.into(), x, y, field, color, dark_is_low: false, equal: false }
    }

    /// The free energy of a density in units of kT, low energies dark, cut at `ceiling`.
    pub fn free_energy(title: impl Into<String>, x: Axis, y: Axis, density: Field, ceiling: f64) -> Self {
        let color = Axis::linear("free energy / kT").within(0.0, ceiling);
        Self { dark_is_low: true, ..Self::new(title, x, y, color, density.free_energy()) }
    }

    /// 1100 x 900 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(1100, 900);
        let sheet = canvas.area();
        let color = Scale::fit(&self.color, self.field.values.iter().copied(), 0.0);
        let base = Surround::new(&self.x, &self.y, Sizes::SINGLE);
        let surround = Surround { title: &self.title, right: bar_room(&color), equal: self.equal, ..base };
        let fit = |axis: &Axis, (low, high): (f64, f64)| Scale::fit(axis, [low, high].into_iter(), 0.0);
        let (x, y) = (fit(&self.x, self.field.x), fit(&self.y, self.field.y));

        let frame = Frame::begin(&mut canvas, sheet, &surround, x, y);
        self.draw_cells(&mut canvas, &frame, &color);
        if self.field.limits().is_none() {
            frame.note(&mut canvas, "no data");
        }
        frame.end(&mut canvas, &surround);
        self.draw_color_bar(&mut canvas, &frame, &color);
        let picture = canvas.finish()?;
        Ok(if self.equal { picture.without_white_below(MARGIN) } else { picture })
    }

    fn draw_cells(&self, canvas: &mut Canvas, frame: &Frame, color: &Scale) {
        let f = &self.field;
        let edge = |(low, high): (f64, f64), i: usize, n: usize| low + (high - low) * i as f64 / n as f64;
        for (k, value) in f.values.iter().enumerate() {
            let (i, j) = (k % f.columns, k / f.columns);
            let Some(shade) = color.position(*value) else { continue };
            let low = frame.at(edge(f.x, i, f.columns), edge(f.y, j, f.rows));
            let high = frame.at(edge(f.x, i + 1, f.columns), edge(f.y, j + 1, f.rows));
            if let (Some((left, bottom)), Some((right, top))) = (low, high) {
                canvas.rect(within(Area { left, right, top, bottom }, &frame.inner), self.shade(shade));
            }
        }
    }

    fn shade(&self, position: f64) -> RGBAColor {
        density_color(if self.dark_is_low { 1.0 - position } else { position })
    }

    fn draw_color_bar(&self, canvas: &mut Canvas, frame: &Frame, color: &Scale) {
        let (a, s) = (frame.inner, frame.sizes);
        let left = a.right + s.space * 1.5;
        let bar = Area { left, right: left + s.tick * BAR_WIDTH, ..a }.rounded();
        let steps = 200;
        for i in 0..steps {
            let at = |i: usize| bar.bottom - bar.height() * i as f64 / steps as f64;
            let shade = self.shade((i as f64 + 0.5) / steps as f64);
            canvas.rect(Area { bottom: at(i), top: at(i + 1), ..bar }, shade);
        }
        canvas.outline(bar, 2.0, FRAME);

        let words = Lettering { size: s.tick, bold: false, color: INK, align: Align::Start, upwards: false };
        let (ticks, power) = color.ticks(MOST_NUMBERS);
        for tick in &ticks {
            let Some(text) = &tick.label else { continue };
            let y = bar.bottom - tick.position * bar.height();
            canvas.line(&[(bar.right, y), (bar.right + s.space * 0.5, y)], 1.6, FRAME);
            canvas.text(text, (bar.right + s.space * 0.9, y + s.tick * CAP_HEIGHT / 2.0), words);
        }
        let label = format!("{} {}", self.color.label, multiplier(power));
        let beside = (bar.right + s.space * 1.8 + widest(&ticks, s) + s.label * CAP_HEIGHT, bar.center().1);
        canvas.text(label.trim(), beside, Lettering { size: s.label, align: Align::Middle, upwards: true, ..words });
    }
}

/// Room for the bar, its numbers and its label to the right of the frame.
fn bar_room(color: &Scale) -> f64 {
    let s = Sizes::SINGLE;
    s.tick * BAR_WIDTH + widest(&color.ticks(MOST_NUMBERS).0, s) + s.space * 2.5 + s.label * 1.1
}

fn widest(ticks: &[Tick], s: Sizes) -> f64 {
    ticks.iter().flat_map(|t| &t.label).map(|text| font::width(text, s.tick, false)).fold(0.0, f64::max)
}

/// The part of an area inside another.
fn within(area: Area, bounds: &Area) -> Area {
    Area {
        left: area.left.clamp(bounds.left, bounds.right),
        right: area.right.clamp(bounds.left, bounds.right),
        top: area.top.clamp(bounds.top, bounds.bottom),
        bottom: area.bottom.clamp(bounds.top, bounds.bottom),
    }
}
