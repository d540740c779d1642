//! Maximum likelihood: one update of a flow on frames of molecules.

use anyhow::Result;
use tch::Kind;

use super::batch::{Piece, Shares, draw};
use super::config::FlowTrainConfig;
use super::data::Ensemble;
use super::evaluate::{Measure, Scheme, evaluate};
use super::pictures;
use super::team::FlowTeam;
use crate::flows::{AutoregressiveFlow, Flow};
use crate::log::plot::Picture;
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::train::config::TrainConfig;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A flow, what it learns from, and what it is measured on.
pub struct FlowObjective {
    pub team: FlowTeam,
    pub config: FlowTrainConfig,
    pub ensembles: Vec<Ensemble>,
    pub measures: Vec<Measure>,
    pub(super) cost: Cost,
}

impl FlowObjective {
    /// Accumulates the gradient of the mean negative log-likelihood per coordinate over the pieces of a batch of
    /// `batch` frames; returns that mean.
    pub(super) fn likelihood(&mut self, pieces: Vec<Vec<Piece>>, batch: i64) -> f64 {
        self.cost.network_calls += batch as u64;
        let device = self.team.device();
        let one = |flow: &AutoregressiveFlow, piece: &Piece| {
            let piece = piece.to_device(device);
            let prepared = flow.prepare(&piece.conditioning);
            let loss = (flow.log_q(&piece.x, &prepared) / prepared.dims()).sum(Kind::Double) / -(batch as f64);
            loss.backward();
            loss.double_value(&[])
        };
        let sums = self.team.each(pieces, |flow, pieces| pieces.iter().map(|piece| one(flow, piece)).sum::<f64>());
        self.team.gather();
        sums.into_iter().sum()
    }
}

impl Objective for FlowObjective {
    fn params(&self) -> &Params {
        self.team.params()
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "flow".into(), learning_rate: config.learning_rate, params: self.params().named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let (data, train) = (&self.config.data, &self.config.train);
        let shares = Shares { workers: self.team.len() as i64, rows: train.chunk_rows_on(self.team.device()) };
        let batch = train.batch;
        let pieces = draw(&self.ensembles, batch, &data.batching, &self.config.augment, shares);
        Ok(vec![("train/loss", self.likelihood(pieces, batch))])
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        evaluate(&mut self.team, &self.measures, &Scheme::of(&self.config, last))
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        pictures::curves(history)
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/nll", "eval/ess", "eval/energy_w2", "eval/torus_w2"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }
}
