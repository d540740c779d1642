//! Samples of images against images held out.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::classifier;
use super::config::ScoreConfig;
use super::images::{DataConfig, ImageData};
use super::learn::evaluate::image_grid;
use super::measure::{Figure, repeat_seed};
use super::sample::cost_figures;
use super::study::check_integrators;
use super::subject::Subject;
use crate::bad_input;
use crate::log::plot::Picture;
use crate::log::table::{Table, figure, mean_std};
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
    fn named(&self) -> Vec<(&'static str, Figure)> {
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
fn row(
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
        figures.push(gallery.compare(&x, real, subject.labels(n).as_ref())?);
        first.get_or_insert(x);
    }
    let (figures, x) = (ImageFigures::of(&figures), first.context("no repeats")?);
    let cost = integrator.cost().times(grid.num_steps(), 1);
    Ok(Row { name, num_steps: grid.num_steps(), h, cost, figures, wall_s: seconds / repeats as f64, x })
}

/// The same figures of training images: what a sampler without fault would get.
fn floor(config: &ScoreConfig, gallery: &Gallery) -> Result<ImageFigures> {
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

/// A grid over integrators and steps.
pub struct ImageStudy {
    pub rows: Vec<Row>,
    pub floor: ImageFigures,
    size: (i64, i64),
    real: Tensor,
}

/// `score study` for images; `say` hears a line for every integrator at every step.
pub fn study(config: &ScoreConfig, options: Options, say: &mut dyn FnMut(&str)) -> Result<ImageStudy> {
    let wanted = config.study.as_ref().context("the config has no section study")?;
    let subject = Subject::build(config, options)?;
    check_integrators(config, &subject)?;
    let gallery = subject.gallery().context("the data are no images")?;
    let mut rows = Vec::new();
    for integrator in &wanted.integrators {
        let (name, built) = (integrator.name(), integrator.build());
        for (h, grid) in &wanted.grids(config)? {
            let row = row(config, &subject, (name.clone(), built.as_ref()), (*h, grid), options)?;
            let (mmd, frechet) = (with_error(row.figures.mmd), with_error(row.figures.frechet));
            say(&format!("{name}, {} steps: MMD {mmd}, Fréchet {frechet}", row.num_steps));
            rows.push(row);
        }
    }
    let floor = floor(config, gallery)?;
    let real = gallery.images.held_out_set(config.sample.n, 0)?.0;
    Ok(ImageStudy { rows, floor, size: gallery.images.size(), real })
}

fn with_error(value: Figure) -> String {
    match (value.mean.is_nan(), value.error.is_nan()) {
        (true, _) => "–".to_string(),
        (_, true) => figure(value.mean, 3),
        _ => mean_std(value.mean, value.error),
    }
}

impl ImageStudy {
    /// A row for every integrator and grid; the floor comes last.
    pub fn table(&self) -> Table {
        let header =
            ["integrator", "steps", "score calls", "HVPs", "MMD", "Fréchet", "right class", "wall s", "x Euler"];
        let mut table = Table::new(header);
        let shown = |f: &ImageFigures| [f.mmd, f.frechet, f.accuracy].map(with_error);
        for row in &self.rows {
            let first = self.rows.iter().find(|other| other.num_steps == row.num_steps && other.name == "euler");
            let ratio = first.map_or("–".to_string(), |euler| figure(row.wall_s / euler.wall_s, 3));
            let calls = [row.num_steps as u64, row.cost.score_calls, row.cost.hvp_calls].map(|n| n.to_string());
            let cells = [&[row.name.clone()][..], &calls, &shown(&row.figures), &[figure(row.wall_s, 3), ratio]];
            table.row(cells.concat());
        }
        let blank = || vec!["–".to_string(); 3];
        table.row([vec!["real images".into()], blank(), shown(&self.floor).to_vec(), blank()[..2].to_vec()].concat());
        table
    }

    /// Flat figures for `summary.json`.
    pub fn figures(&self) -> Vec<(String, f64)> {
        let of_row = |row: &Row| {
            let (name, n) = (row.name.clone(), row.num_steps);
            let named = row.figures.named().into_iter();
            named.map(move |(tag, figure)| (format!("{tag}/{name}/{n}"), figure.mean)).collect::<Vec<_>>()
        };
        let floor = self.floor.named().into_iter().map(|(tag, figure)| (format!("{tag}_floor"), figure.mean));
        self.rows.iter().flat_map(of_row).chain(floor).collect()
    }

    /// Every row as JSON.
    pub fn rows(&self) -> Value {
        let row = |row: &Row| {
            let ImageFigures { mmd, frechet, accuracy } = row.figures;
            json!({
                "integrator": row.name, "num_steps": row.num_steps, "h": row.h, "score_calls": row.cost.score_calls,
                "hvp_calls": row.cost.hvp_calls, "hessian_calls": row.cost.hessian_calls, "wall_s": row.wall_s,
                "mmd": mmd.mean, "mmd_error": mmd.error, "frechet": frechet.mean, "frechet_error": frechet.error,
                "accuracy": accuracy.mean, "accuracy_error": accuracy.error,
            })
        };
        Value::Array(self.rows.iter().map(row).collect())
    }

    /// A sheet of samples a row, one of the first ten of each, and one of real images.
    pub fn pictures(&self) -> Result<Vec<(String, Picture)>> {
        let sheet = |row: &Row| {
            let title = format!("{}, {} steps", row.name, row.num_steps);
            Ok((format!("samples_{}_{}", row.name, row.num_steps), image_grid(&title, &row.x, self.size)?))
        };
        let mut pictures = self.rows.iter().map(sheet).collect::<Result<Vec<_>>>()?;
        let ten = |x: &Tensor| x.narrow(0, 0, x.size()[0].min(10));
        let mut lines: Vec<Tensor> = self.rows.iter().map(|row| ten(&row.x)).collect();
        lines.push(ten(&self.real.to_device(Device::Cpu)));
        let names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        let title = format!("{}, real", names.join(", "));
        let title = if title.len() > 70 { "One row a line of the table, then real images".to_string() } else { title };
        pictures.push(("overview".to_string(), image_grid(&title, &Tensor::cat(&lines, 0), self.size)?));
        Ok(pictures)
    }
}
