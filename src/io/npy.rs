//! NumPy's array files: `.npy`, and `.npz` archives of them.
//!
//! Format: `numpy.lib.format`, versions 1 to 3: magic, version, header length, and a Python dict literal with the keys
//! `descr`, `fortran_order` and `shape`.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::blob::number;
use super::weights::{Content, Format, refused, tensor};
use super::zip::Archive;
use crate::bad_input;

pub const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads every array of an archive; arrays of no tensor's kind (text, objects) are passed over.
pub fn read_archive(archive: &Archive) -> Result<Content> {
    let mut content = Content { format: Format::Numpy, ..Content::default() };
    for entry in &archive.entries {
        let Some(name) = entry.name.strip_suffix(".npy") else {
            content.skipped.push((entry.name.clone(), "not an array".to_string()));
            continue;
        };
        match read(&archive.read(entry)?).map_err(|error| bad_input!("array '{name}': {error}"))? {
            Ok(tensor) => content.tensors.push((name.to_string(), tensor)),
            Err(kind) => content.skipped.push((name.to_string(), kind)),
        }
    }
    Ok(content)
}

/// Reads one array; inside, the name of its kind where that is no tensor's.
pub fn read(bytes: &[u8]) -> Result<Result<Tensor, String>> {
    let (header, data) = split(bytes).ok_or_else(|| bad_input!("is not a .npy array, or is cut short"))?;
    let field = |key| field(header, key).ok_or_else(|| bad_input!("its .npy header has no '{key}'"));
    let (descr, fortran, shape) = (field("descr")?, field("fortran_order")?, field("shape")?);
    let Some(kind) = kind(descr) else { return Ok(Err(descr.trim_matches('\'').to_string())) };
    let shape = extents(shape).ok_or_else(|| bad_input!("its .npy header has the shape {shape}"))?;

    // In Fortran order the first axis runs fastest: the array is the transpose of one with the axes reversed.
    if fortran == "True" {
        let reversed: Vec<i64> = shape.iter().rev().copied().collect();
        let axes: Vec<i64> = (0..shape.len() as i64).rev().collect();
        let transposed = tensor(data, &reversed, kind)?.f_permute(axes).and_then(|tensor| tensor.f_contiguous());
        return Ok(Ok(transposed.map_err(refused)?));
    }
    Ok(Ok(tensor(data, &shape, kind)?))
}

/// Header text and data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let version = *bytes.strip_prefix(MAGIC)?.first()?;
    let (start, len) = if version == 1 { (10, number::<2>(bytes, 8)?) } else { (12, number::<4>(bytes, 8)?) };
    let end = usize::try_from(len).ok()?.checked_add(start)?;
    Some((std::str::from_utf8(bytes.get(start..end)?).ok()?, bytes.get(end..)?))
}

/// The literal that follows `'key':` in a dict literal, up to the comma or brace outside of brackets and quotes.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    let (mut depth, mut quoted) = (0, false);
    let end = rest.find(|c: char| {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && !quoted && matches!(c, ',' | '}')
    })?;
    Some(rest[..end].trim())
}

fn kind(descr: &str) -> Option<Kind> {
    Some(match descr.trim_matches('\'') {
        "<f4" => Kind::Float,
        "<f8" => Kind::Double,
        "<f2" => Kind::Half,
        "<i8" => Kind::Int64,
        "<i4" => Kind::Int,
        "<i2" => Kind::Int16,
        "|i1" => Kind::Int8,
        "|u1" => Kind::Uint8,
        "|b1" => Kind::Bool,
        "<c8" => Kind::ComplexFloat,
        "<c16" => Kind::ComplexDouble,
        _ => return None,
    })
}

fn extents(shape: &str) -> Option<Vec<i64>> {
    let inside = shape.strip_prefix('(')?.strip_suffix(')')?;
    let extents = inside.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    extents.map(|extent| extent.trim_end_matches('L').parse().ok().filter(|extent| *extent >= 0)).collect()
}
