//! Molecules and their conformations, as a flow sees them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{Augment, DataConfig, PLACE};
use super::subject::Subject;
use crate::bad_input;
use crate::flows::FlowConfig;
use crate::targets::molecule::geometry::{centred, random_rotations, rotated};
use crate::targets::molecule::peptide;
use crate::targets::molecule::topology::Topology;
use crate::train::md::system::read_points;

/// One molecule with its frames.
pub struct Ensemble {
    pub subject: Subject,
    /// Centred frames in units of `data.scale`, `[M, A, 3]`.
    pub train: Tensor,
}

/// The file that `path` names for a sequence.
pub fn file_of(path: &str, sequence: &str) -> PathBuf {
    PathBuf::from(path.replace(PLACE, sequence))
}

/// The molecule that a sequence stands for, with its energy where the config names a System.
pub fn subject(data: &DataConfig, sequence: &str, config: &FlowConfig) -> Result<Subject> {
    let topology = match &data.topology {
        Some(path) => Topology::read(&file_of(path, sequence))?,
        None => peptide::topology(sequence)?,
    };
    let subject = Subject::new(sequence, topology, config)?;
    match &data.system {
        Some(path) => subject.with_energy(&file_of(path, sequence), data.scale, data.temperature),
        None => Ok(subject),
    }
}

impl Ensemble {
    pub fn read(data: &DataConfig, sequence: &str, config: &FlowConfig, kind: Kind) -> Result<Self> {
        let subject = subject(data, sequence, config)?;
        let all = frames(&file_of(&data.frames, sequence), subject.atoms(), data, kind)?;
        Ok(Self { subject, train: kept_back(&all, data.validation).0 })
    }
}

/// Frames for training, and the last ones that are kept back from it.
pub fn kept_back(all: &Tensor, share: f64) -> (Tensor, Tensor) {
    let n = all.size()[0];
    let back = ((n as f64 * share).ceil() as i64).min(n - 1);
    let part = |from: i64, count: i64| all.narrow(0, from, count).contiguous();
    (part(0, n - back), part(n - back, back))
}

/// Centred frames in units of `data.scale`, `[M, A, 3]`.
pub fn frames(path: &Path, atoms: i64, data: &DataConfig, kind: Kind) -> Result<Tensor> {
    let mut x = read_points(path, 3 * atoms, (kind, Device::Cpu))?;
    let n = x.size()[0];
    if n < 2 {
        return Err(bad_input!("{}: has {n} frames, expected two at least", path.display()));
    }
    if let Some(most) = data.most_frames.filter(|most| *most < n) {
        let rows = Tensor::arange(most, (Kind::Int64, Device::Cpu)) * n;
        x = x.index_select(0, &rows.floor_divide_scalar(most));
    }
    let x = centred(&x, &vec![1.0; atoms as usize]) / data.scale;
    Ok(x.view([-1, atoms, 3]))
}

/// Frames `[N, A, 3]` as training sees them. Draws from libtorch's generator.
pub fn augmented(x: &Tensor, augment: &Augment) -> Tensor {
    let (n, atoms) = (x.size()[0], x.size()[1]);
    let options = (x.kind(), x.device());
    let mut x = x.copy();
    if augment.rotate {
        x = rotated(&x.flatten(1, 2), &random_rotations(n, options)).view([n, atoms, 3]);
    }
    if augment.center_noise {
        x += Tensor::randn([n, 1, 3], options) / (atoms as f64).sqrt();
    }
    x
}
