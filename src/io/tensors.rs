//! Named tensors in safetensors files: read whole, written atomically, kinds kept.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::torch::error::first_line;

/// Kinds that travel, with their names in the file format.
const KINDS: [(Dtype, Kind); 10] = [
    (Dtype::F64, Kind::Double),
    (Dtype::F32, Kind::Float),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::I16, Kind::Int16),
    (Dtype::I8, Kind::Int8),
    (Dtype::U8, Kind::Uint8),
    (Dtype::BOOL, Kind::Bool),
];

/// All tensors of a file, on the CPU in the file's kinds.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    Ok(read_tensors_and_metadata(path)?.0)
}

/// All tensors of a file and its text metadata.
pub fn read_tensors_and_metadata(path: &Path) -> Result<(BTreeMap<String, Tensor>, BTreeMap<String, String>)> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_input!("{name}: file not found, expected a safetensors file"),
        _ => bad_input!("{name}: cannot be read: {error}"),
    })?;
    let wrong = |error| bad_input!("{name}: not a complete safetensors file of {} bytes ({error})", bytes.len());
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(wrong)?;
    let file = SafeTensors::deserialize(&bytes).map_err(wrong)?;

    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = BTreeMap::new();
    for (key, view) in file.iter() {
        tensors.insert(key.to_string(), from_view(path, key, &view)?);
    }
    Ok((tensors, metadata))
}

fn from_view(path: &Path, key: &str, view: &TensorView) -> Result<Tensor> {
    let name = path.display();
    let kind = KINDS.iter().find(|(dtype, _)| *dtype == view.dtype()).map(|(_, kind)| *kind);
    let kind =
        kind.ok_or_else(|| bad_input!("{name}: tensor '{key}' has kind {:?}, which is not read", view.dtype()))?;
    let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
    Tensor::f_from_data_size(view.data(), &shape, kind)
        .map_err(|error| bad_input!("{name}: tensor '{key}': {}", first_line(&error)))
}

/// The tensor `key` of a file read before; the message lists what the file holds instead.
pub fn take(path: &Path, tensors: &mut BTreeMap<String, Tensor>, key: &str) -> Result<Tensor> {
    tensors.remove(key).ok_or_else(|| {
        let found: Vec<&str> = tensors.keys().map(String::as_str).collect();
        bad_input!("{}: no tensor '{key}'; the file holds {}", path.display(), found.join(", "))
    })
}

/// Writes tensors and text metadata; a reader sees either the old file or the complete new one.
pub fn write_tensors(path: &Path, tensors: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let name = path.display();
    let owned = tensors.iter().map(|(key, tensor)| to_bytes(key, tensor)).collect::<Result<Vec<_>>>()?;
    let views = owned.iter().map(|(key, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        view.map(|view| (key.as_str(), view)).with_context(|| format!("{name}: tensor '{key}'"))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let bytes = safetensors::serialize(views, metadata).with_context(|| format!("{name}: cannot be encoded"))?;

    write_atomically(path, &bytes)
}

type OwnedView = (String, Dtype, Vec<usize>, Vec<u8>);

fn to_bytes(key: &str, tensor: &Tensor) -> Result<OwnedView> {
    let kind = tensor.kind();
    let dtype = KINDS.iter().find(|(_, k)| *k == kind).map(|(dtype, _)| *dtype);
    let dtype = dtype.with_context(|| format!("tensor '{key}' has kind {kind:?}, which is not written"))?;
    let tensor = tensor.detach().to_device(Device::Cpu).contiguous();
    let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok((key.to_string(), dtype, tensor.size().iter().map(|n| *n as usize).collect(), bytes))
}

/// Writes beside `path`, flushes to disk and renames.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&draft);
        bad_input!("{}: cannot be written: {error}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.safetensors");
        let base = Tensor::arange(12, (Kind::Double, Device::Cpu)).view([3, 4]);
        let made: Vec<(String, Tensor)> = KINDS.iter().map(|(d, k)| (format!("{d:?}"), base.to_kind(*k))).collect();
        let mut all: Vec<(&str, &Tensor)> = made.iter().map(|(k, t)| (k.as_str(), t)).collect();
        // Views, scalars and empty tensors are written as what they show.
        let (view, scalar, empty) = (base.tr(), base.get(0).get(1), base.narrow(0, 0, 0));
        all.extend([("view", &view), ("scalar", &scalar), ("empty", &empty)]);
        let metadata = BTreeMap::from([("made_by".to_string(), "a test".to_string())]);
        write_tensors(&path, &all, &metadata).unwrap();

        let (read, text) = read_tensors_and_metadata(&path).unwrap();
        assert_eq!(text, metadata);
        assert_eq!(read.len(), all.len());
        for (key, tensor) in all {
            assert_eq!((read[key].kind(), read[key].size()), (tensor.kind(), tensor.size()), "{key}");
            assert!(read[key].equal(tensor), "{key}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn broken_files_give_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let message = || {
            let text = read_tensors(&path).unwrap_err().to_string();
            assert!(!text.contains('\n') && text.contains("t.safetensors"), "{text}");
            text
        };
        assert!(message().contains("not found"));

        write_tensors(&path, &[("x", &Tensor::from_slice(&[1.0f32, 2.0]))], &BTreeMap::new()).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in [0, 4, 20, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(message().contains("not a complete safetensors file"));
        }
        fs::write(&path, b"PK\x03\x04 something else entirely, longer than a header").unwrap();
        assert!(message().contains("not a complete safetensors file"));
    }

    #[test]
    fn a_missing_tensor_lists_the_others() {
        let mut tensors = BTreeMap::from([("points".to_string(), Tensor::from(1.0))]);
        let error = take(Path::new("p.safetensors"), &mut tensors, "x").unwrap_err().to_string();
        assert!(error.contains("no tensor 'x'") && error.contains("points"), "{error}");
    }
}
