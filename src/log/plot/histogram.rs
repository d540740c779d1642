//! Histograms over one another, with exact densities as curves.

use anyhow::Result;

use super::axis::{Axis, Scale};
use super::canvas::{Area, Canvas, Point};
use super::frame::{Frame, Surround};
use super::legend::{Entry, Mark};
use super::picture::Picture;
use super::style::{INK, Sizes, faded, series_color};

/// Values of one distribution.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Shown in the legend unless empty.
    pub label: String,
    pub values: Vec<f64>,
    /// Importance weights in any scale; equal weights if absent.
    pub weights: Option<Vec<f64>>,
}

impl Sample {
    pub fn new(label: impl Into<String>, values: &[f64]) -> Self {
        Self { label: label.into(), values: values.to_vec(), weights: None }
    }

    pub fn weighted(mut self, weights: &[f64]) -> Self {
        self.weights = Some(weights.to_vec());
        self
    }
}

/// Normalised histograms on common bins.
#[derive(Debug, Clone, Default)]
pub struct HistogramPlot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub samples: Vec<Sample>,
    /// Exact densities: name, abscissae, density.
    pub curves: Vec<(String, Vec<f64>, Vec<f64>)>,
    /// Number of bins; chosen from the data if absent.
    pub bins: Option<usize>,
}

impl HistogramPlot {
    pub fn new(title: impl Into<String>, x: Axis) -> Self {
        Self { title: title.into(), x, y: Axis::linear("density"), ..Self::default() }
    }

    pub fn sample(mut self, sample: Sample) -> Self {
        self.samples.push(sample);
        self
    }

    /// Adds an exact density.
    pub fn curve(mut self, label: impl Into<String>, x: &[f64], density: &[f64]) -> Self {
        self.curves.push((label.into(), x.to_vec(), density.to_vec()));
        self
    }

    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = Some(bins.max(1));
        self
    }

    /// 1200 x 800 pixels.
    pub fn draw(&self) -> Result<Picture> {
        let mut canvas = Canvas::new(1200, 800);
        let (sheet, legend) = (canvas.area(), self.legend());
        let surround =
            Surround { title: &self.title, legend: &legend, ..Surround::new(&self.x, &self.y, Sizes::SINGLE) };
        self.draw_in(&mut canvas, sheet, &surround);
        canvas.finish()
    }

    /// Draws into a part of a sheet.
    pub(super) fn draw_in(&self, canvas: &mut Canvas, outer: Area, surround: &Surround) {
        let x = Scale::fit(&self.x, self.samples.iter().flat_map(|s| s.values.iter().copied()), 0.0);
        let bins = self.bins.unwrap_or_else(|| self.chosen_bins(&x));
        let heights: Vec<Vec<f64>> = self.samples.iter().map(|s| densities(s, &x, bins)).collect();
        let y = self.vertical_scale(&heights, &x);

        let frame = Frame::begin(canvas, outer, surround, x, y);
        for (i, heights) in heights.iter().enumerate() {
            fill(canvas, &frame, heights, i);
        }
        for (i, heights) in heights.iter().enumerate().filter(|(_, h)| h.iter().any(|v| *v > 0.0)) {
            frame.curve(canvas, &outline(&frame, heights), frame.sizes.line * 0.8, series_color(i), false);
        }
        for (_, x, density) in &self.curves {
            let points: Vec<_> = x.iter().zip(density).map(|(x, p)| frame.at(*x, *p)).collect();
            frame.curve(canvas, &points, frame.sizes.line * 0.8, INK, false);
        }
        if heights.iter().flatten().all(|h| *h == 0.0) && self.curves.is_empty() {
            frame.note(canvas, "no data");
        }
        frame.end(canvas, surround);
    }

    fn legend(&self) -> Vec<Entry> {
        let patch = |(i, s): (usize, &Sample)| Entry {
            label: s.label.clone(),
            mark: Mark::Patch,
            color: faded(series_color(i), 0.6),
        };
        let line =
            |(label, _, _): &(String, Vec<f64>, Vec<f64>)| Entry { label: label.clone(), mark: Mark::Line, color: INK };
        let entries = self.samples.iter().enumerate().map(patch).chain(self.curves.iter().map(line));
        entries.filter(|e| !e.label.is_empty()).collect()
    }

    /// Freedman and Diaconis' rule (bin width 2 IQR n^(-1/3)) for the first sample, on the scale of the axis.
    fn chosen_bins(&self, x: &Scale) -> usize {
        let Some(sample) = self.samples.first() else { return 1 };
        let mut positions: Vec<f64> = sample.values.iter().filter_map(|v| x.position(*v)).collect();
        positions.sort_by(f64::total_cmp);
        let n = positions.len();
        if n < 2 {
            return 20;
        }
        let quartiles = positions[3 * n / 4] - positions[n / 4];
        let width = 2.0 * quartiles / (n as f64).cbrt();
        (1.0 / width).clamp(20.0, 100.0) as usize
    }

    /// From zero (or, on a logarithmic axis, the lowest bar) to the highest bar or curve that is in view.
    fn vertical_scale(&self, heights: &[Vec<f64>], x: &Scale) -> Scale {
        let in_view = |v: f64| x.position(v).is_some_and(|p| (0.0..=1.0).contains(&p));
        let curves = self.curves.iter().flat_map(|(_, x, p)| x.iter().zip(p));
        let curves = curves.filter(|(x, p)| in_view(**x) && p.is_finite()).map(|(_, p)| *p);
        let all: Vec<f64> = heights.iter().flatten().copied().chain(curves).filter(|h| *h > 0.0).collect();
        let highest = all.iter().copied().fold(0.0, f64::max);

        if self.y.range.is_some() {
            Scale::fit(&self.y, std::iter::empty(), 0.0)
        } else if self.y.log {
            // Exact densities fall without end; bars tell what is worth seeing.
            let lowest = heights.iter().flatten().copied().filter(|h| *h > 0.0).fold(highest, f64::min);
            Scale::fit(&self.y, [lowest / 2.0, highest].into_iter(), 0.05)
        } else if highest > 0.0 {
            Scale::fit(&self.y.clone().within(0.0, highest * 1.06), std::iter::empty(), 0.0)
        } else {
            Scale::fit(&self.y.clone().within(0.0, 1.0), std::iter::empty(), 0.0)
        }
    }
}

/// Density in each bin; the bins divide the axis evenly. All finite values count for the normalisation.
fn densities(sample: &Sample, x: &Scale, bins: usize) -> Vec<f64> {
    let weight = |i: usize| sample.weights.as_ref().map_or(1.0, |w| w.get(i).copied().unwrap_or(0.0));
    let mut sums = vec![0.0; bins];
    let mut total = 0.0;
    for (i, value) in sample.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
        total += weight(i);
        if let Some(position) = x.position(*value).filter(|p| (0.0..=1.0).contains(p)) {
            sums[((position * bins as f64) as usize).min(bins - 1)] += weight(i);
        }
    }

    let edge = |b: usize| x.value(b as f64 / bins as f64);
    let density = |(b, sum): (usize, &f64)| if *sum > 0.0 { sum / total / (edge(b + 1) - edge(b)) } else { 0.0 };
    sums.iter().enumerate().map(density).collect()
}

fn fill(canvas: &mut Canvas, frame: &Frame, heights: &[f64], i: usize) {
    for (b, height) in heights.iter().enumerate() {
        let Some((left, right, top)) = bar(frame, heights.len(), b, *height) else { continue };
        canvas.rect(Area { left, right, top, bottom: frame.inner.bottom }, faded(series_color(i), 0.28));
    }
}

/// The steps along the tops of the bars.
fn outline(frame: &Frame, heights: &[f64]) -> Vec<Option<Point>> {
    let step = |(b, height): (usize, &f64)| {
        let (left, right, top) = bar(frame, heights.len(), b, *height).unwrap_or_else(|| {
            let (left, right) = sides(frame, heights.len(), b);
            (left, right, frame.inner.bottom)
        });
        [Some((left, top)), Some((right, top))]
    };
    heights.iter().enumerate().flat_map(step).collect()
}

/// Left, right and top of a bar; `None` for an empty one.
fn bar(frame: &Frame, bins: usize, b: usize, height: f64) -> Option<(f64, f64, f64)> {
    let (left, right) = sides(frame, bins, b);
    let position = frame.y.position(height).filter(|_| height > 0.0)?.clamp(0.0, 1.0);
    Some((left, right, frame.inner.bottom - position * frame.inner.height()))
}

fn sides(frame: &Frame, bins: usize, b: usize) -> (f64, f64) {
    let side = |b: usize| frame.inner.left + frame.inner.width() * b as f64 / bins as f64;
    (side(b), side(b + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_integrate_to_the_share_in_view() {
        let sample = Sample::new("", &[0.5, 1.5, 1.5, 9.0, f64::NAN]);
        let x = Scale::fit(&Axis::linear("").within(0.0, 2.0), std::iter::empty(), 0.0);
        assert_eq!(densities(&sample, &x, 2), [0.25, 0.5]);

        let weighted = sample.weighted(&[6.0, 1.0, 1.0, 0.0, 5.0]);
        assert_eq!(densities(&weighted, &x, 2), [0.75, 0.25]);

        // Bins of equal ratio on a logarithmic axis: widths 9 and 90.
        let x = Scale::fit(&Axis::log("").within(1.0, 100.0), std::iter::empty(), 0.0);
        let halves = densities(&Sample::new("", &[2.0, 20.0]), &x, 2);
        assert!((halves[0] * 9.0 - 0.5).abs() < 1e-9 && (halves[1] * 90.0 - 0.5).abs() < 1e-9);
    }
}
