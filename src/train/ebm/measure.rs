//! How good a model and its samples are.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::objective::EbmObjective;
use super::pictures;
use crate::metrics::hamming::{exp_hamming_mmd2, weighted_exp_hamming_mmd2};
use crate::metrics::weights::{effective_sample_size, log_mean_exp};
use crate::samplers::discrete::Path;
use crate::samplers::importance::resample::Resampling;
use crate::samplers::mcmc::lattice::bits::{annealed, sweep};
use crate::targets::lattice::PairModel;
use crate::targets::lattice::energy::Energy;
use crate::torch::seed::{Stream, step_seed};
use crate::train::objective::Evaluation;

/// Bandwidth of the Hamming kernel in EB-GFN's tables.
const BANDWIDTH: f64 = 0.1;

/// `eval/nll` of data with Z from [`annealed`] states, and `eval/mmd2_model` between data and such states after Gibbs
/// sweeps; with a process its `eval/ess`, and `eval/mmd2` between data and its weighted samples; for known couplings
/// `eval/minus_log_rmse`. Midway all counts are tenths, and there is one repeat.
pub fn evaluate(objective: &mut EbmObjective, last: bool) -> Result<Evaluation> {
    let _guard = tch::no_grad_guard();
    let eval = objective.config().eval;
    let share = |count: i64| (if last { count } else { count / 10 }).max(2);
    let levels = if last { eval.levels } else { (eval.levels / 10).max(1) };
    let reference = Reference::new(&objective.energy, share(eval.partition_samples), levels, eval.sweeps)?;
    let mut figures = Figures::default();
    figures.push("log_z", reference.log_z);
    figures.push("log_z_error", reference.log_z_error());
    if let Some((couplings, law)) = objective.energy.couplings().zip(objective.source.law().and_then(|law| law.pairs()))
    {
        figures.push("minus_log_rmse", -rmse(&couplings, law).ln());
    }

    let mut evaluation = Evaluation::default();
    let seed = Tensor::randint_low(0, i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64;
    for repeat in 0..if last { eval.repeats as u64 } else { 1 } {
        let seed = step_seed(seed, Stream::Eval, repeat);
        let sets = measure(objective, &reference, share(eval.samples), seed, &mut figures)?;
        if last && repeat == 0 {
            evaluation = sets.show(objective)?;
        }
    }
    evaluation.scalars = figures.table();
    Ok(evaluation)
}

/// Weighted states of the model that owe nothing to a process.
struct Reference {
    /// `[N, D]` u8
    states: Tensor,
    log_weights: Vec<f64>,
    log_z: f64,
    sweeps: i64,
}

impl Reference {
    fn new(energy: &Energy, rows: i64, levels: i64, sweeps: i64) -> Result<Self> {
        let (states, log_weight) = annealed(energy, rows, levels);
        let log_weights = Vec::<f64>::try_from(log_weight)?;
        Ok(Self { states, log_z: log_mean_exp(&log_weights), log_weights, sweeps })
    }

    /// By the delta method.
    fn log_z_error(&self) -> f64 {
        let share = effective_sample_size(&self.log_weights);
        ((1.0 / share - 1.0) / self.log_weights.len() as f64).sqrt()
    }

    /// Rows in proportion to their weights, equal ones taken apart by sweeps; `[count, D]`.
    fn draw(&self, energy: &Energy, count: i64) -> Result<Tensor> {
        let uniform = Tensor::rand([1], (Kind::Double, Device::Cpu)).double_value(&[0]);
        let rows = Resampling::Systematic.draw(&self.log_weights, count as usize, &[uniform]);
        let rows = rows.context("no state of the model has a weight")?;
        let x = self.states.index_select(0, &Tensor::from_slice(&rows));
        Ok((0..self.sweeps).fold(x, |x, _| sweep(energy, &x, 1.0)))
    }
}

/// One measure's data and samples, `[N, D]` each.
struct Sets {
    data: Tensor,
    model: Tensor,
    process: Option<Path>,
}

/// One measure of all that depends on a set of data.
fn measure(
    objective: &mut EbmObjective,
    reference: &Reference,
    count: i64,
    seed: u64,
    figures: &mut Figures,
) -> Result<Sets> {
    let (data, others) = objective.source.measures(count, seed);
    let (count, log_prob) = (data.size()[0], objective.energy.log_prob_of(&data));
    figures.push("nll", reference.log_z - log_prob.mean(Kind::Double).double_value(&[]));
    if let Some(others) = others {
        figures.push("mmd2_data", exp_hamming_mmd2(&data, &others, BANDWIDTH)?);
    }
    let model = reference.draw(&objective.energy, count)?;
    figures.push("mmd2_model", exp_hamming_mmd2(&data, &model, BANDWIDTH)?);
    let process = objective.sample(count).map(|path| Path {
        x: path.x.to_device(Device::Cpu),
        log_weight: path.log_weight.to_device(Device::Cpu),
        ..path
    });
    if let Some(Path { x, log_weight, .. }) = &process {
        figures.push("ess", effective_sample_size(&Vec::<f64>::try_from(log_weight)?));
        let weights = log_weight.nan_to_num(f64::NEG_INFINITY, None, None).softmax(0, Kind::Double);
        figures.push("mmd2", weighted_exp_hamming_mmd2(&data, x, &weights, BANDWIDTH)?);
        figures.push("mmd2_unweighted", exp_hamming_mmd2(&data, x, BANDWIDTH)?);
    }
    Ok(Sets { data, model, process })
}

impl Sets {
    /// Pictures and samples: those of the process in proportion to their weights, or those of the model.
    fn show(self, objective: &EbmObjective) -> Result<Evaluation> {
        let Self { data, model, process } = self;
        let (samples, tensors) = match process {
            Some(Path { x, log_weight, .. }) => {
                let log_weights = Vec::<f64>::try_from(&log_weight)?;
                let rows = Resampling::Systematic.draw(&log_weights, log_weights.len(), &[0.5]);
                let drawn = rows.map_or_else(|| x.copy(), |rows| x.index_select(0, &Tensor::from_slice(&rows)));
                (drawn, vec![("x".to_string(), x), ("log_weight".to_string(), log_weight)])
            }
            None => (model.copy(), vec![("x".to_string(), model.to_kind(Kind::Int64))]),
        };
        let sets = [("data", &data), ("samples", &samples), ("chains", &model)];
        let pictures = pictures::draw(&objective.energy, &objective.source, &sets)?;
        Ok(Evaluation { tensors, pictures, ..Evaluation::default() })
    }
}

/// Figures of repeated measures, in the order in which they first came.
#[derive(Default)]
struct Figures(Vec<(&'static str, Vec<f64>)>);

impl Figures {
    fn push(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }

    /// Means, and standard deviations of single measures where there are several.
    fn table(self) -> Vec<(String, f64)> {
        let mut table = Vec::new();
        for (name, values) in self.0 {
            let (n, mean) = (values.len() as f64, values.iter().sum::<f64>() / values.len() as f64);
            table.push((format!("eval/{name}"), mean));
            if values.len() > 1 {
                let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
                table.push((format!("eval/{name}_std"), (squares / (n - 1.0)).sqrt()));
            }
        }
        table
    }
}

/// Root of the mean square difference of all entries of `s' J s` from those of the law that the data are of: a bond of
/// strength w enters twice, with `beta w / 2` each.
fn rmse(couplings: &Tensor, law: &PairModel) -> f64 {
    let d = law.sites as i64;
    let mut truth = vec![0.0; law.sites * law.sites];
    for (i, j, strength) in &law.bonds {
        let (i, j) = (*i as usize, *j as usize);
        truth[i * law.sites + j] += 0.5 * law.beta * strength;
        truth[j * law.sites + i] += 0.5 * law.beta * strength;
    }
    let error = couplings.to_device(Device::Cpu).to_kind(Kind::Double) - Tensor::from_slice(&truth).view([d, d]);
    error.square().mean(Kind::Double).double_value(&[]).sqrt()
}
