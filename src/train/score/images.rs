//! Images as data: read, scaled, split.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::config::check;
use crate::io::images::{read_images, read_labels};
use crate::torch::seed::{Stream, reseed};

/// The `data:` section: images in a file, in place of a `target` with a formula.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// IDX (MNIST's format, plain or gzipped) or a file of tensors with `x`.
    pub file: PathBuf,
    /// Labels, where they are in a file of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Share of the images that training does not see and samples are compared with.
    #[serde(default = "fifth")]
    pub held_out: f64,
    /// Seed of the split.
    #[serde(default)]
    pub seed: u64,
    /// Weights of the classifier whose features the Fréchet distance compares.
    #[serde(default = "shipped", skip_serializing_if = "Option::is_none")]
    pub classifier: Option<PathBuf>,
}

fn fifth() -> f64 {
    0.2
}

fn shipped() -> Option<PathBuf> {
    Some(PathBuf::from("weights/digits-classifier.safetensors"))
}

/// Images in [-1, 1] in random order, those held out last.
pub struct ImageData {
    /// `[N, H W]`.
    x: Tensor,
    /// `[N]` i64.
    labels: Option<Tensor>,
    size: (i64, i64),
    training: i64,
}

impl DataConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("data.held_out", self.held_out, 0.0, 0.9)
    }

    /// Reads the files and scales pixels to [-1, 1], 0 to -1 and the file's brightest pixel to 1.
    pub fn read(&self, (kind, device): (Kind, Device)) -> Result<ImageData> {
        let name = self.file.display();
        let images = read_images(&self.file)?;
        let labels = match &self.labels {
            Some(path) => Some(read_labels(path)?),
            None => images.labels,
        };
        let size = images.pixels.size();
        if let Some(found) = labels.as_ref().map(|labels| labels.size()[0]).filter(|found| *found != size[0]) {
            return Err(bad_input!("'data.labels' must hold a label for each of {} images, found {found}", size[0]));
        }
        let x = images.pixels.to_kind(Kind::Double).reshape([size[0], -1]);
        let (least, white) = (x.min().double_value(&[]), x.max().double_value(&[]));
        if !(least >= 0.0 && white > 0.0 && white.is_finite()) {
            return Err(bad_input!("{name}: has pixels from {least} to {white}, expected 0 and above"));
        }

        reseed(self.seed, Stream::Data, 0);
        let order = Tensor::randperm(size[0], (Kind::Int64, Device::Cpu));
        let x = (x.index_select(0, &order) * (2.0 / white) - 1.0).to_kind(kind).to_device(device);
        let labels = labels.map(|labels| labels.index_select(0, &order).to_device(device));
        let training = size[0] - (size[0] as f64 * self.held_out).round() as i64;
        if training < 1 {
            return Err(bad_input!("'data.held_out' leaves no image of {} for training", size[0]));
        }
        Ok(ImageData { x, labels, size: (size[1], size[2]), training })
    }
}

impl ImageData {
    /// Height and width.
    pub fn size(&self) -> (i64, i64) {
        self.size
    }

    /// One more than the largest label.
    pub fn classes(&self) -> Option<i64> {
        self.labels.as_ref().map(|labels| labels.max().int64_value(&[]) + 1)
    }

    /// `n` training images with their labels, drawn with replacement from libtorch's generator.
    pub fn draw(&self, n: i64) -> (Tensor, Option<Tensor>) {
        let rows = Tensor::randint(self.training, [n], (Kind::Int64, self.x.device()));
        let labels = self.labels.as_ref().map(|labels| labels.index_select(0, &rows));
        (self.x.index_select(0, &rows), labels)
    }

    /// The first `most` images held out, with labels.
    pub fn held_out(&self, most: i64) -> (Tensor, Option<Tensor>) {
        self.part(self.training, most.min(self.x.size()[0] - self.training))
    }

    /// `n` images held out with their labels, without replacement: those of set number `set`.
    ///
    /// Errors: too few of them for so many sets.
    pub fn held_out_set(&self, n: i64, set: usize) -> Result<(Tensor, Option<Tensor>)> {
        self.set(self.training, self.x.size()[0] - self.training, n, set, "held out")
    }

    /// The same of training images.
    pub fn training_set(&self, n: i64, set: usize) -> Result<(Tensor, Option<Tensor>)> {
        self.set(0, self.training, n, set, "for training")
    }

    fn set(&self, start: i64, count: i64, n: i64, set: usize, what: &str) -> Result<(Tensor, Option<Tensor>)> {
        let begin = n * set as i64;
        if begin + n > count {
            let needed = n * (set as i64 + 1);
            return Err(bad_input!(
                "'sample.n' times 'sample.repeats' asks for {needed} images, but {count} are {what}; take fewer"
            ));
        }
        Ok(self.part(start + begin, n))
    }

    fn part(&self, start: i64, count: i64) -> (Tensor, Option<Tensor>) {
        let labels = self.labels.as_ref().map(|labels| labels.narrow(0, start, count));
        (self.x.narrow(0, start, count), labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tensors::write_tensors;

    #[test]
    fn images_are_scaled_split_and_never_in_both_parts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("images.safetensors");
        let x = Tensor::arange(40, (Kind::Uint8, Device::Cpu)).view([10, 2, 2]);
        let y = Tensor::arange(10, (Kind::Uint8, Device::Cpu));
        write_tensors(&file, &[("x", &x), ("y", &y)], &Default::default()).unwrap();
        let config = DataConfig { file, labels: None, held_out: 0.3, seed: 1, classifier: None };
        let data = config.read((Kind::Float, Device::Cpu)).unwrap();
        assert_eq!((data.size(), data.classes(), data.training), ((2, 2), Some(10), 7));
        assert_eq!((data.x.min().double_value(&[]), data.x.max().double_value(&[])), (-1.0, 1.0));

        // Pixels tell the label that an image had.
        let own = |x: &Tensor| ((x.select(1, 0) + 1.0) * (39.0 / 8.0)).round().to_kind(Kind::Int64);
        let (held, labels) = data.held_out(100);
        assert!(own(&held).equal(&labels.unwrap()) && held.size() == [3, 4]);
        let (drawn, labels) = data.draw(200);
        let (drawn, held) = (own(&drawn), own(&held));
        assert!(drawn.equal(&labels.unwrap()));
        assert_eq!(drawn.unsqueeze(1).eq_tensor(&held.unsqueeze(0)).any().int64_value(&[]), 0);
        assert!(data.held_out_set(2, 0).is_ok() && data.held_out_set(2, 1).is_err());
    }
}
