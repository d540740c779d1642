//! Numbers of every mode: from the YAML, from a file, or drawn once.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::config::check;
use crate::io::tensors::{read_tensors, take};
use crate::torch::normal::Normals;
use crate::torch::seed::Stream;

/// A number for all modes, a list of one a mode (rows of a grid one after another), a tensor of a file, or random ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a list of numbers, {file: FILE, key: NAME} or {std: S, seed: N}")]
pub enum Values {
    Scalar(f64),
    List(Vec<f64>),
    File(FileValues),
    Random(RandomValues),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileValues {
    /// safetensors, `.npz` or `.pt`.
    pub file: PathBuf,
    pub key: String,
}

/// Independent draws of `N(0, std²)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomValues {
    pub std: f64,
    pub seed: u64,
}

impl Default for Values {
    fn default() -> Self {
        Self::Scalar(0.0)
    }
}

impl Values {
    /// All `dim` numbers `[D]`, f64, finite; `key` names the offender.
    pub fn resolve(&self, key: &str, dim: i64) -> Result<Tensor> {
        let values = match self {
            Self::Scalar(value) => vec![*value; dim as usize],
            Self::List(values) => values.clone(),
            Self::File(source) => source.read(key)?.view([-1]).try_into()?,
            Self::Random(random) => {
                check::non_negative(&format!("{key}.std"), random.std)?;
                let mut normals = Normals::new(random.seed, Stream::Data, 0);
                (0..dim).map(|_| random.std * normals.draw()).collect()
            }
        };
        check::length(key, values.len(), dim as usize)?;
        check::all_finite(key, &values)?;
        Ok(Tensor::from_slice(&values))
    }

    /// As [`resolve`](Self::resolve), with no number below 0.
    pub fn resolve_non_negative(&self, key: &str, dim: i64) -> Result<Tensor> {
        let values = self.resolve(key, dim)?;
        let least = values.min().double_value(&[]);
        check::non_negative(key, least)?;
        Ok(values)
    }
}

impl FileValues {
    /// The tensor in its own shape, f64.
    pub fn read(&self, key: &str) -> Result<Tensor> {
        let mut tensors = read_tensors(&self.file)?;
        let tensor = take(&self.file, &mut tensors, &self.key).map_err(|error| bad_input!("'{key}': {error}"))?;
        Ok(tensor.to_device(Device::Cpu).to_kind(Kind::Double).contiguous())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_files_and_draws_give_a_number_a_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.safetensors");
        let stored = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0]).view([2, 2]);
        crate::io::tensors::write_tensors(&path, &[("mu", &stored)], &Default::default()).unwrap();
        let file = |key: &str| Values::File(FileValues { file: path.clone(), key: key.to_string() });
        assert!(file("mu").resolve("k", 4).unwrap().equal(&stored.view([4])));
        let error = file("nu").resolve("score.eps_a", 4).unwrap_err().to_string();
        assert!(error.contains("'score.eps_a'") && error.contains("no tensor 'nu'"), "{error}");
        let error = file("mu").resolve("score.eps_a", 5).unwrap_err().to_string();
        assert!(error.contains("list of 5, found a list of 4"), "{error}");

        let random = Values::Random(RandomValues { std: 2.0, seed: 1 });
        assert!(random.resolve("k", 9).unwrap().equal(&random.resolve("k", 9).unwrap()));
        assert!(Values::Scalar(-1.0).resolve_non_negative("k", 2).is_err());
        assert!(Values::List(vec![f64::NAN]).resolve("k", 1).is_err());
    }
}
