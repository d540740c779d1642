//! A run: its folder and everything that is written there.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tch::Device;

use super::objective::{Cost, Evaluation};
use super::resume;
use crate::config::cli::Common;
use crate::io::checkpoint::{self, Checkpoint, CheckpointWriter};
use crate::io::environment::environment;
use crate::io::run_dir::RunDir;
use crate::io::tensors::write_tensors;
use crate::log::jsonl::JsonLines;
use crate::log::plot::Picture;
use crate::log::progress::Terminal;
use crate::log::tensorboard::{Outcome, TensorBoard};
use crate::torch::device;

/// What a run is called and where it goes.
pub struct Plan<'a> {
    pub task: &'a str,
    /// Name of the config: the YAML's file stem.
    pub name: &'a str,
    /// The resolved config.
    pub yaml: &'a str,
    pub seed: u64,
    pub out: Option<&'a Path>,
    pub resume: bool,
    /// Keys in which the runs of a sweep differ.
    pub swept: &'a [String],
    pub keep_checkpoints: usize,
    pub place: Place,
}

/// Where a run computes, and why not on a GPU, if one was looked for: see [`device::select`](crate::torch::device::select).
pub type Place = (Device, Option<String>);

impl<'a> Plan<'a> {
    /// What a command line asks for: no sweep, one checkpoint kept, on the CPU unless said otherwise.
    pub fn of(common: &'a Common, task: &'a str, name: &'a str, yaml: &'a str, seed: u64) -> Self {
        let (out, resume) = (common.out.as_deref(), common.resume);
        Self { task, name, yaml, seed, out, resume, swept: &[], keep_checkpoints: 1, place: (Device::Cpu, None) }
    }
}

/// An open run folder with its writers.
pub struct Run {
    pub dir: RunDir,
    pub terminal: Terminal,
    pub checkpoints: CheckpointWriter,
    pub seed: u64,
    board: TensorBoard,
    metrics: JsonLines,
    /// Held open: no other process trains in this folder meanwhile.
    _lock: File,
    started: Instant,
    /// Seconds that earlier sessions of this run took.
    earlier_s: f64,
}

impl Run {
    /// Opens the folder, new or to be resumed, and its writers; returns the checkpoint to go on from, if any.
    pub fn open(plan: &Plan) -> Result<(Self, Option<Checkpoint>)> {
        let dir = resume::choose(plan)?;
        let lock = dir.lock()?;
        let found = if dir.resumed { checkpoint::latest(&dir.checkpoints())? } else { None };
        found.as_ref().map_or(Ok(()), |checkpoint| resume::check_reach(checkpoint, plan.yaml))?;
        dir.write_config(plan.yaml)?;
        dir.write_environment(environment(&device::describe(plan.place.0), plan.seed))?;
        let mut terminal = Terminal::with_log(&dir.file("log.txt"))?;
        let (board, metrics) = match &found {
            Some(checkpoint) => {
                terminal.line(&format!("resuming at step {} from {}", checkpoint.step, checkpoint.path.display()));
                let metrics = JsonLines::resume(&dir.file("metrics.jsonl"), checkpoint.step)?;
                (TensorBoard::resume(&dir.path, checkpoint.step)?, metrics)
            }
            None => {
                if plan.resume {
                    let missing =
                        if dir.resumed { "no complete checkpoint here" } else { "no earlier run of this config" };
                    terminal.line(&format!("nothing to resume ({missing}): starting at step 0"));
                }
                // A run killed before its first checkpoint starts over.
                let _ = std::fs::remove_file(dir.file("metrics.jsonl"));
                (new_board(&dir, plan.yaml)?, JsonLines::append(&dir.file("metrics.jsonl"))?)
            }
        };
        let checkpoints = CheckpointWriter::new(&dir.checkpoints(), plan.keep_checkpoints)?;
        terminal.line(&format!("run folder {}", dir.path.display()));
        if let Some(reason) = &plan.place.1 {
            terminal.line(&format!("computing on the CPU: {reason}"));
        }
        let (started, seed) = (Instant::now(), plan.seed);
        Ok((Self { dir, terminal, checkpoints, seed, board, metrics, _lock: lock, started, earlier_s: 0.0 }, found))
    }

    /// Seconds of wall time, all sessions together.
    pub fn wall_s(&self) -> f64 {
        self.earlier_s + self.started.elapsed().as_secs_f64()
    }

    /// The final figures, if an earlier session brought the run to its end at `steps`.
    pub fn done(&self, steps: u64) -> Option<Vec<(String, f64)>> {
        let summary = self.dir.summary()?;
        let done = summary.get("status")? == "done" && summary.get("steps")? == steps;
        done.then(|| summary.iter().filter_map(|(tag, v)| Some((tag.clone(), v.as_f64()?))).collect())
    }

    /// Continues the clock of earlier sessions.
    pub fn continue_clock(&mut self, earlier_s: f64) {
        self.earlier_s = earlier_s;
    }

    /// One line of figures: `metrics.jsonl` and TensorBoard.
    pub fn log(&mut self, step: u64, scalars: &[(String, f64)]) -> Result<()> {
        let wall_s = self.wall_s();
        let pairs = || scalars.iter().map(|(tag, value)| (tag.as_str(), *value));
        self.metrics.write(step, wall_s, pairs())?;
        self.board.scalars(step, pairs());
        Ok(())
    }

    /// Histograms and pictures of an evaluation; its tensors go to `samples.safetensors`.
    pub fn show(&mut self, step: u64, evaluation: &Evaluation) -> Result<()> {
        for (tag, values) in &evaluation.histograms {
            self.board.histogram(tag, step, values);
        }
        self.pictures(step, &evaluation.pictures)?;
        if !evaluation.tensors.is_empty() {
            let tensors: Vec<_> = evaluation.tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
            write_tensors(&self.dir.file("samples.safetensors"), &tensors, &Default::default())?;
        }
        Ok(())
    }

    /// Saves pictures as `plots/<name>.png` and shows them in TensorBoard.
    pub fn pictures(&mut self, step: u64, pictures: &[(String, Picture)]) -> Result<()> {
        if pictures.is_empty() {
            return Ok(());
        }
        let folder = self.dir.file("plots");
        std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        for (name, picture) in pictures {
            picture.save(&folder.join(format!("{name}.png")))?;
            self.board.picture(&format!("plots/{name}"), step, picture)?;
        }
        Ok(())
    }

    /// Brings events to disk, so that none from before a checkpoint is lost.
    pub fn flush(&mut self) {
        self.board.flush();
    }

    /// Writes `summary.json` and closes the session.
    pub fn finish(&mut self, status: &str, step: u64, cost: Cost, figures: &[(String, f64)]) -> Result<()> {
        let mut summary: Map<String, Value> = figures.iter().map(|(tag, v)| (tag.clone(), json!(v))).collect();
        summary.insert("steps".into(), json!(step));
        summary.insert("wall_s".into(), json!(self.wall_s()));
        summary.insert("target_calls".into(), json!(cost.target_calls));
        summary.insert("network_calls".into(), json!(cost.network_calls));
        summary.insert("status".into(), json!(status));
        self.dir.write_summary(&summary)?;
        self.board.finish(if status == "failed" { Outcome::Failure } else { Outcome::Success });
        self.terminal.finish();
        Ok(())
    }
}

/// A new event file, opened with the config as text and as hyperparameters.
fn new_board(dir: &RunDir, yaml: &str) -> Result<TensorBoard> {
    let mut board = TensorBoard::create(&dir.path)?;
    board.config(yaml);
    // No metrics are named: the log folder is shared by several tasks, and the first run would fix the columns for all.
    board.hparams(&crate::config::yaml_to_json(yaml)?, &[]);
    Ok(board)
}
