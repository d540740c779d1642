//! Points, samples and fixtures: named tensors that are not a model's weights.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tch::Tensor;

use super::weights::{read_weights, write_weights};
use crate::bad_input;

/// All tensors of a file by name, on the CPU, in the file's kinds; formats as in [`read_weights`].
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    Ok(read_weights(path)?.tensors.into_iter().collect())
}

/// The tensor `key` of a file read before; the message lists what the file holds instead.
pub fn take(path: &Path, tensors: &mut BTreeMap<String, Tensor>, key: &str) -> Result<Tensor> {
    tensors.remove(key).ok_or_else(|| {
        let found: Vec<&str> = tensors.keys().map(String::as_str).collect();
        bad_input!("{}: no tensor '{key}'; the file holds {}", path.display(), found.join(", "))
    })
}

/// Writes a safetensors file with text metadata; a reader sees either the old file or the complete new one.
pub fn write_tensors(path: &Path, tensors: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let named: Vec<(String, Tensor)> = tensors.iter().map(|(key, t)| (key.to_string(), t.shallow_clone())).collect();
    write_weights(path, &named, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn every_kind_survives_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.safetensors");
        let kinds =
            [Kind::Double, Kind::Float, Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Int, Kind::Uint8, Kind::Bool];
        let base = Tensor::arange(12, (Kind::Double, Device::Cpu)).view([3, 4]);
        let made: Vec<(String, Tensor)> = kinds.iter().map(|kind| (format!("{kind:?}"), base.to_kind(*kind))).collect();
        let mut all: Vec<(&str, &Tensor)> = made.iter().map(|(k, t)| (k.as_str(), t)).collect();
        // Views, scalars and empty tensors are written as what they show.
        let (view, scalar, empty) = (base.tr(), base.get(0).get(1), base.narrow(0, 0, 0));
        all.extend([("view", &view), ("scalar", &scalar), ("empty", &empty)]);
        write_tensors(&path, &all, &BTreeMap::new()).unwrap();

        let read = read_tensors(&path).unwrap();
        assert_eq!(read.len(), all.len());
        for (key, tensor) in all {
            assert_eq!((read[key].kind(), read[key].size()), (tensor.kind(), tensor.size()), "{key}");
            assert!(read[key].equal(tensor), "{key}");
        }
    }

    #[test]
    fn a_missing_tensor_lists_the_others() {
        let mut tensors = BTreeMap::from([("points".to_string(), Tensor::from(1.0))]);
        let error = take(Path::new("p.safetensors"), &mut tensors, "x").unwrap_err().to_string();
        assert!(error.contains("no tensor 'x'") && error.contains("points"), "{error}");
    }
}
