//! Trajectories on disk: numbered files of frames, so that neither writing nor reading needs much memory.
//!
//! `trajectory/chunk_000000.safetensors` holds `positions` [F, R, atoms, space] (or [F, R, D] for densities without
//! particles) in nm, `energy` and `kinetic` [F, R] in kJ/mol, `time` [F] in ps, and `walker` [F, R]: the number that
//! the conformation in that row began with. Row `rung * chains + chain` is a chain at one temperature.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tch::{Kind, Tensor};

use crate::bad_input;
use crate::io::tensors::{read_tensors, take, write_tensors};

/// Frames that are kept, one to an instant.
pub struct Frame {
    /// `[R, D]`
    pub positions: Tensor,
    /// `[R]` f64
    pub energy: Tensor,
    /// `[R]` f64
    pub kinetic: Tensor,
    /// `[R]` i64
    pub walker: Tensor,
    pub time: f64,
}

/// Frames not yet written.
#[derive(Default)]
pub struct Buffer {
    frames: Vec<Frame>,
}

/// Frames of one file.
pub struct Chunk {
    /// `[F, R, D]`
    pub positions: Tensor,
    /// `[F, R]` f64
    pub energy: Tensor,
    /// `[F, R]` f64
    pub kinetic: Tensor,
    /// `[F, R]` i64
    pub walker: Tensor,
    /// `[F]` f64
    pub time: Tensor,
}

impl Buffer {
    pub fn push(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// All frames; there must be one.
    pub fn stacked(&self) -> Chunk {
        let stack = |f: fn(&Frame) -> &Tensor| Tensor::stack(&self.frames.iter().map(f).collect::<Vec<_>>(), 0);
        let time: Vec<f64> = self.frames.iter().map(|frame| frame.time).collect();
        Chunk {
            positions: stack(|f| &f.positions),
            energy: stack(|f| &f.energy),
            kinetic: stack(|f| &f.kinetic),
            walker: stack(|f| &f.walker),
            time: Tensor::from_slice(&time),
        }
    }

    /// The frames of a chunk again.
    pub fn from_chunk(chunk: &Chunk) -> Self {
        let frame = |i: i64| Frame {
            positions: chunk.positions.get(i),
            energy: chunk.energy.get(i),
            kinetic: chunk.kinetic.get(i),
            walker: chunk.walker.get(i),
            time: chunk.time.double_value(&[i]),
        };
        Self { frames: (0..chunk.time.size()[0]).map(frame).collect() }
    }
}

impl Chunk {
    /// Names and tensors; positions get an axis of particles where `particles` are given.
    pub fn named(&self, particles: Option<(i64, i64)>) -> Vec<(String, Tensor)> {
        let size = self.positions.size();
        let positions = match particles {
            Some((count, space)) => self.positions.view([size[0], size[1], count, space]),
            None => self.positions.shallow_clone(),
        };
        let named = [
            ("positions", positions),
            ("energy", self.energy.shallow_clone()),
            ("kinetic", self.kinetic.shallow_clone()),
            ("time", self.time.shallow_clone()),
            ("walker", self.walker.shallow_clone()),
        ];
        named.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect()
    }

    /// Checks and takes what [`named`](Chunk::named) gave; `path` is for messages.
    pub fn from_named(path: &Path, mut tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let mut pick = |name: &str| take(path, &mut tensors, name);
        let (positions, energy, kinetic) = (pick("positions")?, pick("energy")?, pick("kinetic")?);
        let (time, walker) = (pick("time")?, pick("walker")?);
        let size = positions.size();
        let frames = [&energy, &kinetic, &walker].iter().all(|t| t.size() == size[..size.len().min(2)]);
        if size.len() < 3 || !frames || time.size() != [size[0]] || time.kind() != Kind::Double {
            return Err(bad_input!(
                "{}: 'positions' {size:?}, 'energy' {:?} and 'time' {:?} do not belong together, expected \
                 [frames, rows, …], [frames, rows] and [frames]",
                path.display(),
                energy.size(),
                time.size()
            ));
        }
        let positions = positions.view([size[0], size[1], -1]);
        Ok(Self { positions, energy: energy.to_kind(Kind::Double), kinetic, walker, time })
    }

    /// Number of frames.
    pub fn frames(&self) -> i64 {
        self.time.size()[0]
    }
}

/// The folder of a run's trajectory.
pub struct Trajectory {
    folder: PathBuf,
}

impl Trajectory {
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("trajectory") }
    }

    fn path(&self, index: u64) -> PathBuf {
        self.folder.join(format!("chunk_{index:06}.safetensors"))
    }

    /// Writes file number `index`, whole or not at all; one that is there is replaced.
    pub fn write(&self, index: u64, chunk: &Chunk, particles: Option<(i64, i64)>) -> Result<()> {
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).with_context(|| format!("{folder}: cannot make the folder"))?;
        let named = chunk.named(particles);
        let named: Vec<(&str, &Tensor)> = named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let units = BTreeMap::from([("units".to_string(), "nm, ps, kJ/mol".to_string())]);
        write_tensors(&self.path(index), &named, &units)
    }

    /// Files from number 0 on, up to the first that is not there.
    pub fn chunks(&self) -> impl Iterator<Item = Result<Chunk>> + '_ {
        let paths = (0..).map(|index| self.path(index)).take_while(|path| path.is_file());
        paths.map(|path| Chunk::from_named(&path, read_tensors(&path)?))
    }
}
