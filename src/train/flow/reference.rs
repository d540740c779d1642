//! The ensemble that proposals are compared with.

use std::path::Path;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::subject::Subject;
use crate::bad_input;
use crate::io::tensors::read_tensors;
use crate::metrics::tica::Tica;
use crate::targets::molecule::descriptors::Descriptors;

/// Frames from one sample of a trajectory to the next, and between the two frames of a correlation.
pub const LAG: i64 = 100;
/// Variances below this are constants to TICA.
const FEWEST_PAIRS: i64 = 200;

/// What a reference ensemble says of a molecule.
pub struct Reference {
    /// Conformations in units of the flow's scale, centred, `[M, A, 3]`.
    pub x: Tensor,
    /// `E / kT`, `[M]` in f64, where the molecule has an energy.
    pub energy: Option<Tensor>,
    /// All phi, then all psi, `[M, 2 (residues - 1)]` in f64.
    pub torus: Tensor,
    /// The slow components, where trajectories are long enough to show them.
    pub tica: Option<Tica>,
}

impl Reference {
    /// `x` in units of `scale` (nm), in the order of time within each chain if `chain` `[M]` tells them apart.
    pub fn new(subject: &Subject, x: Tensor, chain: Option<&Tensor>, scale: f64) -> Self {
        let descriptors = Descriptors::of(&subject.topology);
        let nm = x.to_kind(Kind::Double) * scale;
        let energy = subject.energy.as_ref().map(|energy| energy.reduced(&x));
        let torus = descriptors.torus(&nm);
        let tica = slow_components(&descriptors.measure(&nm), chain);
        Self { x, energy, torus, tica }
    }

    /// Which chain each frame of a trajectory file is of, where the file says so.
    pub fn chains(path: &Path, frames: i64) -> Result<Option<Tensor>> {
        let Some(chain) = read_tensors(path)?.remove("chain") else { return Ok(None) };
        if chain.size() != [frames] {
            let (file, size) = (path.display(), chain.size());
            return Err(bad_input!("{file}: tensor 'chain' has shape {size:?}, expected [{frames}], one a frame"));
        }
        Ok(Some(chain.to_kind(Kind::Int64)))
    }

    /// At most `n` conformations, spread evenly: those that metrics compare with.
    pub fn rows(&self, n: i64) -> Tensor {
        let frames = self.x.size()[0];
        let n = n.min(frames);
        let rows = Tensor::arange(n, (Kind::Int64, Device::Cpu)) * frames;
        rows.floor_divide_scalar(n.max(1))
    }
}

/// Slow components of features `[M, F]`; `None` where the chains are too short for the lag.
fn slow_components(features: &Tensor, chain: Option<&Tensor>) -> Option<Tica> {
    let trajectories: Vec<Tensor> = match chain {
        None => vec![features.shallow_clone()],
        Some(chain) => {
            let names = chain.unique_dim(0, true, false, false).0;
            let names = Vec::<i64>::try_from(names).unwrap_or_default();
            names.iter().map(|name| features.index_select(0, &chain.eq(*name).nonzero().squeeze_dim(1))).collect()
        }
    };
    let long: Vec<Tensor> = trajectories.into_iter().filter(|t| t.size()[0] > LAG + FEWEST_PAIRS).collect();
    // Features that never change, or chains that never decay, leave nothing to show; that is no error of the ensemble's.
    if long.is_empty() { None } else { Tica::fit(&long, LAG, true).ok() }
}
