//! What the training loop asks of a task.

use anyhow::Result;
use tch::Tensor;

use super::config::TrainConfig;
use crate::log::plot::Picture;
use crate::torch::optim::Group;
use crate::torch::params::Params;

/// Work done so far by training (evaluation is not counted).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Points at which the target's density or score was evaluated.
    pub target_calls: u64,
    /// Points at which a network was evaluated.
    pub network_calls: u64,
}

/// All lines of `metrics.jsonl`.
pub type History = Vec<std::collections::BTreeMap<String, f64>>;

/// What an evaluation found.
#[derive(Default)]
pub struct Evaluation {
    /// Tag and value, such as `eval/elbo`.
    pub scalars: Vec<(String, f64)>,
    /// Tag and values of which TensorBoard shows the distribution.
    pub histograms: Vec<(String, Vec<f64>)>,
    /// File stem and picture; goes to `plots/` and TensorBoard.
    pub pictures: Vec<(String, Picture)>,
    /// Tensors for `samples.safetensors`.
    pub tensors: Vec<(String, Tensor)>,
}

/// A task that the training loop can minimise. Randomness comes from libtorch's generator, which the loop seeds anew
/// before every call.
pub trait Objective {
    fn params(&self) -> &Params;

    /// Parameters to train, in groups with their rates.
    fn groups(&self, config: &TrainConfig) -> Vec<Group>;

    /// Accumulates the gradient of one update in the parameters; returns figures such as `train/loss` (the first one,
    /// which decides whether the update is finite).
    fn accumulate(&mut self) -> Result<Vec<(&'static str, f64)>>;

    /// Measures the present model; `last` asks for the full set of figures and tensors.
    fn evaluate(&mut self, last: bool) -> Result<Evaluation>;

    /// Pictures of the whole run, drawn at its end from `metrics.jsonl` and the final model.
    fn pictures(&mut self, history: &History) -> Result<Vec<(String, Picture)>>;

    /// Tags of the figures that the terminal shows; all of them go to the files.
    fn headline(&self) -> &'static [&'static str];

    fn cost(&self) -> Cost;

    /// Continues a count, as after a resume.
    fn set_cost(&mut self, cost: Cost);

    /// Further tensors that a checkpoint must hold (replay buffers); restored by [`restore`](Self::restore).
    fn extra_state(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    fn restore(&mut self, _extra: &[(String, Tensor)]) -> Result<()> {
        Ok(())
    }
}
