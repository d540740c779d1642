//! Letters: DejaVu Sans, compiled in, so that plots look the same on machines without any font.
//!
//! plotters would draw text too, but it drops the space to the left of each letter.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

/// Height of a capital letter in units of the em.
pub const CAP_HEIGHT: f64 = 0.73;

/// Regular and bold; `None` if the bundled files were damaged, which a test excludes.
static FONTS: LazyLock<[Option<FontRef<'static>>; 2]> = LazyLock::new(|| {
    [
        FontRef::try_from_slice(include_bytes!("../../../assets/fonts/DejaVuSans.ttf")).ok(),
        FontRef::try_from_slice(include_bytes!("../../../assets/fonts/DejaVuSans-Bold.ttf")).ok(),
    ]
});

/// Width of a text whose em is `size` pixels.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    place(text, size, bold, |_, _, _| {})
}

/// Hands every pixel that a text covers to `pixel`, with the covered fraction. The base line starts at the origin; `x`
/// runs rightwards, `y` downwards.
pub fn draw(text: &str, size: f64, bold: bool, mut pixel: impl FnMut(i32, i32, f32)) {
    place(text, size, bold, |font, glyph, (pen, scale)| {
        let placed = glyph.with_scale_and_position(scale, point(pen as f32, 0.0));
        let Some(outline) = font.outline_glyph(placed) else { return };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| pixel(corner.x as i32 + x as i32, corner.y as i32 + y as i32, coverage));
    });
}

/// Visits each letter with its pen position and scale; returns the pen position at the end.
fn place(text: &str, size: f64, bold: bool, mut visit: impl FnMut(&FontRef, GlyphId, (f64, PxScale))) -> f64 {
    let Some(font) = &FONTS[usize::from(bold)] else { return 0.0 };
    // ab_glyph scales fonts by ascent plus descent, people by the em.
    let em = font.units_per_em().unwrap_or(1000.0);
    let scale = PxScale::from(size as f32 * font.height_unscaled() / em);
    let scaled = font.as_scaled(scale);

    let mut pen = 0.0;
    let mut previous = None;
    for letter in text.chars() {
        let glyph = font.glyph_id(letter);
        pen += previous.map_or(0.0, |p| f64::from(scaled.kern(p, glyph)));
        visit(font, glyph, (pen, scale));
        pen += f64::from(scaled.h_advance(glyph));
        previous = Some(glyph);
    }
    pen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_that_plots_use_is_bundled() {
        assert!(FONTS.iter().all(Option::is_some));
        let letters = "AZaz09 .,:;()[]{}|/\\=+-−±×·⁻⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂αβγδεζηθλμνπρσφψωΓΔΣΩ≤≥≈∞∂∇√∫∑→‖…–—°%äöüéßØ";
        for font in FONTS.iter().flatten() {
            let missing: String = letters.chars().filter(|c| font.glyph_id(*c).0 == 0).collect();
            assert_eq!(missing, "");
        }
    }

    #[test]
    fn drawn_letters_lie_within_their_width() {
        let (mut left, mut right, mut top, mut bottom) = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
        draw("Hamburg", 100.0, false, |x, y, coverage| {
            if coverage > 0.5 {
                (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
            }
        });
        assert!(left >= 5 && f64::from(right) <= width("Hamburg", 100.0, false));
        // Capitals are CAP_HEIGHT high, and the g hangs below the base line.
        assert!((-80..=-70).contains(&top) && (15..=25).contains(&bottom), "{top} {bottom}");
        assert!(width("Hamburg", 100.0, true) > width("Hamburg", 100.0, false));
    }
}
