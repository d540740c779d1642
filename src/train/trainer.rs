//! The training loop.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tch::Tensor;

use super::config::TrainConfig;
use super::objective::{Cost, Evaluation, Objective};
use super::run::Run;
use super::stop::StopFlag;
use crate::bad_input;
use crate::config::cli::Interrupted;
use crate::io::assign::assign;
use crate::io::checkpoint::Checkpoint;
use crate::log::jsonl;
use crate::torch::ema::Ema;
use crate::torch::optim::Optimizer;
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;

/// Everything that changes from update to update.
struct State<'a> {
    objective: &'a mut dyn Objective,
    optimizer: Optimizer,
    ema: Option<Ema>,
    step: u64,
    /// Updates skipped for a non-finite loss or gradient: in all, and in a row.
    skipped: u64,
    skipped_in_a_row: u64,
}

/// Trains `objective` in the folder of `run`, from `checkpoint` on if there is one, and returns the final figures.
pub fn train(
    objective: &mut dyn Objective,
    config: &TrainConfig,
    run: &mut Run,
    checkpoint: Option<Checkpoint>,
) -> Result<Vec<(String, f64)>> {
    let stop = StopFlag::install()?;
    let mut state = State::new(objective, config);
    let resumed = checkpoint.is_some();
    if let Some(checkpoint) = checkpoint {
        state.load(&checkpoint, run)?;
        if let Some(figures) = run.done(config.steps).filter(|_| state.step == config.steps) {
            run.terminal.line(&format!("already done: all {} updates were made before", config.steps));
            return Ok(figures);
        }
    }
    let whole = || state.begin(config, run, resumed).and_then(|first| state.updates(config, run, &stop, first));
    let result = catch_unwind(AssertUnwindSafe(whole));
    let (step, cost) = (state.step, state.objective.cost());
    let skipped = [("train/skipped".to_string(), state.skipped as f64)];
    let result = result.unwrap_or_else(|panic| {
        // A panic (memory ran out, or a bug) has been reported already; the run's record must tell of it too.
        let _ = run.finish("failed", step, cost, &skipped);
        resume_unwind(panic)
    });
    match result {
        Ok(figures) => {
            let history = jsonl::read(&run.dir.file("metrics.jsonl"))?;
            let pictures = state.with_ema(|objective| objective.pictures(&history))?;
            run.pictures(step, &pictures)?;
            run.finish("done", step, cost, &figures)?;
            Ok(figures)
        }
        Err(error) => {
            let status = if error.is::<Interrupted>() { "interrupted" } else { "failed" };
            // The first error is the one to report; a full disk must not hide it.
            let _ = run.finish(status, step, cost, &skipped);
            Err(error)
        }
    }
}

impl<'a> State<'a> {
    fn new(objective: &'a mut dyn Objective, config: &TrainConfig) -> Self {
        let optimizer = Optimizer::new(config.optimizer, objective.groups(config));
        let ema = config.ema_decay.map(|decay| Ema::new(&objective.params().named(), decay));
        Self { objective, optimizer, ema, step: 0, skipped: 0, skipped_in_a_row: 0 }
    }

    /// What comes before the first update: the figures of the untrained model. Where no update is left to make, these
    /// are the final figures.
    fn begin(&mut self, config: &TrainConfig, run: &mut Run, resumed: bool) -> Result<Vec<(String, f64)>> {
        let at_end = self.step == config.steps;
        let figures = if !resumed || at_end { self.evaluate(run, at_end)? } else { Vec::new() };
        if !resumed {
            run.log(0, &figures)?;
            if at_end {
                self.save(run)?;
            }
        }
        run.terminal.start(self.step, config.steps);
        Ok(figures)
    }

    /// The loop itself: rate, gradient, clip, step, log, evaluate, save.
    fn updates(
        &mut self,
        config: &TrainConfig,
        run: &mut Run,
        stop: &StopFlag,
        first_figures: Vec<(String, f64)>,
    ) -> Result<Vec<(String, f64)>> {
        let mut last_figures = first_figures;
        let mut since = (Instant::now(), self.step);
        while self.step < config.steps {
            // A request to stop is answered between updates, so what is saved is whole.
            if stop.raised() {
                let path = self.save(run)?;
                return Err(Interrupted(format!(
                    "stopped at step {}; saved in {path}; go on with --resume",
                    self.step
                ))
                .into());
            }

            // One update from its own seed.
            reseed(run.seed, Stream::Train, self.step);
            let factor = config.schedule.factor(self.step, config.steps);
            self.optimizer.zero_grad();
            let figures = self.objective.accumulate()?;
            let finite = figures.first().is_none_or(|(_, loss)| loss.is_finite());
            let report = self.optimizer.step_if(finite, factor, config.clip_norm);
            self.count_skips(report.skipped, config, run)?;
            if let Some(ema) = self.ema.as_mut().filter(|_| !report.skipped) {
                ema.update();
            }
            self.step += 1;

            // Figures of this update, and of the model after it.
            let last = self.step == config.steps;
            let evaluates = last || (config.eval_every > 0 && self.step.is_multiple_of(config.eval_every));
            if evaluates || self.step.is_multiple_of(config.log_every) {
                let speed = (self.step - since.1) as f64 / since.0.elapsed().as_secs_f64();
                let rate = config.learning_rate * factor;
                let mut line = self.line(&figures, report.grad_norm, rate, speed);
                if evaluates {
                    last_figures = self.evaluate(run, last)?;
                    line.extend(last_figures.iter().cloned());
                }
                run.log(self.step, &line)?;
                since = (Instant::now(), self.step);
            }
            run.terminal.step(self.step, &figures);

            // The state after this update.
            if last || (config.checkpoint_every > 0 && self.step.is_multiple_of(config.checkpoint_every)) {
                self.save(run)?;
            }
        }
        last_figures.push(("train/skipped".into(), self.skipped as f64));
        Ok(last_figures)
    }

    /// What is logged of an update: its own figures, how it went, and the cost so far.
    fn line(&self, figures: &[(&'static str, f64)], grad_norm: f64, rate: f64, speed: f64) -> Vec<(String, f64)> {
        let Cost { target_calls, network_calls } = self.objective.cost();
        let common = [
            ("train/grad_norm", grad_norm),
            ("train/lr", rate),
            ("train/skipped", self.skipped as f64),
            ("train/steps_per_s", speed),
            ("cost/target_calls", target_calls as f64),
            ("cost/network_calls", network_calls as f64),
        ];
        figures.iter().chain(&common).map(|(tag, value)| (tag.to_string(), *value)).collect()
    }

    fn count_skips(&mut self, skipped: bool, config: &TrainConfig, run: &mut Run) -> Result<()> {
        if !skipped {
            self.skipped_in_a_row = 0;
            return Ok(());
        }
        self.skipped += 1;
        self.skipped_in_a_row += 1;
        if self.skipped_in_a_row == 1 {
            run.terminal.line(&format!("step {}: loss or gradient is not finite, update skipped", self.step));
        }
        if self.skipped_in_a_row < config.max_skipped {
            return Ok(());
        }
        Err(anyhow!(
            "training diverged: {} updates in a row had a non-finite loss or gradient (last at step {}); lower \
             train.learning_rate or process.noise, or raise train.max_skipped",
            self.skipped_in_a_row,
            self.step
        ))
    }

    /// Evaluates under the stream of evaluations, so that training draws the same numbers however often this happens.
    fn evaluate(&mut self, run: &mut Run, last: bool) -> Result<Vec<(String, f64)>> {
        reseed(run.seed, Stream::Eval, self.step);
        let before = self.objective.cost();
        let evaluation: Evaluation = self.with_ema(|objective| objective.evaluate(last))?;
        self.objective.set_cost(before);
        run.show(self.step, &evaluation)?;
        let headline = self.objective.headline();
        let named = evaluation.scalars.iter().filter(|(tag, _)| headline.contains(&tag.as_str()));
        let shown: Vec<(&str, f64)> = named.map(|(tag, v)| (tag.trim_start_matches("eval/"), *v)).collect();
        run.terminal.evaluation(self.step, &shown);
        Ok(evaluation.scalars)
    }

    fn with_ema<T>(&mut self, f: impl FnOnce(&mut dyn Objective) -> T) -> T {
        let objective = &mut *self.objective;
        match &mut self.ema {
            Some(ema) => ema.with(|| f(objective)),
            None => f(objective),
        }
    }

    fn save(&self, run: &mut Run) -> Result<String> {
        run.flush();
        let mut files: Vec<(&str, Vec<(String, Tensor)>)> =
            vec![("weights", self.objective.params().named()), ("optimizer", self.optimizer.state())];
        files.extend(self.ema.as_ref().map(|ema| ("ema", ema.named())));
        let extra = self.objective.extra_state();
        if !extra.is_empty() {
            files.push(("extra", extra));
        }
        let cost = self.objective.cost();
        let state = json!({
            "step": self.step, "seed": run.seed, "wall_s": run.wall_s(), "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row, "threads": threads::workers(),
            "target_calls": cost.target_calls, "network_calls": cost.network_calls,
        });
        Ok(run.checkpoints.save(self.step, &files, &state)?.display().to_string())
    }

    /// Takes everything from a checkpoint, or says which file of it is at fault.
    fn load(&mut self, checkpoint: &Checkpoint, run: &mut Run) -> Result<()> {
        self.load_parts(checkpoint, run).map_err(|error| {
            let folder = checkpoint.path.display();
            bad_input!("{error:#}; if it is damaged, remove the folder {folder} to go on from the checkpoint before it")
        })
    }

    fn load_parts(&mut self, checkpoint: &Checkpoint, run: &mut Run) -> Result<()> {
        let as_is = |name: &str| Some(name.to_string());
        assign(&self.objective.params().named(), &checkpoint.tensors("weights")?, as_is)?;
        if let Some(ema) = &self.ema {
            assign(&ema.named(), &checkpoint.tensors("ema")?, as_is)?;
        }
        let optimizer = checkpoint.tensors("optimizer")?;
        self.optimizer.load_state(&optimizer.tensors).with_context(|| checkpoint.file("optimizer"))?;
        if let Some(extra) = checkpoint.tensors_if_any("extra")? {
            self.objective.restore(&extra.tensors).with_context(|| checkpoint.file("extra"))?;
        }
        let state = checkpoint.state()?;
        self.step = checkpoint.step;
        self.skipped = checkpoint.count(&state, "skipped")?;
        self.skipped_in_a_row = checkpoint.count(&state, "skipped_in_a_row")?;
        let (target_calls, network_calls) =
            (checkpoint.count(&state, "target_calls")?, checkpoint.count(&state, "network_calls")?);
        self.objective.set_cost(Cost { target_calls, network_calls });
        run.continue_clock(state.get("wall_s").and_then(Value::as_f64).unwrap_or(0.0));
        // A gradient is summed over the threads' shares of the batch, and rounding depends on the shares.
        let before = state.get("threads").and_then(Value::as_u64);
        if let Some(before) = before.filter(|before| *before != threads::workers() as u64) {
            let now = threads::workers();
            run.terminal.line(&format!(
                "warning: this run had {before} threads and now has {now}: figures will differ in their last digits \
                 from an uninterrupted run's; --threads {before} keeps them equal"
            ));
        }
        Ok(())
    }
}
