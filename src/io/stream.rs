//! A file that grows piece by piece and appears under its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::atomic::{beside, cannot_write, sync_parent};

/// Written beside its final place until [`finish`](Self::finish); dropped before, it leaves nothing behind.
pub struct Stream {
    out: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Stream {
    pub fn create(path: &Path) -> Result<Self> {
        let temporary = beside(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| cannot_write(path, &error))?;
        Ok(Self { out: Some(BufWriter::with_capacity(1 << 16, file)), temporary, path: path.to_path_buf() })
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let out = self.out.as_mut().map_or(Ok(()), |out| out.write_all(bytes));
        out.map_err(|error| cannot_write(&self.path, &error))
    }

    /// Brings the file to disk and gives it its name, in place of a former one.
    pub fn finish(mut self) -> Result<()> {
        let done = match self.out.take() {
            Some(out) => close(out).and_then(|()| fs::rename(&self.temporary, &self.path)),
            None => Ok(()),
        };
        done.and_then(|()| sync_parent(&self.path)).map_err(|error| {
            let _ = fs::remove_file(&self.temporary);
            cannot_write(&self.path, &error)
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn close(out: BufWriter<File>) -> io::Result<()> {
    out.into_inner().map_err(|error| error.into_error())?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.txt");
        let files = || fs::read_dir(folder.path()).unwrap().count();
        fs::write(&path, "former").unwrap();

        let mut stream = Stream::create(&path).unwrap();
        stream.append(b"one").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), files()), ("former", 2));
        drop(stream);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), files()), ("former", 1));

        let mut stream = Stream::create(&path).unwrap();
        stream.append(b"one ").unwrap();
        stream.append(b"two").unwrap();
        stream.finish().unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), files()), ("one two", 1));

        let error = Stream::create(&folder.path().join("none/x")).err().unwrap().to_string();
        assert!(error.contains("x: cannot be written"), "{error}");
    }
}
