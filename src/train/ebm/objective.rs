//! One update: of the process on the present model's residual, and now and then of the model against its own samples.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{EbmConfig, Method, ProcessConfig};
use super::data::Source;
use super::measure;
use crate::bad_input;
use crate::log::plot::Picture;
use crate::losses::kolmogorov::ResidualLoss;
use crate::nets::Geometry;
use crate::samplers::discrete::{Keep, Member, Path, Team};
use crate::targets::lattice::energy::{Energy, EnergyTarget, Ratios};
use crate::torch::optim::{Group, Moments, Optimizer, Rule};
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::train::config::TrainConfig;
use crate::train::curves::Curves;
use crate::train::discrete::buffer::Buffer;
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
}

/// What the process is trained on, and how the model learns from it.
struct Process {
    config: ProcessConfig,
    loss: ResidualLoss,
    buffer: Buffer,
    /// Ends of the newest rollout `[M, D]` i64 and their weights `[M]` f32, normalised.
    ends: Option<(Tensor, Tensor)>,
    optimizer: Optimizer,
}

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream.
pub fn build(config: &EbmConfig, device: Device) -> Result<EbmObjective> {
    let source = Source::open(&config.data, config.seed)?;
    reseed(config.seed, Stream::Init, 0);
    let params = Params::new(Kind::Float, device);
    let energy = config.energy.build(&params.root().sub("energy"), source.sites());

    let (ratios, net_config) = match &config.method {
        Method::Process(process) => (process.ratios, process.net.clone()),
        Method::EnergyDiscrepancy { .. } => (Ratios::Exact, Default::default()),
    };
    let side = source.shape().filter(|(rows, columns)| rows == columns).map(|(rows, _)| rows);
    let geometry = Geometry { sites: source.sites(), states: 2, side, distances: None };
    let target = Box::new(EnergyTarget::new(energy.shallow_clone(), ratios));
    let process = match &config.method {
        Method::Process(process) => Some(Process::new(process, params.under("energy."))),
        Method::EnergyDiscrepancy { .. } => None,
    };
    // Without a process the network is never called; it has no parameters in the model's file then.
    let apart = Params::new(Kind::Float, device);
    let scope = if process.is_some() { params.root().sub("net") } else { apart.root() };
    let net = net_config.build(scope, &geometry)?;
    let team = Team::new(Member { net, free_energy: None, target, params });
    Ok(EbmObjective { energy, source, config: config.clone(), device, team, process, step: 0, cost: Cost::default() })
}

impl Process {
    fn new(config: &ProcessConfig, params: Vec<(String, Tensor)>) -> Self {
        let group = Group { name: "energy".into(), learning_rate: config.energy_learning_rate, params };
        let optimizer = Optimizer::new(Rule::Adam(Moments::default()), vec![group]);
        let (loss, buffer) = (ResidualLoss::default(), Buffer::default());
        Self { config: config.clone(), loss, buffer, ends: None, optimizer }
    }
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

    /// Samples of the process, if there is one.
    pub fn sample(&mut self, count: i64) -> Option<Path> {
        let sampler = self.process.as_ref()?.config.sampler;
        Some(self.team.rollout(&sampler, count, Keep::Ends))
    }

    /// One step of contrastive divergence: data up, weighted samples down. Returns the difference of means.
    fn contrast(&mut self, batch: i64) -> f64 {
        let data = self.data(batch).to_kind(Kind::Float);
        let Some(process) = self.process.as_mut() else { return 0.0 };
        let Some((ends, weights)) = &process.ends else { return 0.0 };
        let model = (self.energy.log_prob(&ends.to_kind(Kind::Float)) * weights).sum(Kind::Float);
        let mut loss = model - self.energy.log_prob(&data).mean(Kind::Float);
        let gap = loss.double_value(&[]);
        if let Some(couplings) = self.energy.couplings().filter(|_| process.config.l1 > 0.0) {
            loss += couplings.abs().mean(Kind::Float) * process.config.l1;
        }
        process.optimizer.zero_grad();
        loss.backward();
        process.optimizer.step(1.0, None);
        gap
    }

    /// One update of the process; the model's turn comes first.
    fn with_process(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let batch = self.config.train.batch;
        let (every, energy_every) = match &self.process {
            Some(process) => (process.config.buffer.every, process.config.energy_every),
            None => (1, 1),
        };
        if self.step.is_multiple_of(every) {
            self.explore()?;
        }
        let gap = if self.step.is_multiple_of(energy_every) { self.contrast(batch) } else { f64::NAN };
        let Some(process) = &self.process else { return Ok(Vec::new()) };
        let batch = process.buffer.draw(batch, 1)?;
        let loss = squared(self.team.first(), &process.loss, &batch).mean(Kind::Float);
        loss.backward();
        self.cost.network_calls += batch.x.size()[0] as u64;
        self.cost.target_calls += (batch.x.size()[0] * (1 + self.source.sites())) as u64;
        let mut figures = vec![("train/loss", loss.double_value(&[]))];
        figures.extend(gap.is_finite().then_some(("train/energy_gap", gap)));
        Ok(figures)
    }

    fn explore(&mut self) -> Result<()> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let keep = Keep::States { clamp: process.loss.ratio_clamp() };
        let path = self.team.rollout(&process.config.rollout, process.config.buffer.walkers, keep);
        self.cost.network_calls += path.network_calls;
        self.cost.target_calls += path.target_calls * (1 + self.source.sites()) as u64;
        let weights = path.log_weight.softmax(0, Kind::Float);
        process.ends = Some((path.x.shallow_clone(), weights));
        process.buffer.push(path, process.config.buffer.rollouts)
    }

    /// `log(w + sum over j of exp(f(x_j) - f(x))) - log M`, the x_j within two noisy flips of x.
    fn discrepancy(&mut self, flip: f64, contrasts: i64, stabiliser: f64) -> f64 {
        let x = self.data(self.config.train.batch).to_kind(Kind::Float); // [B, D]
        let (b, d) = (x.size()[0], x.size()[1]);
        let noise = |size: &[i64]| Tensor::rand(size, (Kind::Float, self.device)).lt(flip).to_kind(Kind::Float);
        let flipped = |x: &Tensor, n: &Tensor| x + n - x * n * 2.0;
        let away = flipped(&x, &noise(&[b, d])).unsqueeze(1); // [B, 1, D]
        let back = flipped(&away.expand([b, contrasts, d], false), &noise(&[b, contrasts, d]));

        let own = self.energy.log_prob(&x).unsqueeze(1); // [B, 1]
        let gain = self.energy.log_prob(&back.reshape([-1, d])).view([b, contrasts]) - own;
        let floor = Tensor::full([b, 1], stabiliser.ln(), (Kind::Float, self.device));
        let loss = Tensor::cat(&[gain, floor], 1).logsumexp([1i64].as_slice(), false).mean(Kind::Float)
            - (contrasts as f64).ln();
        loss.backward();
        self.cost.network_calls += (b * (1 + contrasts)) as u64;
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
        let figures = match self.config.method {
            Method::Process(_) => self.with_process()?,
            Method::EnergyDiscrepancy { flip, contrasts, stabiliser } => {
                vec![("train/loss", self.discrepancy(flip, contrasts, stabiliser))]
            }
        };
        self.step += 1;
        Ok(figures)
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
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
        &["eval/nll", "eval/mmd2", "eval/ess", "eval/minus_log_rmse"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    fn extra_state(&self) -> Vec<(String, Tensor)> {
        let mut extra = vec![("step".to_string(), Tensor::from_slice(&[self.step as i64]))];
        if let Some(process) = &self.process {
            extra.extend(process.buffer.named());
            extra
                .extend(process.optimizer.state().into_iter().map(|(name, t)| (format!("energy_optimizer.{name}"), t)));
            if let Some((ends, weights)) = &process.ends {
                extra.push(("ends.x".into(), ends.shallow_clone()));
                extra.push(("ends.weight".into(), weights.shallow_clone()));
            }
        }
        extra
    }

    fn restore(&mut self, extra: &[(String, Tensor)]) -> Result<()> {
        let find = |name: &str| extra.iter().find(|(known, _)| known == name).map(|(_, t)| t.to_device(self.device));
        let step = find("step").ok_or_else(|| bad_input!("no tensor 'step' in the checkpoint"))?;
        self.step = step.int64_value(&[0]) as u64;
        let (sites, device) = (self.source.sites(), self.device);
        if let Some(process) = self.process.as_mut() {
            process.buffer = Buffer::restored(extra, sites, device)?;
            process.ends = find("ends.x").zip(find("ends.weight"));
            let own = extra
                .iter()
                .filter_map(|(name, t)| Some((name.strip_prefix("energy_optimizer.")?.to_string(), t.shallow_clone())));
            process.optimizer.load_state(&own.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
