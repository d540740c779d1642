//! A sheet to draw on, in pixels of the finished picture with the origin at the top left.
//!
//! plotters rasterises with whole-pixel corners and uneven smoothing, so everything is drawn at [`OVERSAMPLING`] times
//! the size and averaged down, which smooths lines, discs and letters alike.

use anyhow::{Result, anyhow};
use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::RGBAColor;

use super::font;
use super::picture::Picture;

/// Linear oversampling of the drawing.
const OVERSAMPLING: usize = 3;

/// Horizontal and vertical position, rightwards and downwards.
pub type Point = (f64, f64);

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// With edges on whole pixels, which keeps thin outlines sharp.
    pub fn rounded(&self) -> Area {
        let Area { left, top, right, bottom } = *self;
        Area { left: left.round(), top: top.round(), right: right.round(), bottom: bottom.round() }
    }

    pub fn center(&self) -> Point {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }
}

/// Which point of a text is given: its start, middle or end, always on the base line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Start,
    Middle,
    End,
}

/// How a text looks. `size` is the em in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Lettering {
    pub size: f64,
    pub bold: bool,
    pub color: RGBAColor,
    pub align: Align,
    /// Runs upwards, as the labels of vertical axes do.
    pub upwards: bool,
}

/// A sheet and the first error met in drawing on it.
pub struct Canvas {
    width: usize,
    height: usize,
    /// RGB, oversampled.
    buffer: Vec<u8>,
    error: Option<anyhow::Error>,
}

impl Canvas {
    /// A white sheet.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1) as usize, height.max(1) as usize);
        let buffer = vec![255; width * height * OVERSAMPLING * OVERSAMPLING * 3];
        Self { width, height, buffer, error: None }
    }

    pub fn area(&self) -> Area {
        Area { left: 0.0, top: 0.0, right: self.width as f64, bottom: self.height as f64 }
    }

    /// A filled rectangle. Neighbours that share an edge neither overlap nor leave a gap.
    pub fn rect(&mut self, area: Area, color: RGBAColor) {
        let (a, b) = (fine((area.left, area.top)), fine((area.right, area.bottom)));
        self.draw(|back| back.draw_rect((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)), &color, true));
    }

    /// The outline of a rectangle.
    pub fn outline(&mut self, a: Area, width: f64, color: RGBAColor) {
        let grown = |by: f64| Area { left: a.left - by, top: a.top - by, right: a.right + by, bottom: a.bottom + by };
        let (outer, hole) = (grown(width / 2.0), grown(-width / 2.0));
        self.rect(Area { bottom: hole.top, ..outer }, color);
        self.rect(Area { top: hole.bottom, ..outer }, color);
        self.rect(Area { right: hole.left, ..outer }, color);
        self.rect(Area { left: hole.right, ..outer }, color);
    }

    /// A line through points, with round joints.
    pub fn line(&mut self, points: &[Point], width: f64, color: RGBAColor) {
        for pair in points.windows(2) {
            self.segment(pair[0], pair[1], width, color);
        }
        if width * OVERSAMPLING as f64 >= 3.0 {
            points.iter().skip(1).rev().skip(1).for_each(|p| self.disc(*p, width / 2.0, color));
        }
    }

    /// A dashed line; `dash` and `gap` in pixels.
    pub fn dashed_line(&mut self, points: &[Point], width: f64, color: RGBAColor, (dash, gap): (f64, f64)) {
        let mut travelled = 0.0;
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let along = |s: f64| (from.0 + (to.0 - from.0) * s / length, from.1 + (to.1 - from.1) * s / length);

            // Dashes continue round corners: `travelled` is the phase at the start of this piece.
            let mut start = -(travelled % (dash + gap));
            while start < length {
                let (a, b) = (start.max(0.0), (start + dash).min(length));
                if a < b {
                    self.segment(along(a), along(b), width, color);
                }
                start += dash + gap;
            }
            travelled += length;
        }
    }

    fn segment(&mut self, from: Point, to: Point, width: f64, color: RGBAColor) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        if !(length > 0.0 && length.is_finite()) {
            return;
        }
        let normal = ((to.1 - from.1) / length * width / 2.0, (from.0 - to.0) / length * width / 2.0);
        let shifted = |p: Point, sign: f64| (p.0 + sign * normal.0, p.1 + sign * normal.1);
        self.polygon(&[shifted(from, 1.0), shifted(to, 1.0), shifted(to, -1.0), shifted(from, -1.0)], color);
    }

    /// A filled convex polygon.
    pub fn polygon(&mut self, corners: &[Point], color: RGBAColor) {
        let corners: Vec<_> = corners.iter().map(|p| fine(*p)).collect();
        self.draw(|back| back.fill_polygon(corners, &color));
    }

    /// What lies between two curves over the same ascending abscissae and within `bounds`, in columns that never
    /// overlap.
    pub fn between(&mut self, upper: &[Point], lower: &[Point], bounds: Area, color: RGBAColor) {
        let (corner, opposite) = (fine((bounds.left, bounds.top)), fine((bounds.right, bounds.bottom)));
        for (u, l) in upper.windows(2).zip(lower.windows(2)) {
            let (first, last) = (fine(u[0]).0, fine(u[1]).0);
            for column in first.max(corner.0)..last.min(opposite.0) {
                let t = (f64::from(column - first) + 0.5) / f64::from(last - first);
                let row = |a: Point, b: Point| fine((0.0, a.1 + (b.1 - a.1) * t)).1.clamp(corner.1, opposite.1);
                let (one, other) = (row(u[0], u[1]), row(l[0], l[1]));
                let (top, bottom) = (one.min(other), one.max(other));
                self.draw(|back| back.draw_rect((column, top), (column + 1, bottom), &color, true));
            }
        }
    }

    /// A filled disc.
    pub fn disc(&mut self, center: Point, radius: f64, color: RGBAColor) {
        let radius = (radius * OVERSAMPLING as f64).round().max(1.0) as u32;
        self.draw(|back| back.draw_circle(fine(center), radius, &color, true));
    }

    /// One line of text whose base line starts, centres or ends at a point.
    pub fn text(&mut self, text: &str, at: Point, lettering: Lettering) {
        let back = match lettering.align {
            Align::Start => 0.0,
            Align::Middle => font::width(text, lettering.size, lettering.bold) / 2.0,
            Align::End => font::width(text, lettering.size, lettering.bold),
        };
        let start = if lettering.upwards { (at.0, at.1 + back) } else { (at.0 - back, at.1) };

        let (x0, y0) = fine(start);
        let size = lettering.size * OVERSAMPLING as f64;
        font::draw(text, size, lettering.bold, |x, y, coverage| {
            let pixel = if lettering.upwards { (x0 + y, y0 - x) } else { (x0 + x, y0 + y) };
            self.blend(pixel, lettering.color, f64::from(coverage));
        });
    }

    /// The drawing, averaged down to its final size; or the first error met on the way.
    pub fn finish(self) -> Result<Picture> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let n = OVERSAMPLING;
        let stride = self.width * n * 3;
        let mut rgb = Vec::with_capacity(self.width * self.height * 3);
        let mut sums = vec![0u16; stride];
        for rows in self.buffer.chunks_exact(stride * n) {
            sums.fill(0);
            for row in rows.chunks_exact(stride) {
                sums.iter_mut().zip(row).for_each(|(sum, byte)| *sum += u16::from(*byte));
            }
            for block in sums.chunks_exact(3 * n) {
                let channel = |c: usize| (0..n).map(|i| block[3 * i + c]).sum::<u16>();
                let mean = |c: usize| ((channel(c) + (n * n / 2) as u16) / (n * n) as u16) as u8;
                rgb.extend([mean(0), mean(1), mean(2)]);
            }
        }
        Ok(Picture { width: self.width as u32, height: self.height as u32, rgb })
    }

    /// Mixes a colour into one oversampled pixel, if there is such a pixel.
    fn blend(&mut self, (x, y): (i32, i32), color: RGBAColor, coverage: f64) {
        let (width, height) = ((self.width * OVERSAMPLING) as i32, (self.height * OVERSAMPLING) as i32);
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return;
        }
        let start = 3 * (y as usize * width as usize + x as usize);
        let weight = color.3 * coverage.clamp(0.0, 1.0);
        for (byte, ink) in self.buffer[start..start + 3].iter_mut().zip([color.0, color.1, color.2]) {
            *byte = (f64::from(*byte) + (f64::from(ink) - f64::from(*byte)) * weight).round() as u8;
        }
    }

    fn draw<E: std::fmt::Display>(&mut self, f: impl FnOnce(&mut BitMapBackend) -> Result<(), E>) {
        let size = ((self.width * OVERSAMPLING) as u32, (self.height * OVERSAMPLING) as u32);
        if let Err(error) = f(&mut BitMapBackend::with_buffer(&mut self.buffer, size)) {
            self.error.get_or_insert_with(|| anyhow!("cannot draw a plot: {error}"));
        }
    }
}

/// Oversampled coordinates. The bound keeps sums of two within an `i32`.
fn fine(point: Point) -> (i32, i32) {
    let grid = |v: f64| (v * OVERSAMPLING as f64).round().clamp(-1e6, 1e6) as i32;
    (grid(point.0), grid(point.1))
}
