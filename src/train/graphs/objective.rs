//! One update on random graphs: a rollout on a few of them now and then, a batch from the buffer, the variance
//! of residuals among walkers on one graph.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{BufferConfig, GraphsConfig};
use super::data::graphs;
use super::measure::{self, Test};
use super::tempered::Tempered;
use crate::bad_input;
use crate::log::plot::Picture;
use crate::losses::kolmogorov::{residual, variances};
use crate::nets::RateNet;
use crate::nets::legf::Legf;
use crate::processes::ctmc::AnnealedPath;
use crate::samplers::discrete::noise::Noise;
use crate::samplers::discrete::rollout::{Keep, Simulation, rollout};
use crate::targets::lattice::DiscreteTarget;
use crate::targets::lattice::graphs::batch::GraphTable;
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::train::config::TrainConfig;
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// Log-ratios in training are cut off above this, as the paper does.
const CLAMP: Option<f64> = Some(5.0);

/// One network for all graphs, and what it is trained on.
pub struct GraphsObjective {
    net: Tempered,
    params: Params,
    config: GraphsConfig,
    device: Device,
    table: GraphTable,
    test: Test,
    buffer: Vec<Rollout>,
    step: u64,
    cost: Cost,
}

/// Simulated states of a few graphs, some walkers on each.
struct Rollout {
    /// `[G]` i64.
    graphs: Tensor,
    /// `[(K + 1) G, W, D]` u8: times, graphs, walkers.
    states: Tensor,
    beta: f64,
}

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream.
pub fn build(config: &GraphsConfig, device: Device) -> Result<GraphsObjective> {
    let (train, test) = graphs(config)?;
    reseed(config.seed, Stream::Init, 0);
    let params = Params::new(Kind::Float, device);
    let net = Tempered { net: Legf::without_graph(params.root(), &config.net)?, beta: config.anneal.first };
    let table = GraphTable::new(&train, config.problem, device);
    let test = Test::new(test, config.problem, device);
    let (config, buffer, cost) = (config.clone(), Vec::new(), Cost::default());
    Ok(GraphsObjective { net, params, config, device, table, test, buffer, step: 0, cost })
}

impl GraphsObjective {
    pub fn config(&self) -> &GraphsConfig {
        &self.config
    }

    /// Simulates walkers on random graphs.
    fn explore(&mut self) {
        let BufferConfig { graphs, walkers, rollouts, .. } = self.config.buffer;
        let options = (Kind::Int64, Device::Cpu);
        let chosen = Tensor::randint(self.table.nodes.len() as i64, [graphs], options).to_device(self.device);
        let seed = Tensor::randint_low(0, i64::MAX, [1], options).int64_value(&[0]) as u64;

        let beta = self.config.anneal.beta(self.step, self.config.train.steps);
        let (target, distances) = self.table.batch(&repeated(&chosen, walkers), beta);
        self.net.set(distances, beta);
        let sim = Simulation { net: &self.net, target: &target, device: self.device };
        let Some((step, grid)) = self.config.rollout.grid() else { return };
        let path = rollout(&sim, step, grid, graphs * walkers, Keep::States { clamp: CLAMP }, Noise::new(seed));
        self.cost.network_calls += path.network_calls;
        self.cost.target_calls += path.target_calls;

        let Some(states) = path.states else { return };
        let places = states.size()[2];
        self.buffer.push(Rollout { graphs: chosen, states: states.view([-1, walkers, places]), beta });
        if self.buffer.len() > rollouts as usize {
            self.buffer.remove(0);
        }
    }

    /// Sum over `count` random times and graphs of a rollout, and over their walkers, of the squared distance of the
    /// residual from its mean over the walkers. That is what the residual is to be, `d/dt log Z_t`, which differs from
    /// graph to graph; a mean of the present network's residuals is never out of date.
    fn squared(&mut self, of: usize, count: i64) -> Tensor {
        let Rollout { graphs, states, beta } = &self.buffer[of];
        let (groups, walkers, places) = states.size3().expect("[(K + 1) G, W, D]");
        let (kept, last) = (graphs.size()[0], groups / graphs.size()[0] - 1);
        let pick = Tensor::randint(groups, [count], (Kind::Int64, Device::Cpu)).to_device(self.device);
        let x = states.index_select(0, &pick).view([-1, places]).to_kind(Kind::Int64); // [B, D]
        let time = pick.floor_divide_scalar(kept).to_kind(Kind::Float) / last as f64;
        let t = repeated(&time, walkers);
        let chosen = repeated(&graphs.index_select(0, &pick.remainder(kept)), walkers);
        let (target, distances) = self.table.batch(&chosen, *beta);

        let path = AnnealedPath { sites: places, states: 2 };
        let slope = path.slope(&target.log_prob(&x));
        let log_ratios = target.log_ratios(&x) * t.view([-1, 1, 1]);
        self.net.set(distances, *beta);
        // By inverse temperature and not by t, so that no beta counts more than another.
        let xi = residual(&self.net.forward(&x, &t), &slope, &log_ratios, CLAMP) / *beta;
        variances(&xi, walkers).sum(Kind::Float)
    }
}

/// Every entry so many times in a row: `[N]` -> `[N times]`.
fn repeated(x: &Tensor, times: i64) -> Tensor {
    x.unsqueeze(1).expand([-1, times], false).reshape([-1])
}

impl Objective for GraphsObjective {
    fn params(&self) -> &Params {
        &self.params
    }

    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        vec![Group { name: "net".into(), learning_rate: config.learning_rate, params: self.params.named() }]
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        if self.buffer.is_empty() || self.step.is_multiple_of(self.config.buffer.every) {
            self.explore();
        }
        // Every rollout gives its share of the batch.
        let (batch, kept) = (self.config.train.batch, self.buffer.len() as i64);
        let groups = batch / self.config.buffer.walkers;
        let mut loss = 0.0;
        for k in 0..kept {
            let count = (k + 1) * groups / kept - k * groups / kept;
            if count > 0 {
                let part = self.squared(k as usize, count) / batch as f64;
                part.backward();
                loss += part.double_value(&[]);
            }
        }
        self.cost.network_calls += batch as u64;
        self.cost.target_calls += batch as u64;
        let beta = self.config.anneal.beta(self.step, self.config.train.steps);
        self.step += 1;
        Ok(vec![("train/loss", loss), ("train/beta", beta)])
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        // Midway the network only knows temperatures down to the present one.
        let beta = self.config.anneal.beta(self.step, self.config.train.steps);
        measure::evaluate(&mut self.net, &self.test, &self.config, beta, self.device, last)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        measure::curves(history)
    }

    fn headline(&self) -> &'static [&'static str] {
        &["eval/beta", "eval/mean", "eval/drop_percent", "eval/best_drop_percent"]
    }

    fn cost(&self) -> Cost {
        self.cost
    }

    fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    fn extra_state(&self) -> Vec<(String, Tensor)> {
        let mut extra = vec![("step".to_string(), Tensor::from_slice(&[self.step as i64]))];
        for (k, rollout) in self.buffer.iter().enumerate() {
            let parts = [
                ("graphs", rollout.graphs.shallow_clone()),
                ("states", rollout.states.shallow_clone()),
                ("beta", Tensor::from_slice(&[rollout.beta])),
            ];
            extra.extend(parts.map(|(part, tensor)| (format!("buffer.{k}.{part}"), tensor)));
        }
        extra
    }

    fn restore(&mut self, extra: &[(String, Tensor)]) -> Result<()> {
        let find = |name: &str| extra.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
        let take = |name: String| find(&name).ok_or_else(|| bad_input!("no tensor '{name}' in the checkpoint"));
        self.step = take("step".into())?.int64_value(&[0]) as u64;
        let count = extra.iter().filter(|(name, _)| name.ends_with(".beta")).count();
        let rollout = |k: usize| -> Result<Rollout> {
            let part = |part: &str| Ok::<_, anyhow::Error>(take(format!("buffer.{k}.{part}"))?.to_device(self.device));
            let beta = take(format!("buffer.{k}.beta"))?.double_value(&[0]);
            Ok(Rollout { graphs: part("graphs")?, states: part("states")?, beta })
        };
        self.buffer = (0..count).map(rollout).collect::<Result<_>>()?;
        Ok(())
    }
}
