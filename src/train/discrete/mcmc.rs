//! Chains on a law, what they measured, and its comparison with exact figures.

use anyhow::Result;
use serde_json::{Value, json};
use tch::Tensor;

use super::chains::{self, Chain};
use super::config::DiscreteConfig;
use super::{exact, pictures};
use crate::bad_input;
use crate::config::cli::Interrupted;
use crate::io::checkpoint::Checkpoint;
use crate::metrics::autocorrelation::average;
use crate::samplers::mcmc::lattice::tempering;
use crate::targets::lattice::figures::Figures;
use crate::targets::lattice::{DiscreteTarget, PairModel, decode};
use crate::torch::seed::{Stream, step_seed};
use crate::torch::threads;
use crate::train::objective::{Cost, Evaluation};
use crate::train::run::Run;
use crate::train::stop::StopFlag;

/// The model that chains run on, if the kernel suits it.
pub fn check<'a>(config: &DiscreteConfig, target: &'a dyn DiscreteTarget) -> Result<&'a PairModel> {
    let model = target.pairs().ok_or_else(|| bad_input!("'target' has no couplings of pairs to run chains on"))?;
    config.mcmc.kernel.build(model, "mcmc.kernel")?;
    Ok(model)
}

/// Sweeps after which a request to stop is looked for.
const STRETCH: i64 = 1000;

/// Runs all chains and measures. A mean has `_error` (blocked standard error) and `_inefficiency` beside it, and
/// where an exact value is known, `_exact` and `_sigma`, the number of standard errors between the two.
pub fn run(config: &DiscreteConfig, target: &dyn DiscreteTarget) -> Result<(Evaluation, Cost)> {
    let mut simulation = Simulation::begin(config, target)?;
    simulation.advance_to(config.mcmc.total())?;
    Ok((simulation.evaluate()?, simulation.cost()))
}

/// The same in the folder of `run`, from `checkpoint` on if there is one: checkpoints are written every
/// `mcmc.checkpoint_every` sweeps, at the end, and when a signal asks to stop. Returns the final figures.
pub fn run_in(
    config: &DiscreteConfig,
    target: &dyn DiscreteTarget,
    run: &mut Run,
    checkpoint: Option<Checkpoint>,
) -> Result<Vec<(String, f64)>> {
    let stop = StopFlag::install()?;
    let (mut simulation, total) = (Simulation::begin(config, target)?, config.mcmc.total());
    if let Some(checkpoint) = &checkpoint {
        simulation.load(checkpoint, run).map_err(|error| {
            bad_input!("{error:#}; remove the folder {} to go on without it", checkpoint.path.display())
        })?;
        if let Some(figures) = run.done(total as u64).filter(|_| simulation.sweep == total) {
            run.terminal.line(&format!("already done: all {total} sweeps were made before"));
            return Ok(figures);
        }
    }
    let result = simulation.go_on(run, &stop, simulation.sweep == total);
    let (steps, cost) = (simulation.sweep as u64, simulation.cost());
    match result {
        Ok(figures) => run.finish("done", steps, cost, &figures).map(|()| figures),
        Err(error) => {
            let status = if error.is::<Interrupted>() { "interrupted" } else { "failed" };
            // The first error is the one to report; a full disk must not hide it.
            let _ = run.finish(status, steps, cost, &[]);
            Err(error)
        }
    }
}

/// All chains, which stand at one sweep.
struct Simulation<'a> {
    config: &'a DiscreteConfig,
    target: &'a dyn DiscreteTarget,
    /// The law at each factor of `tempering`.
    models: Vec<PairModel>,
    names: Vec<String>,
    chains: Vec<Chain>,
    sweep: i64,
}

impl<'a> Simulation<'a> {
    fn begin(config: &'a DiscreteConfig, target: &'a dyn DiscreteTarget) -> Result<Self> {
        let models = tempering::models(check(config, target)?, &config.mcmc.tempering);
        let names = Figures::new(&models[0], target.sites(), target.shape()).names();
        let seed = |chain: u64| step_seed(config.seed, Stream::Data, chain);
        let chains = (0..config.mcmc.chains as u64).map(|i| Chain::begin(&models, names.len(), seed(i))).collect();
        Ok(Self { config, target, models, names, chains, sweep: 0 })
    }

    /// Stretch after stretch to the end, then the figures. `recorded`: an earlier session came to the end before.
    fn go_on(&mut self, run: &mut Run, stop: &StopFlag, recorded: bool) -> Result<Vec<(String, f64)>> {
        let (total, every) = (self.config.mcmc.total(), self.config.mcmc.checkpoint_every());
        run.terminal.start(self.sweep as u64, total as u64);
        while self.sweep < total {
            let next = (self.sweep / every + 1) * every;
            self.advance_to(next.min(self.sweep + STRETCH).min(total))?;
            run.terminal.step(self.sweep as u64, &[]);
            if self.sweep == total {
                break;
            }
            if stop.raised() {
                let (path, sweep) = (self.save(run)?, self.sweep);
                let text = format!("stopped at sweep {sweep}; saved in {path}; go on with --resume");
                return Err(Interrupted(text).into());
            }
            if self.sweep == next {
                self.save(run)?;
            }
        }

        let evaluation = self.evaluate()?;
        run.show(total as u64, &evaluation)?;
        if !recorded {
            run.log(total as u64, &evaluation.scalars)?;
            self.save(run)?;
        }
        Ok(evaluation.scalars)
    }

    /// All chains, shared among threads.
    fn advance_to(&mut self, sweep: i64) -> Result<()> {
        let (mcmc, models) = (&self.config.mcmc, &self.models);
        let (sites, shape) = (self.target.sites(), self.target.shape());
        let size = self.chains.len().div_ceil(threads::workers());
        let job = |group: &mut [Chain]| {
            let figures = Figures::new(&models[0], sites, shape);
            group.iter_mut().try_for_each(|chain| chain.advance(mcmc, models, &figures, sites as usize, sweep))
        };
        let parts = threads::each(self.chains.chunks_mut(size).collect(), job, || ());
        self.sweep = sweep;
        parts.into_iter().collect()
    }

    fn evaluate(&self) -> Result<Evaluation> {
        evaluate(self.config, self.target, &self.names, &self.chains)
    }

    /// A sweep looks at every site once, which is what one evaluation of log_prob does.
    fn cost(&self) -> Cost {
        let sweeps = self.sweep * self.config.mcmc.chains * self.config.mcmc.tempering.len() as i64;
        Cost { target_calls: sweeps as u64, network_calls: 0 }
    }

    fn save(&self, run: &mut Run) -> Result<String> {
        run.flush();
        let facts = json!({ "step": self.sweep, "seed": self.config.seed, "wall_s": run.wall_s() });
        let files = [("chains", chains::named(&self.chains))];
        Ok(run.checkpoints.save(self.sweep as u64, &files, &facts)?.display().to_string())
    }

    fn load(&mut self, checkpoint: &Checkpoint, run: &mut Run) -> Result<()> {
        let sizes = (self.target.sites(), self.models[0].states as i64);
        chains::restore(&mut self.chains, &self.config.mcmc, sizes, checkpoint)?;
        self.sweep = checkpoint.step as i64;
        run.continue_clock(checkpoint.state()?.get("wall_s").and_then(Value::as_f64).unwrap_or(0.0));
        Ok(())
    }
}

fn evaluate(
    config: &DiscreteConfig,
    target: &dyn DiscreteTarget,
    names: &[String],
    chains: &[Chain],
) -> Result<Evaluation> {
    let exact = exact::figures(&config.target, target)?.map(|(_, figures)| figures).unwrap_or_default();
    let mut evaluation = Evaluation::default();
    for (k, name) in names.iter().enumerate() {
        let series: Vec<Vec<f64>> = chains.iter().map(|chain| chain.series[k].clone()).collect();
        let found = average(&series, config.mcmc.blocks as usize);
        let mut push = |suffix: &str, value: f64| evaluation.scalars.push((format!("{name}{suffix}"), value));
        push("", found.mean);
        push("_error", found.error);
        push("_inefficiency", found.inefficiency);
        if let Some((_, value)) = exact.iter().find(|(known, _)| known == name) {
            push("_exact", *value);
            push("_sigma", (found.mean - value) / found.error);
        }
    }
    evaluation.scalars.extend(rates(chains));

    let states: Vec<i64> = chains.iter().flat_map(|chain| chain.kept.iter().copied()).collect();
    let x = decode(target, &Tensor::from_slice(&states).view([-1, target.sites()])); // [N, D]
    evaluation.pictures = pictures::draw(target, names, &evaluation.scalars, &x, |name| {
        let k = names.iter().position(|known| known == name)?;
        Some(chains.iter().flat_map(|chain| chain.series[k].iter().copied()).collect())
    })?;
    evaluation.tensors = vec![("x".to_string(), x)];
    Ok(evaluation)
}

/// How often sites changed and replicas exchanged.
fn rates(chains: &[Chain]) -> Vec<(String, f64)> {
    let sum = |f: fn(&Chain) -> u64| chains.iter().map(f).sum::<u64>() as f64;
    let mut rates = vec![("change_rate".to_string(), sum(|r| r.info.changed) / sum(|r| r.info.visited))];
    let tried = sum(|r| r.exchanges.tried);
    rates.extend((tried > 0.0).then(|| ("exchange_rate".to_string(), sum(|r| r.exchanges.made) / tried)));
    rates
}
