//! Legends: rows above the frame, so that they never cover data.

use plotters::style::RGBAColor;

use super::canvas::{Align, Area, Canvas, Lettering, Point};
use super::font::{self, CAP_HEIGHT};
use super::style::{INK, Sizes};

/// How a legend entry is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    Line,
    Dashes,
    Dot,
    Patch,
}

/// A name with its mark.
#[derive(Debug, Clone)]
pub struct Entry {
    pub label: String,
    pub mark: Mark,
    pub color: RGBAColor,
}

/// Height of one row.
pub fn row_height(s: Sizes) -> f64 {
    s.tick * 1.5
}

/// Entries broken into rows that fit a width.
pub fn rows(entries: &[Entry], width: f64, s: Sizes) -> Vec<&[Entry]> {
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0.0);
    for (i, entry) in entries.iter().enumerate() {
        let needed = entry_width(entry, s);
        if i > start && used + needed > width {
            rows.push(&entries[start..i]);
            (start, used) = (i, 0.0);
        }
        used += needed;
    }
    if start < entries.len() {
        rows.push(&entries[start..]);
    }
    rows
}

/// Draws rows downwards from an upper left corner.
pub fn draw(canvas: &mut Canvas, rows: &[&[Entry]], (left, top): Point, s: Sizes) {
    let words = Lettering { size: s.tick, bold: false, color: INK, align: Align::Start, upwards: false };
    for (i, row) in rows.iter().enumerate() {
        let base = top + (i as f64 + 1.0) * row_height(s) - s.tick * 0.4;
        let mut x = left;
        for entry in row.iter() {
            draw_mark(canvas, entry, (x, base - s.tick * CAP_HEIGHT / 2.0), s);
            canvas.text(&entry.label, (x + s.tick * 1.9, base), words);
            x += entry_width(entry, s);
        }
    }
}

fn entry_width(entry: &Entry, s: Sizes) -> f64 {
    s.tick * 3.3 + font::width(&entry.label, s.tick, false)
}

fn draw_mark(canvas: &mut Canvas, entry: &Entry, (x, y): Point, s: Sizes) {
    let end = x + s.tick * 1.5;
    match entry.mark {
        Mark::Line => canvas.line(&[(x, y), (end, y)], s.line * 1.2, entry.color),
        Mark::Dashes => canvas.dashed_line(&[(x, y), (end, y)], s.line, entry.color, (s.line * 3.0, s.line * 1.8)),
        Mark::Dot => canvas.disc(((x + end) / 2.0, y), s.tick * 0.3, entry.color),
        Mark::Patch => {
            let half = s.tick * 0.38;
            let left = end - s.tick * 1.1;
            canvas.rect(Area { left, right: end, top: y - half, bottom: y + half }, entry.color);
        }
    }
}
