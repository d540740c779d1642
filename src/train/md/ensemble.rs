//! From a trajectory to averages and a thinned, decorrelated ensemble.

use std::path::Path;

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::{MdConfig, Region};
use super::observables::{Chains, Series};
use super::pictures;
use super::trajectory::Trajectory;
use crate::metrics::autocorrelation::{Average, average, inefficiency};
use crate::train::objective::Evaluation;

/// Averages over a trajectory.
pub struct Averages {
    pub energy: Average,
    /// Probability of each region of the config, in its order.
    pub regions: Vec<(String, Average)>,
    /// Frames that count as one, for the slowest of energy, cosines and sines of torsions; at least 1.
    pub inefficiency: f64,
}

/// Averages of `series` with the config's blocks.
pub fn averages(series: &Series, config: &MdConfig) -> Result<Averages> {
    let blocks = config.analysis.blocks();
    let region = |region: &Region| Ok((region.name.clone(), average(&series.inside(region)?, blocks)));
    let waves = series.torsions.values().flat_map(|chains| [map(chains, f64::cos), map(chains, f64::sin)]);
    let energy = average(&series.energy, blocks);
    let slowest = waves.map(|wave| inefficiency(&wave)).fold(energy.inefficiency, f64::max);
    let regions = config.analysis.regions.iter().map(region).collect::<Result<Vec<_>>>()?;
    Ok(Averages { energy, regions, inefficiency: slowest.max(1.0) })
}

fn map(chains: &Chains, f: fn(f64) -> f64) -> Chains {
    chains.iter().map(|chain| chain.iter().map(|value| f(*value)).collect()).collect()
}

/// The whole analysis of the run in `folder`: figures, pictures and the thinned ensemble.
///
/// `samples.safetensors` gets `x` [M, D] (nm), `energy` [M] (kJ/mol), each torsion [M] (radians), `time` [M] (ps) and
/// `chain` [M].
pub fn analyse(folder: &Path, config: &MdConfig) -> Result<Evaluation> {
    let series = Series::read(folder, &config.analysis, config.run.chains)?;
    let averages = averages(&series, config)?;
    let frames = series.time.len();
    let stride = config.analysis.stride.unwrap_or(averages.inefficiency.ceil() as usize).clamp(1, frames);
    let tensors = thinned(folder, config, &series, stride)?;

    let frames_in_all = (frames * series.energy.len()) as f64;
    let mut scalars = vec![
        ("md/energy".to_string(), averages.energy.mean),
        ("md/energy_error".to_string(), averages.energy.error),
        ("md/energy_inefficiency".to_string(), averages.energy.inefficiency),
        ("md/inefficiency".to_string(), averages.inefficiency),
        ("md/ess".to_string(), frames_in_all / averages.inefficiency),
        ("md/frames".to_string(), frames_in_all),
        ("md/stride".to_string(), stride as f64),
        ("md/samples".to_string(), tensors[0].1.size()[0] as f64),
    ];
    for (name, average) in &averages.regions {
        let tag = name.split_whitespace().collect::<Vec<_>>().join("_");
        scalars.push((format!("md/region/{tag}"), average.mean));
        scalars.push((format!("md/region/{tag}_error"), average.error));
    }
    let histograms = vec![("md/energy".to_string(), series.energy.concat())];
    let angles = series.torsions.iter().map(|(name, chains)| (format!("md/{name}"), chains.concat()));
    let histograms = histograms.into_iter().chain(angles).collect();
    Ok(Evaluation { scalars, histograms, pictures: pictures::all(&series)?, tensors })
}

/// Every `stride`-th frame of every chain.
fn thinned(folder: &Path, config: &MdConfig, series: &Series, stride: usize) -> Result<Vec<(String, Tensor)>> {
    let chains = config.run.chains;
    let mut positions = Vec::new();
    let mut first = 0;
    for chunk in Trajectory::of(folder).chunks() {
        let chunk = chunk?;
        // The last of each stride, so that the first frame, closest to the burn-in, is not among them.
        let picked = (0..chunk.frames()).filter(|i| ((first + i + 1) as usize).is_multiple_of(stride));
        let picked: Vec<i64> = picked.collect();
        positions.push(chunk.positions.narrow(1, 0, chains).index_select(0, &Tensor::from_slice(&picked)));
        first += chunk.frames();
    }
    let x = Tensor::cat(&positions, 0).flatten(0, 1); // [M, D]: frame by frame, chain by chain

    let frames: Vec<usize> = (0..series.time.len()).filter(|i| (i + 1).is_multiple_of(stride)).collect();
    let pick = |chains: &Chains| {
        let values: Vec<f64> = frames.iter().flat_map(|i| chains.iter().map(move |chain| chain[*i])).collect();
        Tensor::from_slice(&values)
    };
    let time: Vec<f64> = frames.iter().flat_map(|i| vec![series.time[*i]; chains as usize]).collect();
    let chain = Tensor::arange(chains, (Kind::Int64, tch::Device::Cpu)).repeat([frames.len() as i64]);
    let mut tensors = vec![("x".to_string(), x), ("energy".to_string(), pick(&series.energy))];
    tensors.extend(series.torsions.iter().map(|(name, chains)| (name.clone(), pick(chains))));
    tensors.extend([("time".to_string(), Tensor::from_slice(&time)), ("chain".to_string(), chain)]);
    Ok(tensors)
}
