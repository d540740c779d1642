//! Files of a denoiser's weights, which say by themselves how to build their network.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::io::assign::{Leniency, assign_with};
use crate::io::checkpoint;
use crate::io::weights::{read_weights, write_weights};
use crate::log::progress::Terminal;
use crate::nets::{Denoiser, DenoiserConfig};
use crate::torch::seed::{Stream, reseed};
use crate::train::Run;

/// Where the metadata holds the [`DenoiserConfig`], as JSON.
pub const CONFIG_KEY: &str = "denoiser";

/// A network from its file, in the given kind and on the given device, and the other texts of the file's metadata.
///
/// Errors: a file that is no weights of a denoiser, or whose tensors are not exactly those of the network.
pub fn read(path: &Path, options: (Kind, Device)) -> Result<(Denoiser, BTreeMap<String, String>)> {
    let mut weights = read_weights(path)?;
    let source = weights.source.clone();
    let Some(text) = weights.metadata.remove(CONFIG_KEY) else {
        return Err(bad_input!(
            "{source}: has no metadata '{CONFIG_KEY}', so it is no weights of a denoiser; `score train` writes such files"
        ));
    };
    let config: DenoiserConfig = serde_json::from_str(&text)
        .map_err(|error| bad_input!("{source}: metadata '{CONFIG_KEY}' describes no denoiser ({error})"))?;
    config.validate().map_err(|error| bad_input!("{source}: metadata '{CONFIG_KEY}': {error}"))?;

    // All values are overwritten; with a seed of its own, what follows does not depend on what came before.
    reseed(0, Stream::Init, 0);
    let denoiser = Denoiser::new(&config, options)?;
    if let Some((name, _)) = weights.tensors.iter().find(|(_, tensor)| !all_finite(tensor)) {
        return Err(bad_input!("{source}: tensor '{name}' holds NaN or infinity; the file is unusable"));
    }
    let leniency = Leniency { cast: true, ..Leniency::default() };
    assign_with(&denoiser.params().named(), &weights, |name| Some(name.to_string()), leniency)?;
    Ok((denoiser, weights.metadata))
}

fn all_finite(tensor: &Tensor) -> bool {
    bool::try_from(tensor.isfinite().all()).unwrap_or(false)
}

/// Writes `params` of a network of `config`, with `notes` beside it.
pub fn write(
    path: &Path,
    config: &DenoiserConfig,
    params: &[(String, Tensor)],
    notes: &BTreeMap<String, String>,
) -> Result<()> {
    let plain: Vec<(String, Tensor)> =
        params.iter().map(|(name, t)| (name.clone(), t.detach().to_device(Device::Cpu))).collect();
    let mut metadata = notes.clone();
    metadata.insert(CONFIG_KEY.to_string(), serde_json::to_string(config)?);
    write_weights(path, &plain, &metadata)
}

/// The weights that a finished training gives: averaged ones where the newest checkpoint of the run has any, else `own`.
pub fn trained(run: &Run, own: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    let newest = checkpoint::latest(&run.dir.checkpoints())?;
    let averaged = newest.map(|newest| newest.tensors_if_any("ema")).transpose()?.flatten();
    Ok(averaged.map_or(own, |ema| ema.tensors))
}

/// Says where weights were written.
pub fn announce(terminal: &mut Terminal, path: &Path) {
    terminal.line(&format!("weights: {}", path.display()));
}
