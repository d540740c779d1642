//! One update: of the process on the present model's residual, and now and then of the model against its own samples.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{Alone, EbmConfig, Method};
use super::data::Source;
use super::measure;
use super::process::Process;
use crate::bad_input;
use crate::log::plot::Picture;
use crate::losses::kolmogorov::ResidualLoss;
use crate::nets::Geometry;
use crate::samplers::discrete::{Keep, Member, Path, Team};
use crate::targets::lattice::energy::{Energy, EnergyTarget, Ratios};
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::train::config::TrainConfig;
use crate::train::curves::Curves;
use crate::train::discrete::objective::squared;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A model, its data, and the process that samples it (if the method has one).
pub struct EbmObjective {
    pub energy: Energy,
    pub source: Source,
    config: EbmConfig,
    device: Device,
    team: Team,
    process: Option<Process>,
    step: u64,
    cost: Cost,
    measured: Option<Vec<(String, Tensor)>>,
}

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream.
pub fn build(config: &EbmConfig, device: Device) -> Result<EbmObjective> {
    let source = Source::open(&config.data, config.seed)?;
    reseed(config.seed, Stream::Init, 0);
    let params = Params::new(Kind::Float, device);
    let energy = config.energy.build(&params.root().sub("energy"), source.sites());

    let (ratios, net_config) = match &config.method {
        Method::Process(process) => (process.ratios, process.net.clone()),
        _ => (Ratios::Exact, Default::default()),
    };
    let side = source.shape().filter(|(rows, columns)| rows == columns).map(|(rows, _)| rows);
    let geometry = Geometry { sites: source.sites(), states: 2, side, distances: None };
    let target = Box::new(EnergyTarget::new(energy.shallow_clone(), ratios));
    let process = match &config.method {
        Method::Process(process) => Some(Process::new(process, params.under("energy."))),
        _ => None,
    };
    // Without a process the network is never called; it has no parameters in the model's file then.
    let apart = Params::new(Kind::Float, device);
    let scope = if process.is_some() { params.root().sub("net") } else { apart.root() };
    let net = net_config.build(scope, &geometry)?;
    let team = Team::new(Member { net, free_energy: None, target, params });
    let (config, cost) = (config.clone(), Cost::default());
    Ok(EbmObjective { energy, source, config, device, team, process, step: 0, cost, measured: None })
}

impl EbmObjective {
    pub fn config(&self) -> &EbmConfig {
        &self.config
    }

    /// Rows of data as the model reads them.
    fn data(&self, count: i64) -> Tensor {
        let seed = Tensor::randint_low(0, i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64;
        self.source.draw(count, seed).to_device(self.device)
    }

    /// The model's parameters as they are now, under the names of its file.
    fn model(&self) -> Vec<(String, Tensor)> {
        let own = |(name, p): (String, Tensor)| (name.trim_start_matches("energy.").to_string(), p.detach().copy());
        self.params().under("energy.").into_iter().map(own).collect()
    }

    /// The model that the last measure was made of, if it was made in this session.
    pub fn measured(&self) -> Option<&[(String, Tensor)]> {
        self.measured.as_deref()
    }

    /// Samples of the process, if there is one.
    pub fn sample(&mut self, count: i64) -> Option<Path> {
        let sampler = self.process.as_ref()?.config.sampler;
        Some(self.team.rollout(&sampler, count, Keep::Ends))
    }

    /// One update of the process; the model's turn comes first.
    fn with_process(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let TrainConfig { batch, steps, ref schedule, .. } = self.config.train;
        let factor = schedule.factor(self.step, steps);
        let Some(mut process) = self.process.take() else { return Ok(Vec::new()) };
        let figures = self.turn(&mut process, batch, factor);
        self.process = Some(process);
        figures
    }

    fn turn(&mut self, process: &mut Process, batch: i64, factor: f64) -> Result<Vec<(&'static str, f64)>> {
        if let Some(warm_up) = process.warm_up(self.step) {
            let (loss, states) = warm_up.method.loss(&self.energy, &self.data(batch).to_kind(Kind::Float));
            process.descend(&loss, factor);
            self.cost.target_calls += states;
            return Ok(vec![("train/warm_up_loss", loss.double_value(&[]))]);
        }
        let (age, sites) = (process.age(self.step), self.source.sites());
        if age.is_multiple_of(process.config.buffer.every) {
            let (network, target) = process.explore(&mut self.team)?;
            self.cost.network_calls += network;
            self.cost.target_calls += target * (1 + sites) as u64;
        }
        let mut figures = Vec::new();
        if age.is_multiple_of(process.config.energy_every) {
            // As many data as there are samples: neither mean is then the noisier one for want of rows.
            let data = self.data(process.samples()).to_kind(Kind::Float);
            figures.push(("train/energy_gap", process.contrast(&self.energy, &data, factor)));
        }
        let loss = &process.config.loss;
        let rows = if let ResidualLoss::Variance { rows, .. } = loss { *rows } else { 1 };
        let batch = process.buffer.draw(batch, rows)?;
        let loss = squared(self.team.first(), loss, &batch).mean(Kind::Float);
        loss.backward();
        self.cost.network_calls += batch.x.size()[0] as u64;
        self.cost.target_calls += (batch.x.size()[0] * (1 + sites)) as u64;
        figures.insert(0, ("train/loss", loss.double_value(&[])));
        Ok(figures)
    }

    /// One update without a process.
    fn alone(&mut self, method: Alone) -> f64 {
        let data = self.data(self.config.train.batch).to_kind(Kind::Float);
        let (loss, states) = method.loss(&self.energy, &data);
        loss.backward();
        self.cost.target_calls += states;
        loss.double_value(&[])
    }
}

impl Objective for EbmObjective {
    fn params(&self) -> &Params {
        &self.team.first().params
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        let name = if self.process.is_some() { "net" } else { "energy" };
        let params = self.params().under(&format!("{name}."));
        vec![Group { name: name.into(), learning_rate: config.learning_rate, params }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let alone = |loss| vec![("train/loss", loss)];
        let figures = match self.config.method {
            Method::Process(_) => self.with_process()?,
            Method::EnergyDiscrepancy(method) => alone(self.alone(Alone::EnergyDiscrepancy(method))),
            Method::Importance(method) => alone(self.alone(Alone::Importance(method))),
        };
        self.step += 1;
        Ok(figures)
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        // Under the average of weights, if training has one: what is measured is what is kept.
        self.measured = last.then(|| self.model());
        measure::evaluate(self, last)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let curve = |y_name, tags| {
            Curves { title: "", against: ("step", "updates"), y_name, tags, reference: None }.draw(history)
        };
        Ok(vec![
            ("loss".into(), curve("loss", &[("loss", "train/loss")])?),
            ("nll".into(), curve("negative log-likelihood, nats", &[("held-out data", "eval/nll")])?),
        ])
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/nll", "eval/mmd2", "eval/mmd2_model", "eval/ess", "eval/minus_log_rmse"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    fn extra_state(&self) -> Vec<(String, Tensor)> {
        let mut extra = vec![("step".to_string(), Tensor::from_slice(&[self.step as i64]))];
        extra.extend(self.process.iter().flat_map(Process::state));
        extra
    }

    fn restore(&mut self, extra: &[(String, Tensor)]) -> Result<()> {
        let step = extra.iter().find(|(known, _)| known == "step").map(|(_, t)| t.int64_value(&[0]));
        self.step = step.ok_or_else(|| bad_input!("no tensor 'step' in the checkpoint"))? as u64;
        let (sites, device) = (self.source.sites(), self.device);
        self.process.as_mut().map_or(Ok(()), |process| process.restore(extra, sites, device))
    }
}
