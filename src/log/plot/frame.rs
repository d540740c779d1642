//! The frame of a plot: title, legend, grid, axes, and the way from data to pixels.

use super::axis::{Axis, Scale, Tick, superscript};
use super::canvas::{Align, Area, Canvas, Lettering, Point};
use super::font::{self, CAP_HEIGHT};
use super::legend::{self, Entry};
use super::style::{FAINT_INK, FRAME, GRID, INK, Sizes, WHITE};

/// What surrounds the data.
#[derive(Clone, Copy)]
pub struct Surround<'a> {
    pub title: &'a str,
    pub x: &'a Axis,
    pub y: &'a Axis,
    pub legend: &'a [Entry],
    pub sizes: Sizes,
    /// Room kept free to the right, as for a colour bar.
    pub right: f64,
    /// Whether one unit is to be as long on both axes.
    pub equal: bool,
    /// Names of equal slots that stand on the horizontal axis in place of numbers.
    pub categories: &'a [String],
    /// Fixed place of the frame, for panels that have to line up; found from the labels otherwise.
    pub inner: Option<Area>,
    /// Whether numbers stand at the horizontal and the vertical axis.
    pub numbers: (bool, bool),
}

impl<'a> Surround<'a> {
    /// Axes and sizes; no title, legend or other extras.
    pub fn new(x: &'a Axis, y: &'a Axis, sizes: Sizes) -> Self {
        Self {
            title: "",
            x,
            y,
            legend: &[],
            sizes,
            right: 0.0,
            equal: false,
            categories: &[],
            inner: None,
            numbers: (true, true),
        }
    }
}

/// A frame with its place on the sheet.
pub struct Frame {
    pub inner: Area,
    pub x: Scale,
    pub y: Scale,
    pub sizes: Sizes,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Powers of ten by which the labels of the axes are to be multiplied.
    powers: (i32, i32),
    /// Whether the names below the horizontal axis have to stand on end.
    upright: bool,
}

impl Frame {
    /// Lays the frame out within `outer` and draws what goes below the data: title, legend, grid.
    pub fn begin(canvas: &mut Canvas, outer: Area, surround: &Surround, x: Scale, y: Scale) -> Self {
        let s = surround.sizes;
        let title_base = outer.top + s.space * 1.2 + if surround.title.is_empty() { 0.0 } else { s.title * 0.9 };
        let rows = legend::rows(surround.legend, outer.width() - 4.0 * s.space, s);
        let legend_top = title_base + if surround.title.is_empty() { 0.0 } else { s.space };
        let top = legend_top + rows.len() as f64 * legend::row_height(s) + s.space * 0.8;

        let inner = surround.inner.unwrap_or_else(|| place(Area { top, ..outer }, surround, &x, &y));
        let frame = Self::with_ticks(inner.rounded(), surround, x, y);
        let room = outer.right - frame.inner.left - s.space;
        let size = s.title.min(s.title * room / font::width(surround.title, s.title, true).max(1.0));
        let title = Lettering { size, bold: true, color: INK, align: Align::Start, upwards: false };
        canvas.text(surround.title, (frame.inner.left, title_base), title);
        legend::draw(canvas, &rows, (frame.inner.left, legend_top), s);
        frame.draw_grid(canvas, surround.categories.is_empty());
        frame
    }

    /// Finds the ticks of a frame whose place is known.
    fn with_ticks(inner: Area, surround: &Surround, x: Scale, y: Scale) -> Self {
        let s = surround.sizes;
        let (mut x_ticks, x_power) = match surround.categories {
            [] => spaced_ticks(&x, inner.width(), s),
            names => (category_ticks(names), 0),
        };
        let (mut y_ticks, y_power) = y.ticks(num_rows(inner.height(), s));
        let slot = inner.width() / surround.categories.len().max(1) as f64;
        let upright = widest(surround.categories.iter(), s) > slot * 0.92;

        let (numbers_x, numbers_y) = surround.numbers;
        let hide = |ticks: &mut Vec<Tick>| ticks.iter_mut().flat_map(|t| &mut t.label).for_each(String::clear);
        if !numbers_x {
            hide(&mut x_ticks);
        }
        if !numbers_y {
            hide(&mut y_ticks);
        }
        let powers = (if numbers_x { x_power } else { 0 }, if numbers_y { y_power } else { 0 });
        Self { inner, x, y, sizes: s, x_ticks, y_ticks, powers, upright }
    }

    /// Pixel of a point that both axes can show, inside the frame or not.
    pub fn at(&self, x: f64, y: f64) -> Option<Point> {
        let (x, y) = (self.x.position(x)?, self.y.position(y)?);
        // Far outside is as good as a hundred frames away, and safe to compute with.
        let (x, y) = (x.clamp(-100.0, 101.0), y.clamp(-100.0, 101.0));
        Some((self.inner.left + x * self.inner.width(), self.inner.bottom - y * self.inner.height()))
    }

    /// Whether a pixel lies in the frame.
    pub fn holds(&self, (x, y): Point) -> bool {
        let a = &self.inner;
        (a.left..=a.right).contains(&x) && (a.top..=a.bottom).contains(&y)
    }

    /// A point moved vertically into the frame.
    pub fn capped(&self, (x, y): Point) -> Point {
        (x, y.clamp(self.inner.top, self.inner.bottom))
    }

    /// Words in the middle of the frame.
    pub fn note(&self, canvas: &mut Canvas, text: &str) {
        let size = self.sizes.label;
        let style = Lettering { size, bold: false, color: FAINT_INK, align: Align::Middle, upwards: false };
        canvas.text(text, self.inner.center(), style);
    }

    /// Draws what goes above the data: the frame itself, ticks and labels.
    pub fn end(&self, canvas: &mut Canvas, surround: &Surround) {
        canvas.outline(self.inner, 2.0, FRAME);
        self.draw_x_axis(canvas, &surround.x.label);
        // Panels that line up want their labels to do so too.
        let numbers = widest(labels(&self.y_ticks), self.sizes);
        let least = if surround.inner.is_some() { self.sizes.tick * 2.6 } else { 0.0 };
        self.draw_y_axis(canvas, &surround.y.label, numbers.max(least));
    }

    fn draw_grid(&self, canvas: &mut Canvas, vertical_lines: bool) {
        let a = self.inner;
        canvas.rect(a, WHITE);
        for tick in self.x_ticks.iter().filter(|t| vertical_lines && t.label.is_some()) {
            let x = a.left + tick.position * a.width();
            canvas.line(&[(x, a.top), (x, a.bottom)], 1.3, GRID);
        }
        for tick in self.y_ticks.iter().filter(|t| t.label.is_some()) {
            let y = a.bottom - tick.position * a.height();
            canvas.line(&[(a.left, y), (a.right, y)], 1.3, GRID);
        }
    }

    fn draw_x_axis(&self, canvas: &mut Canvas, label: &str) {
        let (a, s) = (self.inner, self.sizes);
        let words = Lettering { size: s.tick, bold: false, color: INK, align: Align::Middle, upwards: false };
        let first = a.bottom + s.space * 0.9;
        let base = first + s.tick * CAP_HEIGHT;
        for tick in &self.x_ticks {
            let x = a.left + tick.position * a.width();
            canvas.line(&[(x, a.bottom), (x, a.bottom + tick_length(tick, s))], 1.6, FRAME);
            match &tick.label {
                Some(text) if self.upright => {
                    let style = Lettering { align: Align::End, upwards: true, ..words };
                    canvas.text(text, (x + s.tick * CAP_HEIGHT / 2.0, first), style);
                }
                Some(text) => canvas.text(text, (x, base), words),
                None => {}
            }
        }

        let below = if self.upright { first + widest(labels(&self.x_ticks), s) } else { base };
        let line = below + s.space * 0.7 + s.label * 0.9;
        let text = format!("{label} {}", multiplier(self.powers.0));
        canvas.text(text.trim(), (a.center().0, line), Lettering { size: s.label, ..words });
    }

    fn draw_y_axis(&self, canvas: &mut Canvas, label: &str, numbers_width: f64) {
        let (a, s) = (self.inner, self.sizes);
        let words = Lettering { size: s.tick, bold: false, color: INK, align: Align::End, upwards: false };
        for tick in &self.y_ticks {
            let y = a.bottom - tick.position * a.height();
            canvas.line(&[(a.left - tick_length(tick, s), y), (a.left, y)], 1.6, FRAME);
            if let Some(text) = &tick.label {
                canvas.text(text, (a.left - s.space * 0.9, y + s.tick * CAP_HEIGHT / 2.0), words);
            }
        }

        let above = (a.left, a.top - s.space * 0.6);
        canvas.text(&multiplier(self.powers.1), above, Lettering { align: Align::Start, ..words });
        let x = a.left - s.space * 1.5 - numbers_width - s.label * 0.25;
        let style = Lettering { size: s.label, align: Align::Middle, upwards: true, ..words };
        canvas.text(label, (x, a.center().1), style);
    }
}

/// `×10⁵`, or nothing for the power 0.
pub fn multiplier(power: i32) -> String {
    if power == 0 { String::new() } else { format!("×10{}", superscript(power)) }
}

/// The place of a frame, with room for labels around it. The vertical ticks' labels decide where it starts.
fn place(outer: Area, surround: &Surround, x: &Scale, y: &Scale) -> Area {
    let s = surround.sizes;
    let slot = (outer.width() - 6.0 * s.space) / surround.categories.len().max(1) as f64;
    let longest = widest(surround.categories.iter(), s);
    let below = if longest > slot * 0.92 { longest } else { s.tick * 1.2 };
    let x_label = if surround.x.label.is_empty() { 0.0 } else { s.label * 1.3 };
    let bottom = (outer.bottom - s.space * 1.6 - below - x_label).max(outer.top + 1.0);

    let (y_ticks, y_power) = y.ticks(num_rows(bottom - outer.top, s));
    let top = outer.top + if y_power == 0 { 0.0 } else { s.tick * 1.3 };
    let y_label = if surround.y.label.is_empty() { 0.0 } else { s.label * 1.4 };
    let left = outer.left + s.space * 1.8 + y_label + widest(labels(&y_ticks), s);
    let right = (outer.right - s.space * 2.8 - surround.right).max(left + 1.0);
    let inner = Area { left, top, right, bottom: bottom.max(top + 1.0) };
    if surround.equal { with_equal_units(inner, x, y) } else { inner }
}

/// How many labelled ticks fit beside an axis of this height.
fn num_rows(height: f64, s: Sizes) -> usize {
    (height / (s.tick * 2.6)).max(2.0) as usize
}

/// Shrinks an area until one unit is as long on both axes; it stays at the top, centred.
fn with_equal_units(area: Area, x: &Scale, y: &Scale) -> Area {
    let span = |scale: &Scale| scale.limits().1 - scale.limits().0;
    let unit = (area.width() / span(x)).min(area.height() / span(y));
    let (half, height) = (unit * span(x) / 2.0, unit * span(y));
    if !(half.is_finite() && height.is_finite() && half > 0.0 && height > 0.0) {
        return area;
    }
    let middle = area.center().0;
    Area { left: middle - half, right: middle + half, top: area.top, bottom: area.top + height }
}

/// As many ticks as leave room between their labels, and the power of ten that goes with them.
fn spaced_ticks(x: &Scale, width: f64, s: Sizes) -> (Vec<Tick>, i32) {
    let roomy = |(ticks, _): &(Vec<Tick>, i32)| {
        let positions: Vec<f64> = ticks.iter().filter(|t| t.label.is_some()).map(|t| t.position * width).collect();
        let closest = positions.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        closest > widest(labels(ticks), s) + s.tick * 1.2
    };
    (2..=10).rev().map(|n| x.ticks(n)).find(roomy).unwrap_or_else(|| x.ticks(2))
}

/// Ticks in the middle of equal slots.
fn category_ticks(names: &[String]) -> Vec<Tick> {
    let position = |i: usize| (i as f64 + 0.5) / names.len() as f64;
    names.iter().enumerate().map(|(i, name)| Tick { position: position(i), label: Some(name.clone()) }).collect()
}

fn tick_length(tick: &Tick, s: Sizes) -> f64 {
    if tick.label.is_some() { s.space * 0.5 } else { s.space * 0.25 }
}

fn labels(ticks: &[Tick]) -> impl Iterator<Item = &String> {
    ticks.iter().filter_map(|t| t.label.as_ref())
}

fn widest<'a>(labels: impl Iterator<Item = &'a String>, s: Sizes) -> f64 {
    labels.map(|l| font::width(l, s.tick, false)).fold(0.0, f64::max)
}
