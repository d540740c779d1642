//! `score classifier`: a small classifier whose features the Fréchet distance of images compares.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::images::{DataConfig, ImageData};
use crate::bad_input;
use crate::config::cli::Common;
use crate::config::{load, to_yaml};
use crate::log::plot::Picture;
use crate::nets::classifier::{Classifier, ClassifierConfig};
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::torch::{device, threads};
use crate::train::config::TrainConfig;
use crate::train::curves::Curves;
use crate::train::denoiser::store;
use crate::train::objective::{Cost, Evaluation, History, Objective};
use crate::train::run::Plan;
use crate::train::{Run, train};

/// Where a file's metadata hold the [`ClassifierConfig`].
const KEY: &str = "classifier";
/// Name of the file of weights in the run folder.
const WEIGHTS: &str = "classifier.safetensors";
/// Images that go through the network at once when it is measured.
const CHUNK: i64 = 500;

/// The YAML of `score classifier`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierTrainConfig {
    pub data: DataConfig,
    pub classifier: ClassifierConfig,
    pub train: TrainConfig,
    #[serde(default)]
    pub seed: u64,
}

impl ClassifierTrainConfig {
    pub fn validate(&self) -> Result<()> {
        self.data.validate()?;
        self.train.validate()
    }
}

/// A classifier from its file.
pub fn read(path: &Path, options: (Kind, Device)) -> Result<Classifier> {
    let (config, weights) = store::open::<ClassifierConfig>(path, KEY)?;
    let built = Classifier::new(&config, options).map_err(|error| store::misdescribed(&weights.source, KEY, &error))?;
    store::fill(built.params(), &weights)?;
    Ok(built)
}

/// Share of rows whose largest logit is that of their label.
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> f64 {
    logits.argmax(1, false).eq_tensor(labels).to_kind(Kind::Double).mean(None).double_value(&[])
}

/// Trains, then writes `classifier.safetensors`.
pub fn train_classifier(common: &Common) -> Result<()> {
    let loaded = load::load::<ClassifierTrainConfig>(&common.config, &common.all_overrides())?;
    loaded.value.validate().map_err(|error| loaded.locate(error))?;
    let (config, yaml) = (&loaded.value, to_yaml(&loaded.value)?);
    if common.dry_run {
        print!("{yaml}");
        return Ok(());
    }
    threads::configure(common.threads.map(usize::from));
    let place = device::select(&common.device)?;
    let mut objective = ClassifierObjective::build(config, place.0).map_err(|error| loaded.locate(error))?;
    let keep_checkpoints = config.train.keep_checkpoints;
    let plan = Plan { keep_checkpoints, place, ..Plan::of(common, "score", &loaded.name, &yaml, config.seed) };
    let (mut run, checkpoint) = Run::open(&plan)?;
    run.terminal.line(&format!("{} parameters", objective.params().count()));
    train(&mut objective, &config.train, &mut run, checkpoint)?;

    let params = store::trained(&run, objective.params().named())?;
    let notes = BTreeMap::from([("seed".to_string(), config.seed.to_string())]);
    let file = run.dir.file(WEIGHTS);
    store::write_as(&file, (KEY, objective.classifier.config()), &params, &notes)?;
    run.terminal.line(&format!("weights: {}", file.display()));
    Ok(())
}

/// Cross-entropy on training images; accuracy on images held out.
pub struct ClassifierObjective {
    classifier: Classifier,
    images: ImageData,
    batch: i64,
    cost: Cost,
}

impl ClassifierObjective {
    /// Reads the images and draws the weights.
    pub fn build(config: &ClassifierTrainConfig, device: Device) -> Result<Self> {
        let images = config.data.read((Kind::Float, device))?;
        let Some(classes) = images.classes() else {
            return Err(bad_input!("'data.labels' must name the labels of the images"));
        };
        let (height, width) = images.size();
        let network =
            ClassifierConfig { shape: vec![height, width], classes: Some(classes), ..config.classifier.clone() };
        reseed(config.seed, Stream::Init, 0);
        let classifier = Classifier::new(&network, (Kind::Float, device))?;
        Ok(Self { classifier, images, batch: config.train.batch, cost: Cost::default() })
    }
}

impl Objective for ClassifierObjective {
    fn params(&self) -> &Params {
        self.classifier.params()
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "classifier".into(), learning_rate: config.learning_rate, params: self.params().named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let (x, labels) = self.images.draw(self.batch);
        let labels = labels.unwrap_or_else(|| unreachable!("a classifier is built on labels"));
        let logits = self.classifier.logits(&self.classifier.features(&x));
        let loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0);
        loss.backward();
        self.cost.network_calls += self.batch as u64;
        Ok(vec![("train/loss", loss.double_value(&[]))])
    }

    fn evaluate(&mut self, _last: bool) -> Result<Evaluation> {
        let _no_grad = tch::no_grad_guard();
        let (x, labels) = self.images.held_out(i64::MAX);
        let Some(labels) = labels.filter(|labels| labels.size()[0] > 0) else { return Ok(Evaluation::default()) };
        let logits = |x: &Tensor| self.classifier.logits(&self.classifier.features(x));
        let logits = Tensor::cat(&x.split(CHUNK, 0).iter().map(logits).collect::<Vec<_>>(), 0);
        let scalars = vec![("eval/accuracy".to_string(), accuracy(&logits, &labels))];
        Ok(Evaluation { scalars, ..Evaluation::default() })
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let tags = &[("training", "train/loss")];
        let against = ("step", "updates");
        let loss = Curves { title: "Cross-entropy", against, y_name: "loss", tags, reference: None }.draw(history)?;
        Ok(vec![("loss".to_string(), loss)])
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/accuracy"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }
}
