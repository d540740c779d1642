//! Curves inside a frame: gaps, cutting at the edge, and thinning of long ones.

use plotters::style::RGBAColor;

use super::canvas::{Area, Canvas, Point};
use super::frame::Frame;

/// A polyline with more points than this is thinned before it is drawn.
const MANY: usize = 4000;

impl Frame {
    /// Draws a curve, cut off at the frame. Where a point is missing the curve is interrupted; a point between two
    /// gaps becomes a dot.
    pub fn curve(&self, canvas: &mut Canvas, points: &[Option<Point>], width: f64, color: RGBAColor, dashed: bool) {
        for piece in points.split(|p| p.is_none()) {
            let piece: Vec<Point> = piece.iter().flatten().copied().collect();
            if let [lone] = piece.as_slice() {
                if self.holds(*lone) {
                    canvas.disc(*lone, width * 1.5, color);
                }
                continue;
            }
            for run in clipped(&thinned(&piece), &self.inner) {
                if dashed {
                    canvas.dashed_line(&run, width, color, (width * 4.0, width * 2.5));
                } else {
                    canvas.line(&run, width, color);
                }
            }
        }
    }
}

/// Each point's height replaced by the mean over a window of points centred on it. Gaps stay; windows
/// end at them.
pub fn smoothed(points: &[Option<Point>], window: usize) -> Vec<Option<Point>> {
    let half = window / 2;
    let mut out = Vec::with_capacity(points.len());
    for piece in points.split(|p| p.is_none()) {
        let piece: Vec<Point> = piece.iter().flatten().copied().collect();
        let mut sums = vec![0.0];
        sums.extend(piece.iter().scan(0.0, |sum, p| {
            *sum += p.1;
            Some(*sum)
        }));
        out.extend(piece.iter().enumerate().map(|(i, p)| {
            let (from, to) = (i.saturating_sub(half), (i + half + 1).min(piece.len()));
            Some((p.0, (sums[to] - sums[from]) / (to - from) as f64))
        }));
        out.push(None);
    }
    out.pop();
    out
}

/// The parts of a polyline inside an area.
fn clipped(points: &[Point], area: &Area) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    let mut joined = false;
    for pair in points.windows(2) {
        let Some((from, to)) = clip(pair[0], pair[1], area) else {
            joined = false;
            continue;
        };
        match runs.last_mut() {
            Some(run) if joined => run.push(to),
            _ => runs.push(vec![from, to]),
        }
        joined = to == pair[1];
    }
    runs
}

/// The part of a segment inside an area (Liang and Barsky, "A new concept and method for line clipping", 1984).
fn clip(from: Point, to: Point, area: &Area) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    let sides =
        [(-dx, from.0 - area.left), (dx, area.right - from.0), (-dy, from.1 - area.top), (dy, area.bottom - from.1)];
    for (speed, room) in sides {
        if speed == 0.0 && room < 0.0 {
            return None;
        } else if speed < 0.0 {
            enter = enter.max(room / speed);
        } else if speed > 0.0 {
            leave = leave.min(room / speed);
        }
    }

    // Ends that were not cut stay exactly what they were, so that joints can be recognised.
    let at = |t: f64| (from.0 + dx * t, from.1 + dy * t);
    let start = if enter > 0.0 { at(enter) } else { from };
    let end = if leave < 1.0 { at(leave) } else { to };
    (enter <= leave).then_some((start, end))
}

/// A long polyline reduced to first, least, largest and last of each half pixel column, which looks the same.
fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() < MANY {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for column in points.chunk_by(|a, b| (a.0 * 2.0).floor() == (b.0 * 2.0).floor()) {
        let by_height = |i: &usize, j: &usize| column[*i].1.total_cmp(&column[*j].1);
        let indices = || 0..column.len();
        let mut chosen = vec![0, column.len() - 1];
        chosen.extend(indices().min_by(by_height));
        chosen.extend(indices().max_by(by_height));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().map(|i| column[i]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Area = Area { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };

    #[test]
    fn polylines_are_cut_at_the_edges() {
        let zigzag = [(-1.0, 0.5), (0.5, 0.5), (0.5, 2.0), (0.75, 2.0), (0.75, -1.0), (5.0, -1.0)];
        let runs = clipped(&zigzag, &UNIT);
        assert_eq!(runs, [vec![(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)], vec![(0.75, 1.0), (0.75, 0.0)]]);
        assert!(clipped(&[(-1.0, 0.5), (0.5, 2.0)], &UNIT).is_empty());
    }

    #[test]
    fn thinning_keeps_peaks() {
        let mut points: Vec<Point> = (0..100_000).map(|i| (f64::from(i) / 100.0, 0.0)).collect();
        points[77_777].1 = 9.0;
        points[33_333].1 = -9.0;
        let thin = thinned(&points);
        assert!(thin.len() < 8200);
        assert!(thin.contains(&points[77_777]) && thin.contains(&points[33_333]));
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
    }

    #[test]
    fn smoothing_keeps_gaps_and_averages_between_them() {
        let heights = [1.0, 3.0, 5.0, f64::NAN, 8.0, 0.0];
        let at = |i: usize| heights[i].is_finite().then_some((i as f64, heights[i]));
        let smooth = smoothed(&(0..6).map(at).collect::<Vec<_>>(), 3);
        let expected = [Some(2.0), Some(3.0), Some(4.0), None, Some(4.0), Some(4.0)];
        assert_eq!(smooth.iter().map(|p| p.map(|p| p.1)).collect::<Vec<_>>(), expected);
    }
}
