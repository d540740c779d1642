//! Effects with their intervals, one below the other under names that may be long.

use anyhow::Result;

use super::axis::{Axis, Scale};
use super::canvas::{Align, Area, Canvas, Lettering, Point};
use super::font;
use super::frame::{Frame, Surround};
use super::picture::Picture;
use super::style::{FAINT_INK, INK, Sizes, faded, series_color};

/// One line of a forest plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    pub label: String,
    pub value: f64,
    /// Ends of the interval; a value without one is a dot.
    pub range: Option<(f64, f64)>,
    /// Lines of one group share a colour.
    pub group: usize,
    /// What stands to the right of the line, such as the figures in it.
    pub note: String,
}

/// Effects on a common axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forest {
    pub title: String,
    pub x: Axis,
    pub intervals: Vec<Interval>,
    /// Vertical lines, such as no effect.
    pub references: Vec<f64>,
}

const ROW: f64 = 44.0;

impl Forest {
    /// 1200 pixels wide, as high as its lines need.
    pub fn draw(&self) -> Result<Picture> {
        let rows = self.intervals.len().max(1);
        let mut canvas = Canvas::new(1200, (170.0 + ROW * rows as f64) as u32);
        let (sheet, sizes, no_axis) = (canvas.area(), Sizes::SINGLE, Axis::linear(""));
        let size = sizes.tick * 0.95;
        let widest = self.intervals.iter().map(|i| font::width(&i.label, size, false)).fold(0.0, f64::max);
        let left = sheet.left + (widest + 3.0 * sizes.space).min(sheet.width() * 0.55);
        let noted = self.intervals.iter().map(|i| font::width(&i.note, size, false)).fold(0.0, f64::max);
        let right = sheet.right - 40.0 - noted.min(sheet.width() * 0.3);
        let inner = Area { left, right, top: 70.0, bottom: 70.0 + ROW * rows as f64 };
        let base = Surround::new(&self.x, &no_axis, sizes);
        let surround = Surround { title: &self.title, inner: Some(inner), numbers: (true, false), ..base };

        let y = Scale::fit(&no_axis.clone().within(0.0, rows as f64), std::iter::empty(), 0.0);
        let frame = Frame::begin(&mut canvas, sheet, &surround, self.scale(), y);
        for value in &self.references {
            if let Some((x, _)) = frame.at(*value, 0.0).filter(|p| frame.holds(*p)) {
                canvas.dashed_line(&[(x, inner.top), (x, inner.bottom)], 1.8, INK, (9.0, 6.0));
            }
        }
        let row = |k: usize| (rows - k) as f64 - 0.5;
        self.intervals.iter().enumerate().for_each(|(k, line)| draw_line(&mut canvas, &frame, line, row(k), size));
        if self.intervals.is_empty() {
            frame.note(&mut canvas, "no data");
        }
        frame.end(&mut canvas, &surround);
        canvas.finish()
    }

    fn scale(&self) -> Scale {
        let ends = self.intervals.iter().flat_map(|i| {
            let (low, high) = i.range.unwrap_or((i.value, i.value));
            [i.value, low, high]
        });
        Scale::fit(&self.x, ends.chain(self.references.iter().copied()), 0.06)
    }
}

fn draw_line(canvas: &mut Canvas, frame: &Frame, line: &Interval, y: f64, size: f64) {
    let inside = |p: Point| (p.0.clamp(frame.inner.left, frame.inner.right), p.1);
    let center = |x: f64| frame.at(x, y).map(inside);
    let middle = frame.at(frame.x.limits().0, y).map_or(frame.inner.bottom, |p| p.1);
    let lettering = |align, color| Lettering { size, bold: false, color, align, upwards: false };
    let room = frame.inner.left - 16.0;
    canvas.text(&fitted(&line.label, room, size), (room + 4.0, middle + size * 0.35), lettering(Align::End, INK));

    canvas.text(&line.note, (frame.inner.right + 14.0, middle + size * 0.35), lettering(Align::Start, INK));
    let color = series_color(line.group);
    if let Some((Some(low), Some(high))) = line.range.map(|(low, high)| (center(low), center(high))) {
        let foot = |p: Point| [(p.0, p.1 - 7.0), (p.0, p.1 + 7.0)];
        canvas.line(&[low, high], 3.2, faded(color, 0.75));
        canvas.line(&foot(low), 2.2, color);
        canvas.line(&foot(high), 2.2, color);
    }
    match center(line.value) {
        Some(p) => canvas.disc(p, 6.5, color),
        None => canvas.text("n/a", (frame.inner.left + 12.0, middle + size * 0.35), lettering(Align::Start, FAINT_INK)),
    }
}

/// A label cut to the room there is.
fn fitted(label: &str, room: f64, size: f64) -> String {
    let mut text = label.to_string();
    while font::width(&text, size, false) > room && text.chars().count() > 4 {
        text = text.trim_end_matches('…').chars().rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_drawn_and_bad_values_are_no_error() {
        let line = |value: f64, range| Interval {
            label: "a rather long name | of a setting".into(),
            value,
            range,
            group: 0,
            note: "0.5".into(),
        };
        let intervals =
            vec![line(0.5, Some((0.1, 0.9))), line(f64::NAN, None), line(1.0, Some((f64::NEG_INFINITY, 2.0)))];
        let forest = Forest { title: "t".into(), x: Axis::linear("effect"), intervals, references: vec![0.0] };
        let picture = forest.draw().unwrap();
        let coloured = picture.rgb.chunks_exact(3).filter(|p| p[2] > p[0].saturating_add(40)).count();
        assert!(coloured > 400, "{coloured}");
        assert_eq!(picture.height, (170.0 + ROW * 3.0) as u32);
        assert!(Forest::default().draw().is_ok());
        assert!(fitted("abcdefghijklmnop", 40.0, 20.0).ends_with('…'));
    }
}
