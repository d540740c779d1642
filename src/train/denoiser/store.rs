//! Files of weights that say by themselves how to build their network: a description as JSON in the metadata.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::io::assign::{Leniency, assign_with};
use crate::io::checkpoint;
use crate::io::weights::{Weights, read_weights, write_weights};
use crate::nets::{Denoiser, DenoiserConfig};
use crate::torch::params::Params;
use crate::torch::seed::{Stream, reseed};
use crate::train::Run;

/// Where the metadata of a denoiser's file holds its [`DenoiserConfig`].
pub const DENOISER: &str = "denoiser";

/// A denoiser from its file, in the given kind and on the given device, and the other texts of the file's metadata.
///
/// Errors: a file that is no weights of a denoiser, or whose tensors are not exactly those of the network.
pub fn read(path: &Path, options: (Kind, Device)) -> Result<(Denoiser, BTreeMap<String, String>)> {
    let (config, weights) = open::<DenoiserConfig>(path, DENOISER)?;
    let denoiser = Denoiser::new(&config, options).map_err(|error| misdescribed(&weights.source, DENOISER, &error))?;
    fill(denoiser.params(), &weights)?;
    Ok((denoiser, weights.metadata))
}

/// Writes `params` of a denoiser of `config`, with `notes` beside it.
pub fn write(
    path: &Path,
    config: &DenoiserConfig,
    params: &[(String, Tensor)],
    notes: &BTreeMap<String, String>,
) -> Result<()> {
    write_as(path, (DENOISER, config), params, notes)
}

/// A file and the description of its network, which its metadata hold under `key`. The generator gets a seed of its own:
/// the values that a network starts with are drawn, and then overwritten.
pub fn open<C: DeserializeOwned>(path: &Path, key: &str) -> Result<(C, Weights)> {
    let mut weights = read_weights(path)?;
    let source = &weights.source;
    let Some(text) = weights.metadata.remove(key) else {
        return Err(bad_input!(
            "{source}: has no metadata '{key}', so it is no weights of a {key}; `score` trains such"
        ));
    };
    let config = serde_json::from_str(&text).map_err(|error| misdescribed(source, key, &error.into()))?;
    reseed(0, Stream::Init, 0);
    Ok((config, weights))
}

/// The complaint about a description that no network can be built from.
pub fn misdescribed(source: &str, key: &str, error: &anyhow::Error) -> anyhow::Error {
    bad_input!("{source}: metadata '{key}' describes no network: {error}")
}

/// Puts all of a file's tensors into a network's parameters, which must be the same ones; NaN and infinity are refused.
pub fn fill(params: &Params, weights: &Weights) -> Result<()> {
    let finite = |tensor: &Tensor| bool::try_from(tensor.isfinite().all()).unwrap_or(false);
    if let Some((name, _)) = weights.tensors.iter().find(|(_, tensor)| !finite(tensor)) {
        return Err(bad_input!("{}: tensor '{name}' holds NaN or infinity; the file is unusable", weights.source));
    }
    let leniency = Leniency { cast: true, ..Leniency::default() };
    assign_with(&params.named(), weights, |name| Some(name.to_string()), leniency)?;
    Ok(())
}

/// Writes parameters with the description of their network under a key of the metadata, and `notes` beside it.
pub fn write_as<C: Serialize>(
    path: &Path,
    (key, config): (&str, &C),
    params: &[(String, Tensor)],
    notes: &BTreeMap<String, String>,
) -> Result<()> {
    let plain: Vec<(String, Tensor)> =
        params.iter().map(|(name, t)| (name.clone(), t.detach().to_device(Device::Cpu))).collect();
    let mut metadata = notes.clone();
    metadata.insert(key.to_string(), serde_json::to_string(config)?);
    write_weights(path, &plain, &metadata)
}

/// The weights that a finished training gives: averaged ones where the newest checkpoint of the run has any, else `own`.
pub fn trained(run: &Run, own: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    let newest = checkpoint::latest(&run.dir.checkpoints())?;
    let averaged = newest.map(|newest| newest.tensors_if_any("ema")).transpose()?.flatten();
    Ok(averaged.map_or(own, |ema| ema.tensors))
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn a_file_builds_the_network_it_holds_or_is_refused_in_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("score.safetensors");
        let text = r#"{"shape": [2], "body": {"type": "mlp", "width": 8, "blocks": 1}, "sigma_data": 0.5}"#;
        let config: DenoiserConfig = serde_json::from_str(text).unwrap();
        reseed(5, Stream::Init, 0);
        let denoiser = Denoiser::new(&config, F32).unwrap();
        let notes = BTreeMap::from([("horizon".to_string(), "3".to_string())]);
        write(&path, &config, &denoiser.params().named(), &notes).unwrap();
        let (again, found) = read(&path, (Kind::Double, Device::Cpu)).unwrap();
        assert_eq!((again.config(), found.get("horizon").map(String::as_str)), (&config, Some("3")));
        for ((name, a), (_, b)) in denoiser.params().named().iter().zip(again.params().named()) {
            assert!(a.to_kind(Kind::Double).equal(&b), "{name}");
        }

        let mut short = denoiser.params().named();
        let gone = short.pop().unwrap().0;
        write(&path, &config, &short, &notes).unwrap();
        let error = read(&path, F32).err().unwrap().to_string();
        assert!(error.contains("score.safetensors") && error.contains(&gone) && error.lines().count() == 1, "{error}");
        let wrong = DenoiserConfig { sigma_data: -1.0, ..config };
        write(&path, &wrong, &short, &notes).unwrap();
        let error = read(&path, F32).err().unwrap().to_string();
        assert!(error.contains("metadata 'denoiser'") && error.contains("sigma_data"), "{error}");
    }
}
