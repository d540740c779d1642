//! Event files that TensorBoard reads: scalars, histograms, pictures, text and hyperparameters.
//!
//! tensorboard-rs frames the records; the events are built here, because most of that crate's own `add_*` methods
//! are unimplemented and its writer thread panics on a full disk. Nothing in this file can bring down a run: the
//! first write error is reported once on stderr, kept in [`TensorBoard::error`], and the writer falls silent.
//!
//! A resumed run opens a second file in the same folder. Its name sorts after every earlier one, and it begins with
//! a session-start record at the first step it will write, upon which TensorBoard forgets what the interrupted run
//! had logged from that step on.

mod events;
mod file;
mod histogram;
mod hparams;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use protobuf::Message;
use tch::Tensor;
use tensorboard_proto::event::Event;
use tensorboard_rs::record_writer::RecordWriter;

use super::plot::Picture;

/// What was written reaches the disk at least this often while events keep coming.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// How a session ended, as the hyperparameter page shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
}

/// One event file of one run.
///
/// Buffered: call [`flush`](TensorBoard::flush) before a checkpoint is declared complete, so that a killed run loses
/// no event from before the step it resumes at.
pub struct TensorBoard {
    writer: Option<RecordWriter<BufWriter<File>>>,
    path: PathBuf,
    flushed: Instant,
    error: Option<String>,
}

impl TensorBoard {
    /// Opens a fresh event file in `folder`, which is made if missing.
    pub fn create(folder: &Path) -> Result<Self> {
        // TensorBoard takes the first session start it sees for the beginning of the run and only later ones for
        // restarts, so the beginning has to be marked too.
        Self::open(folder, 0)
    }

    /// Opens a further event file for a run continued after `last_step`: events of later steps that an earlier
    /// session wrote are no longer shown.
    pub fn resume(folder: &Path, last_step: u64) -> Result<Self> {
        Self::open(folder, last_step + 1)
    }

    fn open(folder: &Path, first_step: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        let (file, path) = file::create_event_file(folder)?;
        let writer = Some(RecordWriter::new(BufWriter::new(file)));
        let mut board = Self { writer, path, flushed: Instant::now(), error: None };

        board.write(&events::file_version());
        board.write(&events::session_start(first_step));
        board.flush();
        Ok(board)
    }

    /// The event file being written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The error that silenced this writer, if any.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// One number. TensorBoard keeps scalars in single precision; `metrics.jsonl` has them in full.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) {
        self.scalars(step, [(tag, value)]);
    }

    /// Several numbers of one step.
    pub fn scalars<'a>(&mut self, step: u64, values: impl IntoIterator<Item = (&'a str, f64)>) {
        let values: Vec<_> = values.into_iter().map(|(tag, value)| events::scalar(tag, value)).collect();
        if !values.is_empty() {
            self.write(&events::summary(step, values));
        }
    }

    /// A histogram of the finite values. Where some are not finite, their fraction is logged as `<tag>/non_finite`.
    pub fn histogram(&mut self, tag: &str, step: u64, values: &[f64]) {
        if let Some(buckets) = histogram::Buckets::of(values) {
            self.write(&events::summary(step, vec![events::histogram(tag, buckets)]));
        }
        let lost = values.iter().filter(|v| !v.is_finite()).count();
        if lost > 0 {
            self.scalar(&format!("{tag}/non_finite"), step, lost as f64 / values.len() as f64);
        }
    }

    /// [`histogram`](TensorBoard::histogram) of all entries of a tensor of any shape, kind and device.
    pub fn histogram_of(&mut self, tag: &str, step: u64, tensor: &Tensor) {
        self.histogram(tag, step, &super::values(tensor));
    }

    /// A picture, such as a plot.
    pub fn picture(&mut self, tag: &str, step: u64, picture: &Picture) -> Result<()> {
        let png = picture.png_bytes()?;
        self.write(&events::summary(step, vec![events::image(tag, picture.width, picture.height, png)]));
        Ok(())
    }

    /// A picture from a PNG file, carried over byte for byte.
    pub fn png(&mut self, tag: &str, step: u64, path: &Path) -> Result<()> {
        let png = std::fs::read(path).with_context(|| format!("{}: cannot read the picture", path.display()))?;
        let info = png::Decoder::new(png.as_slice()).read_info();
        let size = info.map(|reader| reader.info().size());
        let (width, height) = size.with_context(|| format!("{}: not a PNG file", path.display()))?;
        self.write(&events::summary(step, vec![events::image(tag, width, height, png)]));
        Ok(())
    }

    /// Text, rendered by TensorBoard as Markdown.
    pub fn text(&mut self, tag: &str, step: u64, markdown: &str) {
        self.write(&events::summary(step, vec![events::text(tag, markdown)]));
    }

    /// The resolved configuration, shown as a block of YAML under the tag `config`. Once a run, not after a resume.
    pub fn config(&mut self, yaml: &str) {
        self.text("config", 0, &format!("```yaml\n{}\n```", yaml.trim_end()));
    }

    /// The run's hyperparameters, for TensorBoard's HPARAMS page. Once a run, not after a resume.
    ///
    /// `config` is flattened to dotted keys: numbers, booleans and strings keep their type, lists become JSON text,
    /// nulls are left out. `metrics` are the scalar tags to show beside them. TensorBoard takes the columns of its
    /// table from the first run that names metrics; where runs of several tasks share one log folder, name none,
    /// and TensorBoard gathers all hyperparameters and all scalars itself.
    pub fn hparams(&mut self, config: &serde_json::Value, metrics: &[&str]) {
        let flat = hparams::flatten(config);
        if !metrics.is_empty() {
            self.write(&events::summary(0, vec![hparams::experiment(&flat, metrics)]));
        }
        self.write(&events::summary(0, vec![hparams::session_start(&flat)]));
    }

    /// Marks the end of the session for the HPARAMS page and writes everything out.
    pub fn finish(&mut self, outcome: Outcome) {
        self.write(&events::summary(0, vec![hparams::session_end(outcome)]));
        self.flush();
    }

    /// Writes everything out.
    pub fn flush(&mut self) {
        self.flushed = Instant::now();
        let result = self.writer.as_mut().map_or(Ok(()), RecordWriter::flush);
        self.keep_first_error(result);
    }

    fn write(&mut self, event: &Event) {
        let Some(writer) = &mut self.writer else { return };
        let bytes = event.write_to_bytes().map_err(io::Error::other);
        let result = bytes.and_then(|bytes| writer.write(&bytes));
        self.keep_first_error(result);

        if self.flushed.elapsed() > FLUSH_EVERY {
            self.flush();
        }
    }

    fn keep_first_error(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        let text = format!("{}: {error}; TensorBoard gets no more of this run", self.path.display());
        eprintln!("{text}");
        self.error = Some(text);
        self.writer = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_silences_the_writer_and_nothing_else() {
        // A handle opened for reading refuses every byte, as a full disk would.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, []).unwrap();
        let writer = Some(RecordWriter::new(BufWriter::new(File::open(&path).unwrap())));
        let mut board = TensorBoard { writer, path: path.clone(), flushed: Instant::now(), error: None };

        board.scalar("train/loss", 1, 0.5);
        assert_eq!(board.error(), None);
        board.flush();
        assert!(board.error().is_some_and(|text| text.starts_with(&path.display().to_string())));

        board.scalar("train/loss", 2, 0.5);
        board.finish(Outcome::Failure);
    }
}
