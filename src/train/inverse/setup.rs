//! From a config to a problem with its score, its preconditioner and its exact laws.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::InverseConfig;
use crate::bad_input;
use crate::samplers::inverse::affine::Affine;
use crate::samplers::inverse::langevin::Langevin;
use crate::samplers::inverse::law::{check_step, largest_rate};
use crate::samplers::inverse::learned::LearnedScore;
use crate::samplers::inverse::mala::Mala;
use crate::samplers::inverse::pcn::Pcn;
use crate::samplers::inverse::{Kernel, Law, Method, Plan, Preconditioner, Record, Score, ScoreError, Start, record};
use crate::targets::inverse::Problem;
use crate::torch::seed::{Stream, reseed};

/// A problem and everything that a sampler of it is given.
pub struct Setup {
    pub problem: Problem,
    pub error: ScoreError,
    pub preconditioner: Preconditioner,
    /// `None` where there is no formula.
    pub law: Option<Law>,
}

impl Setup {
    pub fn new(config: &InverseConfig) -> Result<Self> {
        let problem = config.problem.build()?;
        let error = config.score.build(problem.dim())?;
        let preconditioner = config.sampler.preconditioner.build(&problem, &error)?;
        let law = Law::of(&problem, &error, &preconditioner)?;
        Ok(Self { problem, error, preconditioner, law })
    }

    /// diag(λ), where the preconditioner is diagonal.
    pub fn lambda(&self) -> Option<&Tensor> {
        match &self.preconditioner {
            Preconditioner::Diagonal(lambda) => Some(lambda),
            Preconditioner::Posterior => None,
        }
    }

    /// All rates, or the largest one alone where no law is known.
    pub fn rates(&self) -> Tensor {
        match (&self.law, self.lambda()) {
            (Some(law), _) => law.rate.shallow_clone(),
            (None, Some(lambda)) => Tensor::from_slice(&[largest_rate(&self.problem, &self.error, lambda)]),
            (None, None) => Tensor::from_slice(&[1.0]),
        }
    }

    /// Refuses an unstable step of an unadjusted chain, unless it is allowed.
    pub fn check_step(&self, config: &InverseConfig) -> Result<()> {
        let sampler = &config.sampler;
        if sampler.allow_unstable || sampler.method != Method::Langevin {
            return Ok(());
        }
        check_step(&self.rates(), sampler.step)
    }

    /// The point about which moments are taken: the posterior mean of the Gaussian reference.
    pub fn center(&self) -> Tensor {
        match &self.law {
            Some(law) => law.posterior.mean.shallow_clone(),
            None => self.problem.solve_posterior(&self.problem.pull().unsqueeze(0)).squeeze_dim(0),
        }
    }

    /// Where the chains start, `[N, D]`.
    pub fn start(&self, config: &InverseConfig) -> Result<Tensor> {
        let (chains, dim) = (config.sampler.chains, self.problem.dim());
        let zero = Tensor::zeros([chains, dim], (Kind::Double, Device::Cpu));
        match &config.sampler.start {
            Start::Zero => Ok(zero),
            Start::Prior(_) => {
                reseed(config.seed, Stream::Init, 0);
                Ok(self.problem.prior.sample(chains))
            }
            Start::File(source) => {
                let read = source.read("sampler.start")?;
                match read.numel() as i64 {
                    n if n == dim => Ok(zero + read.view([1, -1])),
                    n if n == chains * dim => Ok(read.view([chains, dim])),
                    n => Err(bad_input!(
                        "'sampler.start.file' must hold {dim} numbers, or {dim} for each of {chains} chains, found {n}"
                    )),
                }
            }
        }
    }

    /// The sampler as a kernel on tensors.
    pub fn kernel<'a>(
        &'a self,
        config: &InverseConfig,
        learned: Option<&'a LearnedScore>,
    ) -> Result<Box<dyn Kernel + 'a>> {
        let (problem, step) = (&self.problem, config.sampler.step);
        let score = learned.map_or(Score::Exact(problem, &self.error), Score::Learned);
        match (config.sampler.method, self.lambda()) {
            (Method::Langevin, _) => Ok(Box::new(Langevin::new(problem, score, &self.preconditioner, step))),
            _ if learned.is_some() || !self.error.is_none() => Err(bad_input!(
                "'sampler.method' mala and pcn need the density of the prior itself; set score.tau, eps_a and eps_b to 0 and \
                 leave out learned, or take langevin"
            )),
            (Method::Pcn, _) => Ok(Box::new(Pcn::new(problem, step))),
            (Method::Mala, Some(lambda)) => Ok(Box::new(Mala::new(problem, lambda, step))),
            (Method::Mala, None) => Err(bad_input!(
                "'sampler.preconditioner.type' must be a diagonal one for mala where the operator is not diagonal; take prior"
            )),
        }
    }

    /// Runs the chains of the config, mode by mode where modes are independent.
    pub fn run(&self, config: &InverseConfig, learned: Option<&LearnedScore>, plan: &Plan) -> Result<Record> {
        let (start, center) = (self.start(config)?, self.center());
        match (&self.law, self.lambda()) {
            (Some(law), Some(lambda))
                if law.is_diagonal() && learned.is_none() && config.sampler.method == Method::Langevin =>
            {
                let affine = Affine::new(&self.problem, &self.error, law, lambda, config.sampler.step);
                Ok(affine.run(&start, &center, plan))
            }
            _ => Ok(record::run(self.kernel(config, learned)?.as_ref(), &start, &center, plan)),
        }
    }
}
