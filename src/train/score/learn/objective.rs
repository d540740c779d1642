//! Denoising score matching: one update, and what a trained score is worth.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::LearnConfig;
use super::evaluate;
use super::source::{Points, Source};
use crate::log::plot::Picture;
use crate::samplers::score::models::LearnedScore;
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::train::config::TrainConfig;
use crate::train::curves::Curves;
use crate::train::denoiser;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A network, what it learns from, and how.
pub struct LearnObjective {
    pub model: LearnedScore,
    pub source: Source,
    pub config: LearnConfig,
    cost: Cost,
}

impl LearnObjective {
    pub fn new(model: LearnedScore, source: Source, config: LearnConfig) -> Self {
        Self { model, source, config, cost: Cost::default() }
    }

    /// The loss at points `x`, under fresh noise.
    pub(super) fn loss(&self, (x, labels): &Points) -> Tensor {
        let noise = self.config.noise.draw(x.size()[0], self.config.horizon, x);
        denoiser::loss(self.model.denoiser(), x, &x.randn_like(), &noise, labels.as_ref())
    }
}

impl Objective for LearnObjective {
    fn params(&self) -> &Params {
        self.model.denoiser().params()
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "denoiser".into(), learning_rate: config.learning_rate, params: self.params().named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.config.train.batch;
        let (x, labels) = self.source.draw(batch)?;
        let points = (x.to_kind(self.params().kind()), labels);
        let loss = tch::with_grad(|| {
            let loss = self.loss(&points);
            loss.backward();
            loss.to_kind(Kind::Double).double_value(&[])
        });
        self.cost.network_calls += batch as u64;
        Ok(vec![("train/loss", loss)])
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        evaluate::evaluate(self, last)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let tags = &[("training", "train/loss"), ("held out", "eval/loss")];
        let against = ("step", "updates");
        let loss = Curves { title: "Denoising score matching", against, y_name: "loss", tags, reference: None }
            .draw(history)?;
        Ok(vec![("loss".to_string(), loss)])
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/loss", "eval/score_error", "eval/sliced_w2"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }
}
