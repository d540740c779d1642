//! A finished picture in memory.

use std::path::Path;

use anyhow::{Context, Result};

/// RGB pixels, row by row from the top left, three bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Without the white rows at the bottom, but for `margin` of them.
    pub(super) fn without_white_below(mut self, margin: u32) -> Self {
        let row = 3 * self.width as usize;
        let inked = self.rgb.chunks_exact(row).rposition(|pixels| pixels.iter().any(|byte| *byte != 255));
        self.height = self.height.min(inked.map_or(0, |i| i as u32 + 1) + margin);
        self.rgb.truncate(row * self.height as usize);
        self
    }

    /// The picture as a PNG file's bytes.
    pub fn png_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Plots are mostly flat areas, which compress best unfiltered.
        encoder.set_compression(png::Compression::Default);
        encoder.set_filter(png::FilterType::NoFilter);
        let mut writer = encoder.write_header().context("cannot encode a picture")?;
        writer.write_image_data(&self.rgb).context("cannot encode a picture")?;
        writer.finish().context("cannot encode a picture")?;
        Ok(bytes)
    }

    /// Writes a PNG file; a missing folder is made. A reader never sees half a file.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.png_bytes()?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        }
        let partial = path.with_extension("png.tmp");
        std::fs::write(&partial, bytes).with_context(|| format!("{}: cannot write", partial.display()))?;
        std::fs::rename(&partial, path).with_context(|| format!("{}: cannot write", path.display()))
    }
}
