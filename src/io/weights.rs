//! Weight files, recognised by content: safetensors, `.npz`/`.npy`, and PyTorch's `.pt`/`.pth`/`.ckpt`.
//!
//! Reading and assigning are two steps: [`read_weights`] gives names and tensors as the file has them, and
//! [`assign`](super::assign::assign) puts them into a model's parameters after checking that all fit.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use anyhow::Result;
use tch::{Kind, Tensor};

use super::atomic::write_atomic_with;
use super::blob::Blob;
use super::zip::Archive;
use super::{npy, safetensors_file, torch_file, zip};
use crate::bad_input;

/// What kind of file weights came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Safetensors,
    Numpy,
    Torch,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Numpy => "NumPy",
            Format::Torch => "PyTorch",
        })
    }
}

/// Named tensors from a file, on the CPU, in the kinds and (but for safetensors' and NumPy's own) order of the file.
#[derive(Debug)]
pub struct Weights {
    /// Names of nested containers are joined by '.': `state_dict.net.0.weight`.
    pub tensors: Vec<(String, Tensor)>,
    /// A safetensors header's metadata; the scalars and short texts of a PyTorch file (`epoch`, `global_step`).
    pub metadata: BTreeMap<String, String>,
    pub format: Format,
    /// What was passed over, and of what kind or class it is.
    pub skipped: Vec<(String, String)>,
    /// The file's path, for messages.
    pub source: String,
}

impl Weights {
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

/// What a reader of one format gives.
#[derive(Default)]
pub(super) struct Content {
    pub tensors: Vec<(String, Tensor)>,
    pub metadata: BTreeMap<String, String>,
    pub format: Format,
    pub skipped: Vec<(String, String)>,
}

/// Reads a file of tensors. Nothing that the file says is executed, and memory is bounded by the file's size.
///
/// Errors are one line that begins with the path.
pub fn read_weights(path: &Path) -> Result<Weights> {
    let file = path.display();
    let Content { tensors, metadata, format, skipped } =
        read_content(path).map_err(|error| bad_input!("{file}: {}", one_line(&error)))?;

    let mut names = HashSet::new();
    if let Some((twice, _)) = tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
        return Err(bad_input!("{file}: two tensors are named '{twice}'"));
    }
    if let ([], [(name, what), ..]) = (tensors.as_slice(), skipped.as_slice()) {
        return Err(bad_input!("{file}: holds no tensor that can be read; '{name}', for one, is of kind {what}"));
    }
    Ok(Weights { tensors, metadata, format, skipped, source: file.to_string() })
}

fn read_content(path: &Path) -> Result<Content> {
    let blob = Blob::open(path)?;
    let head = blob.head(64)?;
    if head.starts_with(zip::MAGIC) || head.starts_with(zip::MAGIC_EMPTY) {
        return read_zip(&blob);
    }
    if head.starts_with(npy::MAGIC) {
        let bytes = blob.read(0, blob.len())?;
        let tensor =
            npy::read(&bytes)?.map_err(|kind| bad_input!("holds an array of kind {kind}, which no tensor has"))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
        return Ok(Content { tensors: vec![(name, tensor)], format: Format::Numpy, ..Content::default() });
    }
    if safetensors_file::is_one(&head, blob.len()) {
        return safetensors_file::read(&blob);
    }
    // Only now: the short ones among these are also the lengths of safetensors headers.
    if let Some(other) = other_kind(&head) {
        return Err(bad_input!("is {other}"));
    }
    let expected = "safetensors, .npz, .npy or a zip file of torch.save";
    Err(bad_input!(
        "is of no known kind ({} bytes, first {:02x?}), expected {expected}",
        blob.len(),
        &head[..head.len().min(8)]
    ))
}

fn read_zip(blob: &Blob) -> Result<Content> {
    let archive = Archive::open(blob)?;
    let pickle = archive.entries.iter().find_map(|entry| entry.name.strip_suffix("data.pkl"));
    if let Some(prefix) = pickle.filter(|prefix| prefix.is_empty() || prefix.ends_with('/')) {
        return torch_file::read(&archive, prefix, blob.len());
    }
    if archive.entries.iter().any(|entry| entry.name.ends_with(".npy")) || archive.entries.is_empty() {
        return npy::read_archive(&archive);
    }
    let first = archive.entries.first().map_or("", |entry| entry.name.as_str());
    Err(bad_input!("is a zip archive without data.pkl or .npy entries (it begins with '{first}'), expected tensors"))
}

/// Files that come in place of weights, by how they begin, and what to do about each.
fn other_kind(head: &[u8]) -> Option<&'static str> {
    let again = "written by torch.save before PyTorch 1.6; load it with PyTorch and save its tensors again";
    let kinds: [(&[u8], &str); 9] = [
        (b"", ""),
        (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", again),
        (b"\x80", "a bare pickle, expected a zip file of torch.save; load it with Python and save its tensors again"),
        (b"\x89HDF", "HDF5, expected tensors; convert it to safetensors"),
        (b"GGUF", "GGUF, expected tensors; convert it to safetensors"),
        (b"\x1f\x8b", "compressed by gzip; unpack it first"),
        (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull"),
        (b"<!DOCTYPE", "a web page, not weights; the download went wrong"),
        (b"<html", "a web page, not weights; the download went wrong"),
    ];
    if head.is_empty() {
        return Some("empty, expected tensors");
    }
    kinds[1..].iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what)
}

/// The tensor with these bytes, row-major; the bytes must be as many as the shape wants.
pub(super) fn tensor(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor> {
    let width = kind.elt_size_in_bytes();
    let wanted = shape.iter().try_fold(width, |bytes, extent| bytes.checked_mul(usize::try_from(*extent).ok()?));
    if wanted != Some(bytes.len()) || !countable(shape) {
        return Err(bad_input!("shape {shape:?} of {kind:?} does not fit its {} bytes", bytes.len()));
    }
    Tensor::f_from_data_size(bytes, shape, kind).map_err(refused)
}

/// Whether strides over this shape fit libtorch's 64 bits, empty axes or not.
pub(super) fn countable(shape: &[i64]) -> bool {
    let most = shape.iter().try_fold(16i64, |bytes, extent| bytes.checked_mul((*extent).max(1)));
    most.is_some()
}

/// What libtorch would not do with a file's tensor.
pub(super) fn refused(error: tch::TchError) -> anyhow::Error {
    bad_input!("{}", crate::torch::error::first_line(&error))
}

/// Names in a damaged file may hold line ends.
fn one_line(error: &anyhow::Error) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes a safetensors file with `metadata`, whole or not at all: the file appears under its name only when all of
/// it is on disk.
pub fn write_weights(path: &Path, tensors: &[(String, Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let metadata: Vec<(String, String)> = metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    write_atomic_with(path, |out| safetensors_file::write(out, tensors, &metadata))
}
