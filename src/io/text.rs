//! Text files of a kind that is small: read whole, up to a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Result;

use crate::bad_input;

/// The file's text; `expected` says in messages what it should hold, and `most` is the largest size in bytes.
pub fn read_text(path: &Path, most: u64, expected: &str) -> Result<String> {
    let name = path.display();
    if path.is_dir() {
        return Err(bad_input!("{name}: is a folder, expected {expected}"));
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_input!("{name}: no such file, expected {expected}"),
        _ => bad_input!("{name}: cannot be opened ({error}), expected {expected}"),
    })?;

    // One byte past the limit tells that there is more, whatever kind of file it is.
    let mut bytes = Vec::new();
    let read = file.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| bad_input!("{name}: cannot be read ({error}), expected {expected}"))?;
    if bytes.len() as u64 > most {
        return Err(bad_input!("{name}: larger than {} MiB, expected {expected}", most >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        bad_input!("{name}: not UTF-8 text (byte {at}), expected {expected}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_small_text_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.txt");
        let message = |path: &Path| read_text(path, 8, "notes").unwrap_err().to_string();
        assert!(message(&file).contains("notes.txt: no such file, expected notes"));
        assert!(message(folder.path()).contains("is a folder"));

        for (bytes, found) in [(&b"123456789"[..], "larger than"), (b"ab\xff", "byte 2")] {
            std::fs::write(&file, bytes).unwrap();
            assert!(message(&file).contains(found), "{}", message(&file));
        }
        std::fs::write(&file, "12345678").unwrap();
        assert_eq!(read_text(&file, 8, "notes").unwrap(), "12345678");
    }
}
