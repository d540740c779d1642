//! Sheets of small images: lattice configurations, digits.

use anyhow::{Result, bail, ensure};
use plotters::style::RGBAColor;
use tch::Tensor;

use super::canvas::{Align, Area, Canvas, Lettering};
use super::font;
use super::picture::Picture;
use super::style::{FRAME, INK, Sizes, density_color};

/// A value that is not finite.
const BROKEN: RGBAColor = RGBAColor(213, 94, 0, 1.0);

/// White around the sheet, in pixels.
const MARGIN: f64 = 24.0;

const TITLE: Lettering =
    Lettering { size: Sizes::SINGLE.title, bold: true, color: INK, align: Align::Start, upwards: false };

/// How values become shades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shades {
    /// Low black, high white.
    #[default]
    Grey,
    /// Low pale, high dark, in the colours of the heat maps.
    Density,
}

/// Images in rows.
#[derive(Debug, Clone, Default)]
pub struct ImageGrid {
    pub title: String,
    /// Images side by side; a nearly square sheet if absent.
    pub columns: Option<usize>,
    /// Values of the first and the last shade; least and largest value if absent.
    pub range: Option<(f64, f64)>,
    pub shades: Shades,
}

impl ImageGrid {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = Some(columns.max(1));
        self
    }

    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    pub fn shades(mut self, shades: Shades) -> Self {
        self.shades = shades;
        self
    }

    /// Draws `[N, H, W]` or `[N, 1, H, W]` values as shades, `[N, 3, H, W]` as red, green and blue. Each value becomes
    /// a square of whole pixels; values that are not finite are painted vermilion. About 1000 pixels wide.
    pub fn draw(&self, images: &Tensor) -> Result<Picture> {
        let size = images.size();
        let (n, channels, height, width) = match size.as_slice() {
            [n, h, w] => (*n as usize, 1, *h as usize, *w as usize),
            [n, c @ (1 | 3), h, w] => (*n as usize, *c as usize, *h as usize, *w as usize),
            _ => bail!("images have shape {size:?}; expected [N, H, W] or [N, 1 or 3, H, W]"),
        };
        ensure!(n > 0 && height > 0 && width > 0, "images have shape {size:?}: there is nothing to draw");
        let values = crate::log::values(images);
        let shade = self.shading(&values);

        let columns = self.columns.unwrap_or((n as f64).sqrt().ceil() as usize).min(n);
        let gap = if width > 4 { 8.0 } else { 4.0 };
        let zoom = ((960.0 / columns as f64 - gap) / width as f64).floor().clamp(1.0, 32.0);
        let cell = (width as f64 * zoom + gap, height as f64 * zoom + gap);
        let heading = if self.title.is_empty() { 0.0 } else { TITLE.size * 1.4 };

        let mut canvas =
            self.sheet((columns as f64 * cell.0 - gap, n.div_ceil(columns) as f64 * cell.1 - gap + heading))?;
        canvas.text(&self.title, (MARGIN, MARGIN + TITLE.size * 0.8), TITLE);
        for (k, image) in values.chunks_exact(channels * height * width).enumerate() {
            let (column, row) = ((k % columns) as f64, (k / columns) as f64);
            let corner = (MARGIN + column * cell.0, MARGIN + heading + row * cell.1);
            draw_image(&mut canvas, image, (height, width), corner, zoom, &shade);
        }
        canvas.finish()
    }

    /// A sheet for images that take so much room, wide enough for the title.
    fn sheet(&self, (width, height): (f64, f64)) -> Result<Canvas> {
        ensure!(
            height < 8000.0,
            "the images would make a picture {height} pixels high; use more columns or fewer images"
        );
        let width = width.max(font::width(&self.title, TITLE.size, TITLE.bold));
        Ok(Canvas::new((width + 2.0 * MARGIN) as u32, (height + 2.0 * MARGIN) as u32))
    }

    /// Maps the one or three values of a pixel to its colour.
    fn shading(&self, values: &[f64]) -> impl Fn(&[f64]) -> RGBAColor + use<> {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let extremes = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = self.range.unwrap_or(extremes);
        let shades = self.shades;
        move |pixel| {
            if pixel.iter().any(|v| !v.is_finite()) {
                return BROKEN;
            }
            let level = |v: f64| if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
            let byte = |v: f64| (level(v) * 255.0).round() as u8;
            match (pixel, shades) {
                ([r, g, b], _) => RGBAColor(byte(*r), byte(*g), byte(*b), 1.0),
                (_, Shades::Grey) => RGBAColor(byte(pixel[0]), byte(pixel[0]), byte(pixel[0]), 1.0),
                (_, Shades::Density) => density_color(level(pixel[0])),
            }
        }
    }
}

/// One image, `[C, H, W]`, each value a square; a thin line around it so that white edges show.
fn draw_image(
    canvas: &mut Canvas,
    image: &[f64],
    (height, width): (usize, usize),
    (left, top): (f64, f64),
    zoom: f64,
    shade: &impl Fn(&[f64]) -> RGBAColor,
) {
    let border = Area {
        left: left - 1.0,
        top: top - 1.0,
        right: left + width as f64 * zoom + 1.0,
        bottom: top + height as f64 * zoom + 1.0,
    };
    canvas.rect(border, FRAME);
    let plane = height * width;
    for k in 0..plane {
        let (x, y) = (left + (k % width) as f64 * zoom, top + (k / width) as f64 * zoom);
        let pixel: Vec<f64> = image[k..].iter().step_by(plane).copied().collect();
        canvas.rect(Area { left: x, top: y, right: x + zoom, bottom: y + zoom }, shade(&pixel));
    }
}
