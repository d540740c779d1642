//! Samples of images against images held out.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::classifier;
use super::config::ScoreConfig;
use super::images::{DataConfig, ImageData};
use super::learn::evaluate::image_grid;
use super::measure::{Figure, repeat_seed};
use super::sample::cost_figures;
use super::subject::Subject;
use crate::bad_input;
use crate::metrics::frechet::frechet_distance;
use crate::metrics::mmd::{MmdKernel, mmd};
use crate::nets::classifier::Classifier;
use crate::samplers::score::{Integrator, StepCost, TimeGrid, simulate};
use crate::targets::Options;
use crate::train::Evaluation;

/// Images, and the classifier that looks at them.
pub struct Gallery {
    pub images: ImageData,
    classifier: Option<Classifier>,
}

/// How far images lie from the data.
#[derive(Debug, Clone, Copy)]
pub struct ImageFigures {
    /// Of pixels, under a Gaussian kernel of the median distance.
    pub mmd: Figure,
    /// Of the classifier's features; NaN without a classifier.
    pub frechet: Figure,
    /// Share of images that the classifier takes for the class they were asked for; NaN where none was asked for.
    pub accuracy: Figure,
}

impl Gallery {
    /// Reads images and classifier, f32.
    pub fn read(config: &DataConfig, device: Device) -> Result<Self> {
        let images = config.read((Kind::Float, device))?;
        let read = |path: &Path| classifier::read(path, (Kind::Float, device));
        let classifier = config.classifier.as_deref().map(read).transpose()?;
        let (height, width) = images.size();
        if let Some(found) = classifier.as_ref().map(|c| &c.config().shape).filter(|found| **found != [height, width]) {
            return Err(bad_input!(
                "'data.classifier' is for images of {found:?}, the data's are {height} x {width}; name another, or null"
            ));
        }
        Ok(Self { images, classifier })
    }

    /// MMD, Fréchet distance and accuracy of `x` against real images `y`, both `[n, H W]`; labels `[n]` of `x`.
    fn compare(&self, x: &Tensor, y: &Tensor, labels: Option<&Tensor>) -> Result<[f64; 3]> {
        let mmd = mmd(x, y, MmdKernel::MedianGaussian)?;
        let Some(classifier) = &self.classifier else { return Ok([mmd, f64::NAN, f64::NAN]) };
        let (seen, expected) = (classifier.features(x), classifier.features(y));
        let accuracy = labels.map_or(f64::NAN, |labels| classifier::accuracy(&classifier.logits(&seen), labels));
        Ok([mmd, frechet_distance(&seen, &expected), accuracy])
    }
}

impl ImageFigures {
    fn of(repeats: &[[f64; 3]]) -> Self {
        let column = |i: usize| Figure::of(&repeats.iter().map(|row| row[i]).collect::<Vec<_>>());
        Self { mmd: column(0), frechet: column(1), accuracy: column(2) }
    }

    /// Name and figure of each that there is.
    pub fn named(&self) -> Vec<(&'static str, Figure)> {
        let all = [("mmd", self.mmd), ("frechet", self.frechet), ("accuracy", self.accuracy)];
        all.into_iter().filter(|(_, figure)| !figure.mean.is_nan()).collect()
    }
}

/// One integrator on one grid.
pub struct Row {
    pub name: String,
    pub num_steps: usize,
    pub h: f64,
    /// Evaluations a particle.
    pub cost: StepCost,
    pub figures: ImageFigures,
    /// Seconds of a repeat, the mean.
    pub wall_s: f64,
    /// Samples of the first repeat `[n, H W]`.
    pub x: Tensor,
}

/// Draws `sample.repeats` sets of `sample.n` images and compares each with as many held out.
pub fn row(
    config: &ScoreConfig,
    subject: &Subject,
    (name, integrator): (String, &dyn Integrator),
    (h, grid): (f64, &TimeGrid),
    options: Options,
) -> Result<Row> {
    let gallery = subject.gallery().context("the data are no images")?;
    let (n, repeats) = (config.sample.n, config.sample.repeats);
    // All sets of real images are there before the first sample is drawn.
    let real = (0..repeats).map(|set| Ok(gallery.images.held_out_set(n, set)?.0)).collect::<Result<Vec<_>>>()?;
    let (mut figures, mut seconds, mut first) = (Vec::new(), 0.0, None);
    for (repeat, real) in real.iter().enumerate() {
        let started = Instant::now();
        let seed = repeat_seed(config.seed, repeat);
        let x = simulate(subject.model.as_ref(), integrator, grid, n, seed, options);
        seconds += started.elapsed().as_secs_f64();
        let x = x.to_kind(Kind::Float);
        figures.push(gallery.compare(&x, real, subject.labels(n, options.1).as_ref())?);
        first.get_or_insert(x.to_device(Device::Cpu));
    }
    let (figures, x) = (ImageFigures::of(&figures), first.context("no repeats")?);
    let cost = integrator.cost().times(grid.num_steps(), 1);
    Ok(Row { name, num_steps: grid.num_steps(), h, cost, figures, wall_s: seconds / repeats as f64, x })
}

/// The same figures of training images: what a sampler without fault would get.
pub fn floor(config: &ScoreConfig, gallery: &Gallery) -> Result<ImageFigures> {
    let n = config.sample.n;
    let one = |set| {
        let (x, labels) = gallery.images.training_set(n, set)?;
        gallery.compare(&x, &gallery.images.held_out_set(n, set)?.0, labels.as_ref())
    };
    Ok(ImageFigures::of(&(0..config.sample.repeats).map(one).collect::<Result<Vec<_>>>()?))
}

/// `score sample` for images: figures, floors, a sheet of samples, and the samples `x` `[n, H W]` in [-1, 1].
pub fn sample(config: &ScoreConfig, subject: &Subject, options: Options) -> Result<Evaluation> {
    let gallery = subject.gallery().context("the data are no images")?;
    let (grid, integrator) = (config.grid()?, config.integrator.build());
    let named = (config.integrator.name(), integrator.as_ref());
    let h = config.horizon / config.num_steps as f64;
    let row = row(config, subject, named, (h, &grid), options)?;
    let mut scalars = figures_of(&row.figures, "");
    scalars.extend(figures_of(&floor(config, gallery)?, "_floor"));
    scalars.push(("sample_wall_s".to_string(), row.wall_s));
    scalars.extend(cost_figures(&integrator.cost().times(grid.num_steps(), config.sample.n)));
    let picture = image_grid(&format!("{}, {} steps", row.name, row.num_steps), &row.x, gallery.images.size())?;
    let pictures = vec![("samples".to_string(), picture)];
    Ok(Evaluation { scalars, pictures, tensors: vec![("x".to_string(), row.x)], ..Evaluation::default() })
}

fn figures_of(figures: &ImageFigures, ending: &str) -> Vec<(String, f64)> {
    let both = figures.named().into_iter().flat_map(|(name, figure)| {
        [(format!("eval/{name}{ending}"), figure.mean), (format!("eval/{name}{ending}_error"), figure.error)]
    });
    both.filter(|(_, value)| !value.is_nan()).collect()
}
