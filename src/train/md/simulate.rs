//! The loop of a simulation: dynamics, exchanges, frames, files.

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::config::{MdConfig, RunConfig};
use super::system::{System, particles};
use super::trajectory::{Buffer, Chunk, Frame, Trajectory};
use crate::bad_input;
use crate::config::cli::Interrupted;
use crate::io::checkpoint::Checkpoint;
use crate::io::tensors::take;
use crate::samplers::mcmc::replicas::Replicas;
use crate::samplers::mcmc::{GAS_CONSTANT, State};
use crate::torch::seed::{Stream, reseed};
use crate::train::objective::Cost;
use crate::train::run::Run;
use crate::train::stop::StopFlag;

/// Steps whose noise is drawn at once.
const STRETCH: u64 = 50;

/// Everything that changes as time goes on.
struct Simulation<'a> {
    config: &'a MdConfig,
    replicas: Replicas,
    state: State,
    /// Number that the conformation in each row began with, `[N]` i64.
    walkers: Tensor,
    step: u64,
    /// Exchanges attempted and accepted between each rung and the next.
    exchanges: Vec<(u64, u64)>,
    buffer: Buffer,
    /// Target calls of earlier sessions.
    earlier_calls: u64,
}

/// What a simulation did.
pub struct Outcome {
    pub steps: u64,
    pub cost: Cost,
    pub figures: Vec<(String, f64)>,
}

/// Simulates in the folder of `run`, from `checkpoint` on if there is one.
pub fn simulate(config: &MdConfig, system: System, run: &mut Run, checkpoint: Option<Checkpoint>) -> Result<Outcome> {
    let _guard = tch::no_grad_guard();
    let stop = StopFlag::install()?;
    let mut simulation = match &checkpoint {
        Some(checkpoint) => Simulation::load(config, system, checkpoint, run)?,
        None => Simulation::begin(config, system),
    };
    run.terminal.start(simulation.step, config.total_steps());
    let result = simulation.go_on(run, &stop);
    let (steps, cost) = (simulation.step, simulation.cost());
    match result {
        Ok(()) => Ok(Outcome { steps, cost, figures: simulation.acceptance() }),
        Err(error) => {
            let status = if error.is::<Interrupted>() { "interrupted" } else { "failed" };
            // The first error is the one to report; a full disk must not hide it.
            let _ = run.finish(status, steps, cost, &[]);
            Err(error)
        }
    }
}

impl<'a> Simulation<'a> {
    fn begin(config: &'a MdConfig, system: System) -> Self {
        let System { replicas, start: state } = system;
        let walkers = Tensor::arange(replicas.ladder.replicas(), (Kind::Int64, state.x.device()));
        let exchanges = vec![(0, 0); config.dynamics.temperatures.len() - 1];
        let buffer = Buffer::default();
        Self { config, replicas, state, walkers, step: 0, exchanges, buffer, earlier_calls: 0 }
    }

    /// Until the last step: advance, exchange, keep a frame, write, save.
    fn go_on(&mut self, run: &mut Run, stop: &StopFlag) -> Result<()> {
        let RunConfig { record_every, burn_in, chunk_frames, .. } = self.config.run.clone();
        let (chunk_steps, total) = (record_every * chunk_frames, self.config.total_steps());
        let trajectory = Trajectory::of(&run.dir.path);
        while self.step < total {
            self.advance_to(self.next_event());
            if self.is_exchange_due() {
                self.exchange();
            }
            if !self.step.is_multiple_of(record_every) {
                continue;
            }

            // A frame's time: look at the replicas, and keep what they show.
            let frame = self.frame()?;
            run.terminal.step(self.step, &[("energy", frame.energy.mean(Kind::Double).double_value(&[]))]);
            if self.step > burn_in {
                self.buffer.push(frame);
            }
            let last = self.step == total;
            let since = if self.step > burn_in { self.step - burn_in } else { self.step };
            if last || since.is_multiple_of(chunk_steps) {
                if !self.buffer.is_empty() {
                    let index = (self.step - burn_in).div_ceil(chunk_steps) - 1;
                    self.write(&trajectory, index, run)?;
                }
                // A file that is not full stays in the checkpoint, for a run that is made longer.
                if since.is_multiple_of(chunk_steps) {
                    self.buffer.clear();
                }
                self.save(run)?;
            } else if stop.raised() {
                let path = self.save(run)?;
                let step = self.step;
                return Err(Interrupted(format!("stopped at step {step}; saved in {path}; go on with --resume")).into());
            }
        }
        Ok(())
    }

    /// Where the next stretch of undisturbed dynamics ends.
    fn next_event(&self) -> u64 {
        let after = |every: u64| (self.step / every + 1) * every;
        let exchange = if self.exchanges.is_empty() { u64::MAX } else { after(self.config.dynamics.exchange_every) };
        exchange.min(after(self.config.run.record_every)).min(self.step + STRETCH)
    }

    /// Every stretch draws its noise from a seed of its own first step, so that a resumed run repeats it.
    fn advance_to(&mut self, step: u64) {
        let size = self.state.x.size();
        let shape = [(step - self.step) as i64, size[0], size[1]];
        let options = (self.state.x.kind(), self.state.x.device());
        let noise = if self.config.dynamics.integrator.is_thermal() {
            reseed(self.config.seed, Stream::Train, self.step);
            Tensor::randn(shape, options)
        } else {
            Tensor::zeros([1, 1, 1], options).expand(shape, false)
        };
        self.state = self.replicas.advance(self.state.narrow(0, size[0]), &noise).0;
        self.step = step;
    }

    fn is_exchange_due(&self) -> bool {
        !self.exchanges.is_empty() && self.step.is_multiple_of(self.config.dynamics.exchange_every)
    }

    fn exchange(&mut self) {
        reseed(self.config.seed, Stream::Data, self.step);
        let uniforms = Tensor::rand([self.replicas.ladder.replicas()], (Kind::Double, Device::Cpu));
        let odd = !(self.step / self.config.dynamics.exchange_every).is_multiple_of(2);
        let (state, swaps) = self.replicas.exchange(&self.state, &uniforms, odd);
        self.walkers = self.walkers.index_select(0, &Tensor::from_slice(&swaps.from).to_device(state.x.device()));
        self.state = state;
        for (sum, new) in self.exchanges.iter_mut().zip(swaps.counts) {
            *sum = (sum.0 + new.0, sum.1 + new.1);
        }
    }

    /// Centres the replicas where that is wanted, and reads off what a frame holds.
    fn frame(&mut self) -> Result<Frame> {
        if self.config.dynamics.remove_center {
            let space = particles(self.replicas.target()).1;
            self.state = self.replicas.mechanics.centered(&self.state, space);
        }
        let energies = self.replicas.energies(&self.state.x);
        if let Some(row) = energies.iter().position(|energy| !energy.is_finite()) {
            let ladder = &self.replicas.ladder;
            let temperature = ladder.row_kts()[row] / GAS_CONSTANT;
            return Err(anyhow!(
                "the energy of replica {row} (at {temperature:.0} K) is {} after step {}; lower dynamics.step, or \
                 start from a relaxed structure (run.start)",
                energies[row],
                self.step
            ));
        }
        let rows = self.config.run.record_rungs * self.config.run.chains;
        let keep = |t: &Tensor| t.narrow(0, 0, rows).to_device(Device::Cpu).copy();
        Ok(Frame {
            positions: keep(&self.state.x),
            energy: keep(&Tensor::from_slice(&energies)),
            kinetic: keep(&self.replicas.mechanics.kinetic(&self.state.v)),
            walker: keep(&self.walkers),
            time: self.config.time(self.step),
        })
    }

    /// Writes the frames gathered so far as one file, and its figures.
    fn write(&mut self, trajectory: &Trajectory, index: u64, run: &mut Run) -> Result<()> {
        let chunk = self.buffer.stacked();
        trajectory.write(index, &chunk, self.replicas.target().particles())?;

        let chains = self.config.run.chains;
        let mean = |t: &Tensor| t.narrow(1, 0, chains).mean(Kind::Double).double_value(&[]);
        let mut figures = vec![
            ("md/energy".to_string(), mean(&chunk.energy)),
            ("md/temperature".to_string(), 2.0 * mean(&chunk.kinetic) / (GAS_CONSTANT * self.degrees_of_freedom())),
        ];
        figures.extend(self.acceptance());
        let shown: Vec<(&str, f64)> = figures.iter().map(|(tag, value)| (tag.as_str(), *value)).collect();
        run.terminal.evaluation(self.step, &shown);
        run.log(self.step, &figures)
    }

    fn degrees_of_freedom(&self) -> f64 {
        let target = self.replicas.target();
        let fixed = if self.config.dynamics.remove_center { particles(target).1 } else { 0 };
        (target.dim() - fixed) as f64
    }

    fn acceptance(&self) -> Vec<(String, f64)> {
        let rate = |(rung, (tried, accepted)): (usize, &(u64, u64))| {
            (format!("md/acceptance_{rung}_{}", rung + 1), *accepted as f64 / *tried as f64)
        };
        self.exchanges.iter().enumerate().filter(|(_, (tried, _))| *tried > 0).map(rate).collect()
    }

    fn cost(&self) -> Cost {
        Cost { target_calls: self.earlier_calls + self.replicas.calls().total(), network_calls: 0 }
    }

    fn save(&self, run: &mut Run) -> Result<String> {
        run.flush();
        let named = |name: &str, t: &Tensor| (name.to_string(), t.shallow_clone());
        let state = vec![named("x", &self.state.x), named("v", &self.state.v), named("walkers", &self.walkers)];
        let mut files = vec![("state", state)];
        if !self.buffer.is_empty() {
            files.push(("frames", self.buffer.stacked().named(None)));
        }
        let facts = json!({
            "step": self.step, "seed": self.config.seed, "wall_s": run.wall_s(), "exchanges": self.exchanges,
            "target_calls": self.cost().target_calls,
        });
        Ok(run.checkpoints.save(self.step, &files, &facts)?.display().to_string())
    }

    fn load(config: &'a MdConfig, system: System, checkpoint: &Checkpoint, run: &mut Run) -> Result<Self> {
        let mut simulation = Self::begin(config, system);
        let path = checkpoint.path.join("state.safetensors");
        let mut tensors = checkpoint.tensors("state")?.tensors.into_iter().collect();
        let like = &simulation.state.x;
        let mut restore = |name: &str, like: &Tensor| -> Result<Tensor> {
            let tensor = take(&path, &mut tensors, name)?;
            if tensor.size() != like.size() || tensor.kind() != like.kind() {
                let (found, expected) = (tensor.size(), like.size());
                let path = path.display();
                return Err(bad_input!("{path}: tensor '{name}' has shape {found:?}, this run needs {expected:?}"));
            }
            Ok(tensor.to_device(like.device()))
        };
        let (x, v, walkers) = (restore("x", like)?, restore("v", like)?, restore("walkers", &simulation.walkers)?);
        (simulation.state, simulation.walkers) = (State { x, v }, walkers);
        if let Some(frames) = checkpoint.tensors_if_any("frames")? {
            let path = checkpoint.path.join("frames.safetensors");
            simulation.buffer = Buffer::from_chunk(&Chunk::from_named(&path, frames.tensors.into_iter().collect())?);
        }

        let facts = checkpoint.state()?;
        simulation.step = checkpoint.step;
        simulation.earlier_calls = facts.get("target_calls").and_then(Value::as_u64).unwrap_or(0);
        let counts = facts.get("exchanges").cloned().unwrap_or_default();
        let counts: Vec<(u64, u64)> = serde_json::from_value(counts).unwrap_or_default();
        simulation.exchanges.iter_mut().zip(counts).for_each(|(sum, before)| *sum = before);
        run.continue_clock(facts.get("wall_s").and_then(Value::as_f64).unwrap_or(0.0));
        Ok(simulation)
    }
}
