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
        x = x.index_select(0, &evenly(most, n));
    }
    let x = centred(&x, &vec![1.0; atoms as usize]) / data.scale;
    Ok(x.view([-1, atoms, 3]))
}

/// `n` of `count` rows, spread evenly: `[n]` i64; all of them in order where `n` is `count`.
pub fn evenly(n: i64, count: i64) -> Tensor {
    (Tensor::arange(n, (Kind::Int64, Device::Cpu)) * count).floor_divide_scalar(n.max(1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};

    #[test]
    fn augmentation_turns_and_shifts_frames_as_wholes() {
        reseed(0, Stream::Data, 0);
        let options = (Kind::Double, Device::Cpu);
        let (n, atoms) = (6000, 5);
        let frame = Tensor::randn([1, atoms, 3], options);
        let frame = &frame - frame.mean_dim([1i64].as_slice(), true, None);
        let x = frame.expand([n, atoms, 3], false);
        let center = |x: &Tensor| x.mean_dim([1i64].as_slice(), false, None); // [N, 3]
        let distances = |x: &Tensor| Tensor::cdist(x, x, 2.0, None);
        let largest = |x: &Tensor| x.abs().max().double_value(&[]);

        let turned = augmented(&x, &Augment { rotate: true, center_noise: false });
        assert!(largest(&(distances(&turned) - distances(&x))) < 1e-12 && largest(&center(&turned)) < 1e-12);
        // Every direction is as likely as its opposite: an atom's mean over rotations is zero.
        let mean = turned.mean_dim([0i64].as_slice(), false, None);
        assert!(largest(&mean) < 0.1 && largest(&(turned.get(0) - turned.get(1))) > 0.1, "{}", largest(&mean));

        let shifted = augmented(&x, &Augment { rotate: false, center_noise: true });
        let shift = center(&shifted);
        assert!(largest(&(&shifted - shift.unsqueeze(1) - &x)) < 1e-12);
        let variance = shift.square().mean(Kind::Double).double_value(&[]) * atoms as f64;
        assert!((variance - 1.0).abs() < 0.05, "{variance}"); // 18,000 numbers: 0.01 of standard error

        assert!(augmented(&x, &Augment { rotate: false, center_noise: false }).equal(&x));
    }

    #[test]
    fn thinned_training_frames_are_none_of_those_kept_back() {
        let numbers = |t: &Tensor| Vec::<i64>::try_from(t).unwrap();
        assert_eq!(numbers(&evenly(4, 10)), [0, 2, 5, 7]);
        assert_eq!(numbers(&evenly(3, 3)), [0, 1, 2]);
        for (frames, most, share) in [(100, 7, 0.05), (101, 100, 0.05), (9, 2, 0.4), (1000, 333, 0.3)] {
            let all = Tensor::arange(frames, (Kind::Int64, Device::Cpu));
            let (train, _) = kept_back(&all.index_select(0, &evenly(most, frames)), share);
            let (_, back) = kept_back(&all, share);
            assert!(train.max().int64_value(&[]) < back.min().int64_value(&[]), "{frames} {most} {share}");
        }
    }
}
