//! A reference ensemble's torsions: read from a file for comparisons, and made from a simulation's samples.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::torsions::{Pair, angles, pairs};
use crate::bad_input;
use crate::io::tensors::{read_tensors, write_tensors};
use crate::log::values;
use crate::metrics::torus::{Angles, Histogram};
use crate::targets::molecule::topology::Topology;
use crate::torch::seed::{Stream, reseed};
use crate::train::md::system::read_points;

/// Cells along each angle where the file brings no histogram of its own: ten degrees.
pub const BINS: usize = 36;

/// One residue's phi and psi in an ensemble.
pub struct Reference {
    pub angles: Vec<Angles>,
    pub histogram: Histogram,
}

impl Reference {
    /// Reads the angles of each pair, by name or from positions, and their histograms.
    pub fn read(path: &Path, topology: &Topology, pairs: &[Pair]) -> Result<Vec<Self>> {
        let tensors = read_tensors(path)?;
        let mut positions = None;
        let mut read = Vec::new();
        for pair in pairs {
            let [phi, psi] = ["phi", "psi"].map(|name| tensors.get(&format!("{name}{}", pair.ending)));
            let angles = match (phi, psi) {
                (Some(phi), Some(psi)) => together(path, &pair.ending, phi, psi)?,
                _ => {
                    if positions.is_none() {
                        positions = Some(read_positions(path, topology)?);
                    }
                    positions.as_ref().map_or_else(Vec::new, |x| angles(x, pair))
                }
            };
            let name = format!("hist_phi_psi{}", pair.ending);
            let histogram = match tensors.get(&name) {
                Some(weights) => histogram(path, &name, weights)?,
                None => Histogram::of(&angles, BINS, 0.0),
            };
            read.push(Self { angles, histogram });
        }
        Ok(read)
    }
}

fn read_positions(path: &Path, topology: &Topology) -> Result<Tensor> {
    read_points(path, 3 * topology.atoms.len() as i64, (Kind::Double, Device::Cpu))
}

/// Two tensors `[M]` as pairs.
fn together(path: &Path, ending: &str, phi: &Tensor, psi: &Tensor) -> Result<Vec<Angles>> {
    let (a, b) = (phi.size(), psi.size());
    if a.len() != 1 || a != b || a[0] == 0 {
        let file = path.display();
        return Err(bad_input!(
            "{file}: tensors 'phi{ending}' and 'psi{ending}' have shapes {a:?} and {b:?}, expected [frames] for both"
        ));
    }
    let pairs: Vec<Angles> = values(phi).into_iter().zip(values(psi)).map(|(phi, psi)| [phi, psi]).collect();
    if pairs.iter().flatten().any(|angle| !angle.is_finite()) {
        return Err(bad_input!("{}: 'phi{ending}' and 'psi{ending}' must be finite angles in radians", path.display()));
    }
    Ok(pairs)
}

fn histogram(path: &Path, name: &str, weights: &Tensor) -> Result<Histogram> {
    let (file, size) = (path.display(), weights.size());
    let bins = match size.as_slice() {
        [a, b] if a == b && (1..=1000).contains(a) => *a as usize,
        _ => return Err(bad_input!("{file}: tensor '{name}' has shape {size:?}, expected [bins, bins], at most 1000")),
    };
    let weights = values(weights);
    let sound = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
    if !sound || weights.iter().sum::<f64>() <= 0.0 {
        return Err(bad_input!("{file}: tensor '{name}' must hold weights of 0 or more, not all of them 0"));
    }
    Ok(Histogram::from_weights(bins, weights))
}

/// What [`condense`] kept of how much.
pub struct Condensed {
    pub frames: i64,
    pub kept: i64,
}

/// Writes a small reference: `phi…` and `psi…` of at most `most` frames of `samples` (a file with `x` or `positions`),
/// drawn without replacement under a fixed seed, and `hist_phi_psi…` [36, 36] of all frames, as relative frequencies.
pub fn condense(samples: &Path, topology: &Path, most: i64, out: &Path) -> Result<Condensed> {
    let topology = Topology::read(topology)?;
    let x = read_positions(samples, &topology)?;
    let frames = x.size()[0];
    let kept = most.clamp(1, frames);
    // Even steps through frames of several chains could meet one chain only.
    reseed(0, Stream::Data, 0);
    let rows = Vec::<i64>::try_from(Tensor::randperm(frames, (Kind::Int64, Device::Cpu)).narrow(0, 0, kept))?;
    let mut tensors = Vec::new();
    for pair in pairs(&topology) {
        let all = angles(&x, &pair);
        let joint = Histogram::of(&all, BINS, 0.0);
        let bins = BINS as i64;
        tensors.push((format!("hist_phi_psi{}", pair.ending), Tensor::from_slice(joint.joint()).view([bins, bins])));
        for (k, name) in ["phi", "psi"].iter().enumerate() {
            let angles: Vec<f64> = rows.iter().map(|row| all[*row as usize][k]).collect();
            tensors.push((format!("{name}{}", pair.ending), Tensor::from_slice(&angles)));
        }
    }
    let single: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.to_kind(Kind::Float))).collect();
    let named: Vec<(&str, &Tensor)> = single.iter().map(|(name, tensor)| (*name, tensor)).collect();
    write_tensors(out, &named, &BTreeMap::from([("frames".to_string(), frames.to_string())]))?;
    Ok(Condensed { frames, kept })
}
