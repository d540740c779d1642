//! One update of a bridge sampler: simulate, weigh, back-propagate.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::EvalConfig;
use super::{evaluate, pictures};
use crate::log::plot::Picture;
use crate::losses::log_variance::log_variance;
use crate::losses::reverse_kl::log_derivative;
use crate::losses::sub_trajectory::sub_trajectory_balance;
use crate::losses::trajectory_balance::trajectory_balance;
use crate::losses::{LossConfig, PathWeights};
use crate::nets::log_flow::LogFlow;
use crate::samplers::DiffusionSampler;
use crate::samplers::path::{Path, Tables};
use crate::samplers::rollout::Keep;
use crate::samplers::team::{Member, Team, log_rnd};
use crate::targets::{Calls, Counted, Target};
use crate::torch::optim::Group;
use crate::torch::params::Params;
use crate::train::config::TrainConfig;
use crate::train::molecule::{self, Torsions};
use crate::train::objective::{Cost, Evaluation, History, Objective};

/// A team of samplers, their target, and the loss that joins them.
pub struct BridgeObjective {
    pub team: Team,
    pub loss: LossConfig,
    pub batch: i64,
    pub chunk_rows: i64,
    pub eval: EvalConfig,
    /// What the torsions of a molecule's samples are compared with.
    pub torsions: Option<Torsions>,
    network_calls: u64,
    /// Samples and reference of the last evaluation, for the pictures at the end.
    last_samples: Option<Evaluation>,
    /// Learned log Z of trajectory balance, `[1]`.
    log_z: Option<Tensor>,
}

/// What one update found.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    pub loss: f64,
    /// Mean of `-log_rnd`: the batch's ELBO.
    pub elbo: f64,
}

/// A member of the team, with the networks that the loss brings along. Call it under the `Init` stream.
pub fn member(sampler: DiffusionSampler, target: Counted, loss: &LossConfig) -> Member {
    let flow = matches!(loss, LossConfig::Subtb { .. }).then(|| {
        let scope = sampler.params.root().sub("loss").sub("log_flow");
        LogFlow::new(scope, sampler.dim, sampler.process.num_steps, 64, 2)
    });
    Member { sampler, target, flow }
}

impl BridgeObjective {
    /// Starts with one member; [`Team::add`] brings more.
    pub fn new(first: Member, loss: LossConfig, batch: i64, chunk_rows: i64) -> Self {
        let log_z = match loss {
            LossConfig::Tb { log_z_init, .. } => {
                let scope = first.sampler.params.root().sub("loss");
                Some(scope.parameter("log_z", Tensor::from_slice(&[log_z_init])))
            }
            _ => None,
        };
        let (team, eval) = (Team::new(first), EvalConfig::default());
        Self { team, loss, batch, chunk_rows, eval, torsions: None, network_calls: 0, last_samples: None, log_z }
    }

    pub fn sampler(&self) -> &DiffusionSampler {
        &self.team.first().sampler
    }

    fn target(&self) -> &dyn Target {
        &self.team.first().target
    }

    /// Simulates a batch and accumulates the loss's gradient in the parameters. Draws from libtorch's generator.
    pub fn update(&mut self) -> Update {
        let sampler = self.sampler();
        let networks = 1 + u64::from(sampler.controls.backward().is_some());
        self.network_calls += 2 * self.batch as u64 * networks * (sampler.process.num_steps as u64 + 1);
        if let LossConfig::Rkl { segment } = self.loss {
            let paths = self.team.rollout(self.batch, Keep::Noise);
            let mean = log_rnd(&paths).mean(Kind::Double).double_value(&[]);
            self.team.through_paths(paths, segment);
            return Update { loss: mean, elbo: -mean };
        }
        let paths = self.team.rollout(self.batch, Keep::States);
        let log_rnd = log_rnd(&paths);
        let weights = self.weights(&paths, &log_rnd);
        if let (Some(log_z), Some(gradient)) = (&self.log_z, weights.log_z) {
            (log_z * gradient).sum(log_z.kind()).backward();
        }
        self.team.along_detached(paths, &weights, self.chunk_rows);
        Update { loss: weights.value, elbo: -log_rnd.mean(Kind::Double).double_value(&[]) }
    }

    fn weights(&self, paths: &[Path], log_rnd: &Tensor) -> PathWeights {
        match &self.loss {
            LossConfig::Rkl { .. } => unreachable!("the reparametrised loss has no weights"),
            LossConfig::RklLd {} => log_derivative(log_rnd),
            LossConfig::Lv {} => log_variance(log_rnd, 1.0),
            LossConfig::Vargrad {} => log_variance(log_rnd, 0.5),
            LossConfig::Tb { .. } => {
                trajectory_balance(log_rnd, self.log_z.as_ref().map_or(0.0, |z| z.double_value(&[0])))
            }
            LossConfig::Subtb { lambda, partial_energy } => {
                let tables = Tables::new(self.sampler());
                let ratios: Vec<_> = paths.iter().map(|path| &path.log_forward - &path.log_backward).collect();
                let flows: Vec<_> = paths.iter().map(|path| self.flows(&tables, path, *partial_energy)).collect();
                sub_trajectory_balance(&Tensor::cat(&ratios, 1), &Tensor::cat(&flows, 1), *lambda)
            }
        }
    }

    /// Log-flows at all states `[T + 1, N]` in f64: the prior at the start, the target at the end, learned between.
    fn flows(&self, tables: &Tables, path: &Path, partial_energy: bool) -> Tensor {
        let _guard = tch::no_grad_guard();
        let flow = self.team.first().flow.as_ref().expect("sub-trajectory balance has a log-flow");
        let learned = flow.value(&flow.time_tables(), &path.states).to_kind(Kind::Double);
        let steps = tables.record.num_steps;
        if partial_energy {
            let share = tables.record.prior_share.to_kind(Kind::Double);
            for k in 1..steps {
                let (x, s) = (path.states.select(0, k), share.double_value(&[k]));
                let energy = tables.record.log_prior(&x) * s + self.target().log_prob(&x) * (1.0 - s);
                let mut row = learned.select(0, k);
                row += energy.to_kind(Kind::Double);
            }
        }
        let mut first = learned.select(0, 0);
        first += &path.log_prior;
        learned.select(0, steps).copy_(&path.log_target);
        learned
    }
}

impl Objective for BridgeObjective {
    fn params(&self) -> &Params {
        &self.sampler().params
    }

    /// Network; interpolation; prior and noise; what the loss owns. Frozen parameters are in none.
    fn groups(&self, config: &TrainConfig) -> Vec<Group> {
        let sde_rate = config.sde_learning_rate.unwrap_or(config.learning_rate);
        let log_z_rate = match self.loss {
            LossConfig::Tb { log_z_learning_rate, .. } => log_z_learning_rate,
            _ => config.learning_rate,
        };
        let groups = [
            ("net", vec!["net."], config.learning_rate),
            ("interpolation", vec!["interpolation."], config.interpolation_learning_rate.unwrap_or(sde_rate)),
            ("sde", vec!["prior.", "noise."], sde_rate),
            ("loss", vec!["loss."], log_z_rate),
        ];
        let group = |(name, prefixes, learning_rate): (&str, Vec<&str>, f64)| {
            let mut params: Vec<_> = prefixes.iter().flat_map(|prefix| self.sampler().params.under(prefix)).collect();
            params.retain(|(_, p)| p.requires_grad());
            Group { name: name.into(), learning_rate, params }
        };
        groups.into_iter().map(group).filter(|group| !group.params.is_empty()).collect()
    }

    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let update = self.update();
        Ok(vec![("train/loss", update.loss), ("train/elbo", update.elbo)])
    }

    fn evaluate(&mut self, last: bool) -> Result<Evaluation> {
        let mut evaluation = evaluate::evaluate(&mut self.team, &self.eval, self.torsions.as_ref(), last)?;
        if let Some(log_z) = &self.log_z {
            evaluation.scalars.push(("eval/log_z_learned".into(), log_z.double_value(&[0])));
        }
        if last {
            let tensors = evaluation.tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
            self.last_samples = Some(Evaluation { tensors, ..Evaluation::default() });
        }
        Ok(evaluation)
    }

    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>> {
        let mut all = pictures::curves(history, self.target())?;
        all.extend(pictures::schedule(self.sampler())?);
        let samples = self.last_samples.take().unwrap_or_default();
        let find = |name: &str| samples.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t);
        if let (Some(x), Some(log_weight)) = (find("x"), find("log_weight")) {
            all.push(("marginals".into(), pictures::marginals(x, find("reference"))?));
            all.push(("log_weights".into(), pictures::log_weights(log_weight, self.target().log_z())?));
            if let Some(torsions) = &self.torsions {
                all.extend(molecule::pictures::all(torsions, &self.target().positions(x))?);
            }
        }
        Ok(all)
    }

    fn headline(&self) -> &'static [&'static str] {
        &[
            "eval/elbo",
            "eval/log_z",
            "eval/ess",
            "eval/eubo",
            "eval/emc",
            "eval/sinkhorn",
            "eval/torsion_kl",
            "eval/phi_psi_wasserstein",
        ]
    }

    fn cost(&self) -> Cost {
        Cost { target_calls: self.team.calls().total(), network_calls: self.network_calls }
    }

    fn set_cost(&mut self, cost: Cost) {
        // The split into densities and scores is not saved: the sum is what is reported.
        self.team.set_calls(Calls { log_prob: 0, score: cost.target_calls });
        self.network_calls = cost.network_calls;
    }
}
