//! Colours and sizes that all plots share.

use plotters::style::RGBAColor;

pub const INK: RGBAColor = RGBAColor(38, 38, 38, 1.0);
pub const FAINT_INK: RGBAColor = RGBAColor(110, 110, 110, 1.0);
pub const FRAME: RGBAColor = RGBAColor(140, 140, 140, 1.0);
pub const GRID: RGBAColor = RGBAColor(230, 230, 230, 1.0);
pub const WHITE: RGBAColor = RGBAColor(255, 255, 255, 1.0);

/// Colours that people with any common colour blindness tell apart (Okabe and Ito, "Color universal design", 2008;
/// their yellow, too pale for lines on white, is left out).
const PALETTE: [(u8, u8, u8); 7] = [
    (0, 114, 178),   // blue
    (213, 94, 0),    // vermilion
    (0, 158, 115),   // bluish green
    (230, 159, 0),   // orange
    (204, 121, 167), // reddish purple
    (86, 180, 233),  // sky blue
    (90, 90, 90),    // grey
];

/// Colour of the i-th series.
pub fn series_color(i: usize) -> RGBAColor {
    let (r, g, b) = PALETTE[i % PALETTE.len()];
    RGBAColor(r, g, b, 1.0)
}

/// Whether the i-th series needs dashes, its colour being taken.
pub fn is_dashed(i: usize) -> bool {
    (i / PALETTE.len()) % 2 == 1
}

/// The same colour, partly transparent.
pub fn faded(color: RGBAColor, alpha: f64) -> RGBAColor {
    RGBAColor(color.0, color.1, color.2, alpha)
}

/// The same colour, paler but opaque.
pub fn pale(color: RGBAColor) -> RGBAColor {
    let mix = |byte: u8| (255.0 - 0.4 * (255.0 - f64::from(byte))) as u8;
    RGBAColor(mix(color.0), mix(color.1), mix(color.2), 1.0)
}

/// Sizes in pixels. Pictures are meant to be shown at half their size on ordinary screens.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub tick: f64,
    pub label: f64,
    pub title: f64,
    pub line: f64,
    pub space: f64,
}

impl Sizes {
    /// For a picture with one panel.
    pub const SINGLE: Sizes = Sizes { tick: 21.0, label: 24.0, title: 27.0, line: 3.0, space: 12.0 };
    /// For a picture with many small panels.
    pub const SMALL: Sizes = Sizes { tick: 17.0, label: 20.0, title: 25.0, line: 2.4, space: 8.0 };
}

/// Colour of a density between 0 (pale yellow) and 1 (deep violet), through green and blue.
///
/// Lightness falls evenly, so the map also reads in grey. Built in the OKLCh space (B. Ottosson, "A perceptual color
/// space for image processing", 2020).
pub fn density_color(t: f64) -> RGBAColor {
    let t = if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 };
    let lightness = 0.975 - 0.69 * t;
    let hue = (112.0 + 178.0 * t).to_radians();
    // As colourful as fits into sRGB along this path: least around blue-green.
    let chroma = 0.05 + 0.05 * (std::f64::consts::PI * t).sin().powi(2) * (1.0 - t) + 0.07 * t * t;
    oklab(lightness, chroma * hue.cos(), chroma * hue.sin())
}

fn oklab(lightness: f64, a: f64, b: f64) -> RGBAColor {
    let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
    let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
    let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);

    let red = 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s;
    let green = -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s;
    let blue = -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s;
    RGBAColor(srgb(red), srgb(green), srgb(blue), 1.0)
}

/// The sRGB transfer curve (IEC 61966-2-1).
fn srgb(linear: f64) -> u8 {
    let v = linear.clamp(0.0, 1.0);
    let encoded = if v <= 0.0031308 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn density_colors_darken_evenly() {
        let luma = |c: RGBAColor| 0.2126 * f64::from(c.0) + 0.7152 * f64::from(c.1) + 0.0722 * f64::from(c.2);
        let shades: Vec<f64> = (0..=50).map(|i| luma(density_color(i as f64 / 50.0))).collect();
        assert!(shades.windows(2).all(|w| w[1] < w[0] && w[0] - w[1] < 9.0), "{shades:?}");
        assert!(shades[0] > 235.0 && shades[50] < 60.0);
        assert_eq!(density_color(f64::NAN), density_color(0.0));
    }
}
