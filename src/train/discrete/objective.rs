//! One update of a discrete sampler: rollouts now and then, a batch from the buffer, a squared residual.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::buffer::{Batch, Buffer};
use super::config::DiscreteConfig;
use super::measure::{self, Reference};
use super::pictures;
use crate::log::plot::Picture;
use crate::losses::kolmogorov::{ResidualLoss, residual, squares, variances};
use crate::nets::Geometry;
use crate::nets::free_energy::FreeEnergy;
use crate::processes::ctmc::AnnealedPath;
use crate::samplers::discrete::rollout::piece_rows;
use crate::samplers::discrete::{Keep, Member, Path, Team};
use crate::targets::lattice::graphs::Graph;
use crate::targets::lattice::graphs::distance::distances;
use crate::targets::lattice::{DiscreteTarget, LatticeConfig};
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;
use crate::train::config::TrainConfig;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A team of networks, their target, and what they are trained on.
pub struct DiscreteObjective {
    pub team: Team,
    config: DiscreteConfig,
    device: Device,
    buffer: Buffer,
    /// Updates made, skipped ones included: rollouts and rungs of the ladder depend on it.
    step: u64,
    cost: Cost,
    reference: Reference,
    /// Samples of the last evaluation, for the pictures at the end.
    last: Option<Path>,
}

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream. On the CPU the team has
/// one member a worker thread.
///
/// # Errors
/// If a value only shows to be impossible when something is built from it.
pub fn build(config: &DiscreteConfig, device: Device) -> Result<DiscreteObjective> {
    let target = config.rung(0).map_or_else(|| config.target.clone(), |rung| config.target.at_beta(rung.beta));
    let member = || -> Result<Member> {
        let target = open(&target, device)?;
        reseed(config.seed, Stream::Init, 0);
        let params = Params::new(Kind::Float, device);
        let net = config.net.build(params.root().sub("net"), &geometry(&*target))?;
        let free_energy = match &config.loss {
            ResidualLoss::Pinn { hidden, .. } => Some(FreeEnergy::new(params.root().sub("free_energy"), hidden)),
            _ => None,
        };
        Ok(Member { net, free_energy, target, params })
    };
    let mut team = Team::new(member()?);
    let workers = if device == Device::Cpu { threads::workers() } else { 1 };
    for _ in 1..workers {
        team.add(member()?);
    }
    let reference = Reference::new(&target)?;
    let (buffer, cost) = (Buffer::default(), Cost::default());
    Ok(DiscreteObjective { team, config: config.clone(), device, buffer, step: 0, cost, reference, last: None })
}

fn open(target: &LatticeConfig, device: Device) -> Result<Box<dyn DiscreteTarget>> {
    target.build((Kind::Double, device))
}

/// What a network may know of a target's sites.
fn geometry(target: &dyn DiscreteTarget) -> Geometry {
    let side = target.shape().filter(|(rows, columns)| rows == columns).map(|(rows, _)| rows);
    // Networks that ask for distances attend over all pairs, so larger graphs are beyond them anyway.
    let model = target.pairs().filter(|model| model.sites as i64 == target.sites() && model.sites <= 4096);
    let distances = model.map(|model| distances(&Graph { nodes: model.sites, edges: model.bonds.clone() }));
    Geometry { sites: target.sites(), states: target.num_states(), side, distances }
}

impl DiscreteObjective {
    pub fn config(&self) -> &DiscreteConfig {
        &self.config
    }

    /// Measures and samples with another protocol than the run's own.
    pub fn set_protocol(&mut self, config: &DiscreteConfig) {
        (self.config.sampler, self.config.eval) = (config.sampler, config.eval);
    }

    /// Takes the target that the ladder has at an update.
    fn climb(&mut self, step: u64) -> Result<()> {
        let Some(rung) = self.config.rung(step) else { return Ok(()) };
        let target = self.config.target.at_beta(rung.beta);
        for member in &mut self.team.members {
            member.target = open(&target, self.device)?;
        }
        self.reference = Reference::new(&target)?;
        Ok(())
    }

    /// A rollout for the buffer, and `c_t` from its own network calls.
    fn explore(&mut self) -> Result<()> {
        let (config, keep) = (&self.config, Keep::States { clamp: self.config.loss.ratio_clamp() });
        let most = config.rollout.grid().map_or(1, |(_, grid)| grid.num_steps);
        let times = config.horizon.map(|horizon| horizon.times(self.step, most));
        let path = self.team.rollout_on(&config.rollout, times.as_ref(), config.buffer.walkers, keep);
        self.cost.network_calls += path.network_calls;
        self.cost.target_calls += path.target_calls;
        self.buffer.push_at(path, times.map(|times| times.tensor()), config.buffer.rollouts)
    }

    /// Rows evaluated and back-propagated at once, a multiple of those that share a time.
    fn piece(&self, rows: i64) -> i64 {
        let own = self.config.train.as_ref().and_then(|train| train.chunk_rows);
        let piece = own.unwrap_or_else(|| piece_rows(self.team.first().target.sites(), self.device));
        (piece / rows).max(1).saturating_mul(rows)
    }

    /// Accumulates the gradient of the mean square over a batch; returns the loss. A share by each member.
    fn descend(&mut self, batch: &Batch, rows: i64) -> f64 {
        let (total, members) = (batch.x.size()[0], self.team.members.len() as i64);
        let start = |i: i64| i * (total / rows) / members * rows;
        let part = |i: i64| batch.narrow(start(i), start(i + 1) - start(i));
        let parts: Vec<Batch> = (0..members).map(part).filter(|part| part.x.size()[0] > 0).collect();
        let loss = self.config.loss.clone();
        let piece = self.piece(rows);
        let sums = self.team.shared(parts, |member, part| {
            let mut loss_sum = 0.0;
            for from in (0..part.x.size()[0]).step_by(piece as usize) {
                let sum = squared(member, &loss, &part.narrow(from, piece)).sum(Kind::Float) / total as f64;
                sum.backward();
                loss_sum += sum.double_value(&[]);
            }
            loss_sum
        });
        self.team.gather();
        self.cost.network_calls += total as u64;
        self.cost.target_calls += total as u64;
        sums.iter().sum()
    }
}

/// Squared residuals of a batch with their graph, `[B]`.
pub fn squared(member: &Member, loss: &ResidualLoss, batch: &Batch) -> Tensor {
    let target = &member.target;
    let path = AnnealedPath { sites: target.sites(), states: target.num_states() };
    let slope = path.slope(&target.log_prob(&batch.x));
    let log_ratios = target.log_ratios(&batch.x) * batch.t.view([-1, 1, 1]);
    let xi = residual(&member.net.forward(&batch.x, &batch.t), &slope, &log_ratios, loss.ratio_clamp());
    match (loss, &member.free_energy) {
        (ResidualLoss::Pinn { .. }, Some(free_energy)) => {
            let (_, slope) = free_energy.value_and_slope(&batch.t);
            squares(&xi, &-slope)
        }
        (ResidualLoss::Variance { rows, .. }, _) => variances(&xi, *rows),
        _ => squares(&xi, &batch.c.to_kind(xi.kind())),
    }
}

impl Objective for DiscreteObjective {
    fn params(&self) -> &Params {
        &self.team.first().params
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "net".into(), learning_rate: config.learning_rate, params: self.params().named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        if self.config.rung(self.step).is_some_and(|rung| rung.step == self.step) {
            // States and c_t of the former law are of no use.
            self.climb(self.step)?;
            self.buffer = Buffer::default();
        }
        if self.buffer.is_empty() || self.step.is_multiple_of(self.config.buffer.every) {
            self.explore()?;
        }
        let rows = if let ResidualLoss::Variance { rows, .. } = self.config.loss { rows } else { 1 };
        let size = self.config.train.as_ref().map_or(rows, |train| train.batch);
        let batch = self.buffer.draw(size, rows)?;
        let loss = self.descend(&batch, rows);
        self.step += 1;
        // The integral of c_t over the grid: what the newest rollout makes of log Z.
        let c = self.buffer.c.as_ref().map_or(f64::NAN, |c| c.mean(Kind::Double).double_value(&[]));
        Ok(vec![("train/loss", loss), ("train/c_mean", c)])
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        let config = self.config.clone();
        let rows = config.eval.samples * if last { config.eval.repeats } else { 1 };
        let path = self.team.rollout(&config.sampler, rows, Keep::Ends);
        let evaluation = measure::evaluate(&config, &*self.team.first().target, &self.reference, &path, last)?;
        self.last = last.then_some(path);
        Ok(evaluation)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let mut all = pictures::curves(history, &self.reference)?;
        if let Some(path) = self.last.take() {
            let member = self.team.first();
            all.extend(pictures::samples(&*member.target, &self.reference, &path)?);
            all.extend(pictures::rates(member)?);
        }
        Ok(all)
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/ess", "eval/elbo", "eval/log_z", "eval/log_z_sigma", "eval/energy_sigma"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    fn extra_state(&self) -> Vec<(String, Tensor)> {
        let mut extra = self.buffer.named();
        extra.push(("step".into(), Tensor::from_slice(&[self.step as i64])));
        extra
    }

    fn restore(&mut self, extra: &[(String, Tensor)]) -> Result<()> {
        let sites = self.team.first().target.sites();
        self.buffer = Buffer::restored(extra, sites, self.device)?;
        let step = extra.iter().find(|(name, _)| name == "step").map(|(_, t)| t.int64_value(&[0]));
        self.step = step.ok_or_else(|| crate::bad_input!("no tensor 'step'"))? as u64;
        // The rung that the last update stood on: the next one may climb to another.
        self.climb(self.step.saturating_sub(1))?;
        Ok(())
    }
}
