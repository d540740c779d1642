//! Zip archives, as far as tensor files use them: PyTorch's (stored) and NumPy's (stored or deflated), with zip64.
//!
//! Field offsets follow PKWARE's APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to
//! 4.3.16 (ends of the directory) and 4.5.3 (zip64 extra field).

use std::collections::HashMap;
use std::io::Read;

use anyhow::Result;

use super::blob::{Blob, number};
use crate::bad_input;

pub const MAGIC: &[u8] = b"PK\x03\x04";
/// Of an archive without entries.
pub const MAGIC_EMPTY: &[u8] = b"PK\x05\x06";

const END: &[u8] = b"PK\x05\x06";
const END_LEN: u64 = 22;
const MAX_COMMENT: u64 = 65535;
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const END64: &[u8] = b"PK\x06\x06";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const STORED: u64 = 0;
const DEFLATED: u64 = 8;
/// Deflate shrinks no further than this. Masks of zeros come near it, and so do archives made to fill memory.
const DEFLATE_RATIO: u64 = 1032;
const LARGEST_INFLATED: u64 = 256 << 20;
const LARGEST_RATIO: u64 = 100;

/// One file in an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    method: u64,
    encrypted: bool,
    crc: u32,
    packed: u64,
    pub size: u64,
    header: u64,
}

/// An archive's table of contents.
pub struct Archive<'a> {
    blob: &'a Blob,
    pub entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl<'a> Archive<'a> {
    pub fn open(blob: &'a Blob) -> Result<Self> {
        let (offset, len) = directory(blob)?;
        let bytes = blob.read(offset, len)?;
        let mut entries = Vec::new();
        let mut by_name = HashMap::new();
        let mut rest = bytes.as_slice();
        while rest.starts_with(DIRECTORY_ENTRY) {
            let (entry, len) = entry(rest).ok_or_else(|| bad_input!("zip directory is damaged"))?;
            if by_name.insert(entry.name.clone(), entries.len()).is_some() {
                return Err(bad_input!("zip directory lists '{}' twice", entry.name));
            }
            entries.push(entry);
            rest = &rest[len..];
        }
        if !rest.is_empty() {
            return Err(bad_input!("zip directory is damaged after {} entries", entries.len()));
        }
        check_sizes(&entries, blob.len())?;
        Ok(Self { blob, entries, by_name })
    }

    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&i| &self.entries[i])
    }

    /// An entry's content, checked against its checksum.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>> {
        let name = &entry.name;
        if entry.encrypted {
            return Err(bad_input!("zip entry '{name}' is encrypted"));
        }
        let packed = self.blob.read(self.start(entry)?, entry.packed)?;
        let bytes = match entry.method {
            STORED if entry.packed == entry.size => packed,
            STORED => return Err(bad_input!("zip entry '{name}' has two sizes, {} and {}", entry.packed, entry.size)),
            DEFLATED => inflate(entry, &packed)?,
            other => {
                return Err(bad_input!("zip entry '{name}' is packed by method {other}, expected stored or deflate"));
            }
        };
        if crc32fast::hash(&bytes) != entry.crc {
            return Err(bad_input!("zip entry '{name}' fails its checksum: the file is damaged, fetch it again"));
        }
        Ok(bytes)
    }

    /// Where an entry's bytes begin: behind its local header, whose length only that header tells.
    fn start(&self, entry: &Entry) -> Result<u64> {
        let local = self.blob.read(entry.header, 30)?;
        if !local.starts_with(MAGIC) {
            return Err(bad_input!("zip entry '{}' is not where the directory says", entry.name));
        }
        let lengths = number::<2>(&local, 26).unwrap_or(0) + number::<2>(&local, 28).unwrap_or(0);
        Ok(entry.header + 30 + lengths)
    }
}

/// Offset and length of the central directory, from the record at the file's end.
fn directory(blob: &Blob) -> Result<(u64, u64)> {
    let tail_at = blob.len().saturating_sub(END_LEN + MAX_COMMENT);
    let tail = blob.read(tail_at, blob.len() - tail_at)?;
    let end = tail.windows(END.len()).rposition(|window| window == END);
    let end = end.ok_or_else(|| bad_input!("zip archive is cut short: it has no directory at its end"))?;
    let field = |at| number::<4>(&tail, end + at).ok_or_else(|| bad_input!("zip archive is cut short"));
    let (len, offset) = (field(12)?, field(16)?);
    let comment = number::<2>(&tail, end + 20).and_then(|len| tail.get(end + END_LEN as usize..)?.get(..len as usize));
    comment.ok_or_else(|| bad_input!("zip archive is cut short in its last bytes"))?;

    // A locator right before the end says that the directory's place is in a zip64 record.
    let locator = end.checked_sub(20).map(|at| &tail[at..]).filter(|bytes| bytes.starts_with(END64_LOCATOR));
    let Some(locator) = locator else { return Ok((offset, len)) };
    let record = blob.read(number::<8>(locator, 8).unwrap_or(u64::MAX), 56)?;
    if !record.starts_with(END64) {
        return Err(bad_input!("zip64 directory is not where the archive's end says"));
    }
    Ok((number::<8>(&record, 48).unwrap_or(0), number::<8>(&record, 40).unwrap_or(0)))
}

/// Reads one entry of the directory; returns it and its length there.
fn entry(bytes: &[u8]) -> Option<(Entry, usize)> {
    let (flags, method, crc) = (number::<2>(bytes, 8)?, number::<2>(bytes, 10)?, number::<4>(bytes, 16)?);
    let (mut packed, mut size, mut header) =
        (number::<4>(bytes, 20)?, number::<4>(bytes, 24)?, number::<4>(bytes, 42)?);
    let lengths = [28, 30, 32].map(|at| number::<2>(bytes, at).map(|len| len as usize));
    let [name_len, extra_len, comment_len] = [lengths[0]?, lengths[1]?, lengths[2]?];
    let name = bytes.get(46..46 + name_len)?;
    let mut extra = bytes.get(46 + name_len..46 + name_len + extra_len)?;

    // Numbers of all ones stand in the zip64 extra field, in this order.
    while let (Some(id), Some(len)) = (number::<2>(extra, 0), number::<2>(extra, 2)) {
        let body = extra.get(4..4 + len as usize)?;
        if id == 1 {
            let mut wide = body.chunks_exact(8).filter_map(|chunk| number::<8>(chunk, 0));
            for field in [&mut size, &mut packed, &mut header] {
                if *field == u64::from(u32::MAX) {
                    *field = wide.next()?;
                }
            }
        }
        extra = &extra[4 + len as usize..];
    }

    let name = String::from_utf8(name.to_vec()).ok()?;
    let entry = Entry { name, method, encrypted: flags & 1 != 0, crc: crc as u32, packed, size, header };
    let len = 46 + name_len + extra_len + comment_len;
    bytes.get(..len).map(|_| (entry, len))
}

/// Entries do not overlap in an honest archive, and do not inflate without measure.
fn check_sizes(entries: &[Entry], file_len: u64) -> Result<()> {
    let total = |size: fn(&Entry) -> u64| entries.iter().map(size).fold(0u64, u64::saturating_add);
    let (packed, size) = (total(|entry| entry.packed), total(|entry| entry.size));
    if packed > file_len {
        return Err(bad_input!("zip directory tells of {packed} bytes in a file of {file_len}"));
    }
    if size > LARGEST_INFLATED.max(file_len.saturating_mul(LARGEST_RATIO)) {
        return Err(bad_input!("zip directory claims to inflate from {packed} to {size} bytes"));
    }
    Ok(())
}

fn inflate(entry: &Entry, packed: &[u8]) -> Result<Vec<u8>> {
    let name = &entry.name;
    if entry.size > entry.packed.saturating_mul(DEFLATE_RATIO) {
        return Err(bad_input!("zip entry '{name}' claims to inflate from {} to {} bytes", entry.packed, entry.size));
    }
    // One byte too many tells a wrong claim.
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size + 1)?);
    let inflated = flate2::read::DeflateDecoder::new(packed).take(entry.size + 1).read_to_end(&mut bytes);
    inflated.map_err(|error| bad_input!("zip entry '{name}' does not inflate ({error})"))?;
    if bytes.len() as u64 != entry.size {
        return Err(bad_input!("zip entry '{name}' does not inflate to its {} bytes", entry.size));
    }
    Ok(bytes)
}
