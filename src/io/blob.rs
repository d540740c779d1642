//! A file read in pieces, never past its end.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Result;

use crate::bad_input;

/// An open file of known length. What a file claims about itself is checked against that length before memory is
/// taken for it.
pub struct Blob {
    file: File,
    len: u64,
}

impl Blob {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => bad_input!("no such file"),
            _ => bad_input!("cannot be opened ({error})"),
        })?;
        let about = file.metadata().map_err(|error| bad_input!("cannot be read ({error})"))?;
        if about.is_dir() {
            return Err(bad_input!("is a folder, expected a file of tensors"));
        }
        if !about.is_file() {
            return Err(bad_input!("is not a regular file, expected a file of tensors"));
        }
        Ok(Self { file, len: about.len() })
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes from `offset`.
    pub fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(bad_input!("ends early: {len} bytes expected at {offset}, the file has {}", self.len));
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| bad_input!("cannot be read ({error})"))?;
        Ok(bytes)
    }

    /// The first bytes, up to `most`.
    pub fn head(&self, most: u64) -> Result<Vec<u8>> {
        self.read(0, most.min(self.len))
    }
}

/// The little-endian number in `bytes[at..at + WIDTH]`, if there are so many bytes.
pub fn number<const WIDTH: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(WIDTH)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
