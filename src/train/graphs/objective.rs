//! One update on random graphs: a rollout on a few of them now and then, a batch from the buffer, squared residuals.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::{BufferConfig, GraphsConfig};
use super::data::graphs;
use super::measure::{self, Test};
use crate::bad_input;
use crate::log::plot::Picture;
use crate::losses::kolmogorov::{residual, squares};
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
    pub net: Legf,
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
    /// Of each row, `[B]` i64.
    graphs: Tensor,
    /// `[K + 1, B, D]` u8.
    states: Tensor,
    /// `d/dt log Z_t` of each row's graph, `[K + 1, B]` f64.
    c: Tensor,
    beta: f64,
}

/// Builds what a (validated) config describes; initial weights come from the seed's `Init` stream.
pub fn build(config: &GraphsConfig, device: Device) -> Result<GraphsObjective> {
    let (train, test) = graphs(config)?;
    reseed(config.seed, Stream::Init, 0);
    let params = Params::new(Kind::Float, device);
    let net = Legf::without_graph(params.root(), &config.net)?;
    let table = GraphTable::new(&train, config.problem, device);
    let test = Test::new(test, config.problem, device);
    let (config, buffer, cost) = (config.clone(), Vec::new(), Cost::default());
    Ok(GraphsObjective { net, params, config, device, table, test, buffer, step: 0, cost })
}

impl GraphsObjective {
    pub fn config(&self) -> &GraphsConfig {
        &self.config
    }

    /// Simulates walkers on random graphs; `c_t` of a graph is the mean residual of its own walkers.
    fn explore(&mut self) {
        let BufferConfig { graphs, walkers, rollouts, .. } = self.config.buffer;
        let options = (Kind::Int64, Device::Cpu);
        let chosen = Tensor::randint(self.table.nodes.len() as i64, [graphs, 1], options);
        let rows = chosen.expand([graphs, walkers], false).reshape([-1]).to_device(self.device); // [B]
        let seed = Tensor::randint_low(0, i64::MAX, [1], options).int64_value(&[0]) as u64;

        let beta = self.config.anneal.beta(self.step, self.config.train.steps);
        let (target, distances) = self.table.batch(&rows, beta);
        self.net.set_graphs(distances);
        let sim = Simulation { net: &self.net, target: &target, device: self.device };
        let Some((step, grid)) = self.config.rollout.grid() else { return };
        let path = rollout(&sim, step, grid, graphs * walkers, Keep::States { clamp: CLAMP }, Noise::new(seed));
        self.cost.network_calls += path.network_calls;
        self.cost.target_calls += path.target_calls;

        let (Some(states), Some(residuals)) = (path.states, path.residuals) else { return };
        let times = residuals.size()[0];
        let mean = residuals.view([times, graphs, walkers]).mean_dim(2, true, None::<Kind>);
        let c = mean.expand([times, graphs, walkers], false).reshape([times, -1]);
        self.buffer.push(Rollout { graphs: rows, states, c, beta });
        if self.buffer.len() > rollouts as usize {
            self.buffer.remove(0);
        }
    }

    /// Sum of squared residuals of `count` random states of a rollout.
    fn squared(&mut self, of: usize, count: i64) -> Tensor {
        let Rollout { graphs, states, c, beta } = &self.buffer[of];
        let (times, rows, places) = states.size3().expect("[K + 1, B, D]");
        let pick = Tensor::randint(times * rows, [count], (Kind::Int64, Device::Cpu)).to_device(self.device);
        let x = states.view([times * rows, places]).index_select(0, &pick).to_kind(Kind::Int64);
        let c = c.view([times * rows]).index_select(0, &pick).to_kind(Kind::Float);
        let t = pick.floor_divide_scalar(rows).to_kind(Kind::Float) / (times - 1) as f64;
        let (target, distances) = self.table.batch(&graphs.index_select(0, &pick.remainder(rows)), *beta);

        let path = AnnealedPath { sites: places, states: 2 };
        let slope = path.slope(&target.log_prob(&x));
        let log_ratios = target.log_ratios(&x) * t.view([-1, 1, 1]);
        self.net.set_graphs(distances);
        let xi = residual(&self.net.forward(&x, &t), &slope, &log_ratios, CLAMP);
        squares(&xi, &c).sum(Kind::Float)
    }
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
        let mut loss = 0.0;
        for k in 0..kept {
            let count = (k + 1) * batch / kept - k * batch / kept;
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
                ("c", rollout.c.shallow_clone()),
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
            Ok(Rollout { graphs: part("graphs")?, states: part("states")?, c: part("c")?, beta })
        };
        self.buffer = (0..count).map(rollout).collect::<Result<_>>()?;
        Ok(())
    }
}
