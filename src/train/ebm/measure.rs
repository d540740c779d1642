//! How good a model and its samples are.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::data::Source;
use super::objective::EbmObjective;
use crate::log::plot::{Axis, Field, HeatMap, ImageGrid, Picture, ScatterPlot, Shades};
use crate::metrics::hamming::exp_hamming_mmd2;
use crate::metrics::weights::effective_sample_size;
use crate::samplers::importance::resample::Resampling;
use crate::targets::lattice::energy::Energy;
use crate::targets::lattice::{PairModel, gray};
use crate::targets::toys::Toy;
use crate::train::objective::Evaluation;

/// Bandwidth of the Hamming kernel in EB-GFN's tables.
const BANDWIDTH: f64 = 0.1;

/// `eval/nll` of fresh data, with Z from uniform states; with a process also its `eval/ess`, and `eval/mmd2`
/// between data and samples drawn in proportion to their weights; for known couplings `eval/minus_log_rmse`. Midway a
/// tenth of the states that the last evaluation has.
pub fn evaluate(objective: &mut EbmObjective, last: bool) -> Result<Evaluation> {
    let _guard = tch::no_grad_guard();
    let eval = objective.config().eval;
    let share = if last { 1 } else { 10 };
    let seed = Tensor::randint_low(0, i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64;
    let data = objective.source.draw((eval.samples / share).max(2), seed);
    let (log_z, error) = partition(&objective.energy, (eval.partition_samples / share).max(2));
    let mean = log_prob(&objective.energy, &data).mean(Kind::Double).double_value(&[]);
    let mut scalars = vec![("nll", log_z - mean), ("log_z", log_z), ("log_z_error", error)];
    if let Some((couplings, law)) = objective.energy.couplings().zip(objective.source.law().and_then(|law| law.pairs()))
    {
        scalars.push(("minus_log_rmse", -rmse(&couplings, law).ln()));
    }

    let mut evaluation = Evaluation::default();
    let mut drawn = None;
    if let Some(path) = objective.sample(data.size()[0]) {
        let log_weights = Vec::<f64>::try_from(path.log_weight.to_device(Device::Cpu))?;
        scalars.push(("ess", effective_sample_size(&log_weights)));
        let rows = Resampling::Systematic.draw(&log_weights, log_weights.len(), &[0.5]);
        let x = path.x.to_device(Device::Cpu);
        let weighted = rows.map_or_else(|| x.shallow_clone(), |rows| x.index_select(0, &Tensor::from_slice(&rows)));
        scalars.push(("mmd2", exp_hamming_mmd2(&data, &weighted, BANDWIDTH)?));
        scalars.push(("mmd2_unweighted", exp_hamming_mmd2(&data, &x, BANDWIDTH)?));
        if last {
            evaluation.tensors = vec![("x".into(), x), ("log_weight".into(), path.log_weight.to_device(Device::Cpu))];
        }
        drawn = Some(weighted);
    }
    evaluation.scalars = scalars.into_iter().map(|(name, value)| (format!("eval/{name}"), value)).collect();
    if last {
        evaluation.pictures = pictures(&objective.energy, &objective.source, &data, drawn.as_ref())?;
    }
    Ok(evaluation)
}

/// Rows that are evaluated at once.
const CHUNK: i64 = 8192;

fn device_of(energy: &Energy) -> Device {
    match energy {
        Energy::Mlp(layers) => layers[0].0.device(),
        Energy::Quadratic(j) => j.device(),
    }
}

fn log_prob(energy: &Energy, x: &Tensor) -> Tensor {
    let device = device_of(energy);
    let part = |x: &Tensor| energy.log_prob(&x.to_device(device).to_kind(Kind::Float)).to_kind(Kind::Double);
    let parts: Vec<Tensor> = x.split(CHUNK, 0).iter().map(part).collect();
    Tensor::cat(&parts, 0).to_device(Device::Cpu)
}

/// log Z from uniform states, and its standard error by the delta method.
fn partition(energy: &Energy, count: i64) -> (f64, f64) {
    let sites = energy.sites();
    let mut log_weights = Vec::with_capacity(count as usize);
    for start in (0..count).step_by(CHUNK as usize) {
        let x = Tensor::randint(2, [CHUNK.min(count - start), sites], (Kind::Int64, Device::Cpu));
        log_weights.extend(Vec::<f64>::try_from(log_prob(energy, &x)).unwrap_or_default());
    }
    let top = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|w| (w - top).exp()).collect();
    let n = weights.len() as f64;
    let mean = weights.iter().sum::<f64>() / n;
    let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let log_z = top + mean.ln() + sites as f64 * std::f64::consts::LN_2;
    (log_z, (variance / n).sqrt() / mean)
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

fn pictures(energy: &Energy, source: &Source, data: &Tensor, drawn: Option<&Tensor>) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    let sets = [("data", Some(data)), ("samples", drawn)];
    if let Some(toy) = source.toy() {
        pictures.push(("density".to_string(), density(energy, toy)?));
        for (name, x) in sets.into_iter().filter_map(|(name, x)| Some((name, x?))) {
            let plot = ScatterPlot::new(name, Axis::linear("x"), Axis::linear("y"));
            pictures.push((name.to_string(), plot.points("", &points(x, toy)?).draw()?));
        }
    }
    if let Some((rows, columns)) = source.shape() {
        for (name, x) in sets.into_iter().filter_map(|(name, x)| Some((name, x?))) {
            let images = x.narrow(0, 0, x.size()[0].min(64)).view([-1, rows, columns]);
            let sheet = ImageGrid::new(name).range(0.0, 1.0).shades(Shades::Grey);
            pictures.push((name.to_string(), sheet.draw(&images)?));
        }
    }
    Ok(pictures)
}

/// States `[N, 32]` as points.
fn points(x: &Tensor, toy: Toy) -> Result<Vec<(f64, f64)>> {
    let bits = Vec::<u8>::try_from(x.to_kind(Kind::Uint8).contiguous().view([-1]))?;
    let point = |code: &[u8]| gray::decode(code, gray::scale(toy));
    Ok(bits.chunks_exact(gray::SITES).map(point).map(|[x, y]| (x, y)).collect())
}

/// `exp(f)` over the plane, scaled to its highest value.
fn density(energy: &Energy, toy: Toy) -> Result<Picture> {
    const SIDE: usize = 100;
    let (reach, scale) = (toy.largest() + 1.0, gray::scale(toy));
    let range = (-reach, reach);
    let centers = Field::centers(range, range, SIDE, SIDE);
    let codes: Vec<u8> = centers.into_iter().flat_map(|(x, y)| gray::encode([x, y], scale)).collect();
    let log_prob = log_prob(energy, &Tensor::from_slice(&codes).view([-1, gray::SITES as i64]));
    let values = Vec::<f64>::try_from((&log_prob - log_prob.max()).exp())?;
    let field = Field::new(range, range, SIDE, SIDE, &values);
    HeatMap::new("density of the model", Axis::linear("x"), Axis::linear("y"), Axis::linear("of its highest"), field)
        .draw()
}
