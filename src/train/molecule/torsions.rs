//! How the backbone torsions of samples compare with a reference ensemble.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::reference::Reference;
use crate::bad_input;
use crate::config::check;
use crate::log::values;
use crate::metrics::torus::{Angles, Histogram, divergences, wasserstein};
use crate::targets::TargetConfig;
use crate::targets::molecule::features::{l_fraction, torsions};
use crate::targets::molecule::geometry::mirrored;
use crate::targets::molecule::topology::{ChiralCentre, Topology, Torsion};

/// The `eval.torsions:` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorsionConfig {
    /// A tensor file with `phi` and `psi` [M] (radians), or `positions` [M, atoms, 3] or `x` [M, D] (nm) to take them
    /// from; with `hist_phi_psi` [B, B] (weights of cells from -pi to pi) where that is known better than from M frames.
    pub reference: PathBuf,
    /// Samples and frames between which the Wasserstein distance is computed: its cost grows with their cube.
    #[serde(default = "thousand")]
    pub wasserstein_samples: usize,
}

fn thousand() -> usize {
    1000
}

impl TorsionConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("eval.torsions.wasserstein_samples", self.wasserstein_samples, 1, 4000)
    }
}

/// Phi and psi of one residue. The ending is empty for the only one, `_2`, … by the residue's number otherwise.
#[derive(Debug, Clone)]
pub struct Pair {
    pub ending: String,
    pub torsions: [Torsion; 2],
}

/// All residues with phi and psi.
pub fn pairs(topology: &Topology) -> Vec<Pair> {
    let found = topology.ramachandran();
    let ending = |phi: &Torsion| match found.len() {
        1 => String::new(),
        _ => format!("_{}", topology.residues[phi.residue].number),
    };
    found.iter().map(|(phi, psi)| Pair { ending: ending(phi), torsions: [*phi, *psi] }).collect()
}

/// The angles of one residue in conformations `[N, 3 A]` (nm).
pub fn angles(x: &Tensor, pair: &Pair) -> Vec<Angles> {
    let flat = values(&torsions(&x.to_device(Device::Cpu).to_kind(Kind::Double), &pair.torsions)); // [N, 2]
    flat.chunks_exact(2).map(|angles| [angles[0], angles[1]]).collect()
}

/// A molecule's backbone torsions with their reference.
pub struct Torsions {
    pairs: Vec<(Pair, Reference)>,
    centres: Vec<ChiralCentre>,
    wasserstein_samples: usize,
}

impl Torsions {
    /// Reads topology and reference.
    pub fn new(config: &TorsionConfig, target: &TargetConfig) -> Result<Self> {
        let molecule = target.molecule().ok_or_else(|| {
            bad_input!("'eval.torsions' is for molecules; leave it away, or set target.type to molecule or mean_free")
        })?;
        let topology = Topology::read(&molecule.topology)?;
        let pairs = pairs(&topology);
        if pairs.is_empty() {
            let pdb = topology.source;
            return Err(bad_input!("'eval.torsions': {pdb} has no residue with phi and psi; leave the section away"));
        }
        let references = Reference::read(&config.reference, &topology, &pairs)?;
        Ok(Self {
            pairs: pairs.into_iter().zip(references).collect(),
            centres: topology.chiral_centres(),
            wasserstein_samples: config.wasserstein_samples,
        })
    }

    /// Figures of conformations `[N, 3 A]` (nm): `l_fraction`, and by residue `phi_psi_wasserstein` (radians),
    /// `torsion_kl` of phi and psi jointly, `torsion_kl_phi` and `torsion_kl_psi` (nats).
    ///
    /// Energies are the same for mirror images, so that a sampler of coordinates makes both hands alike while a
    /// simulation never changes its own: conformations with more D than L residues are mirrored before they are
    /// compared.
    pub fn figures(&self, x: &Tensor) -> Vec<(String, f64)> {
        let l = l_fraction(x, &self.centres);
        let mut figures = vec![("l_fraction".to_string(), l.mean(Kind::Double).double_value(&[]))];
        let x = self.left_handed(x);
        for (pair, reference) in &self.pairs {
            let sampled = angles(&x, pair);
            let model = Histogram::of(&sampled, reference.histogram.bins(), 1.0);
            let kl = divergences(&reference.histogram, &model);
            let distance = wasserstein(&sampled, &reference.angles, self.wasserstein_samples);
            let named = [
                ("phi_psi_wasserstein", distance),
                ("torsion_kl", kl.joint),
                ("torsion_kl_phi", kl.marginals[0]),
                ("torsion_kl_psi", kl.marginals[1]),
            ];
            figures.extend(named.map(|(name, value)| (format!("{name}{}", pair.ending), value)));
        }
        figures
    }

    /// Each pair's ending, the angles of conformations `[N, 3 A]` and those of the reference.
    pub fn compared(&self, x: &Tensor) -> Vec<(&str, Vec<Angles>, &[Angles])> {
        let x = self.left_handed(x);
        let all = self.pairs.iter();
        all.map(|(pair, reference)| (pair.ending.as_str(), angles(&x, pair), reference.angles.as_slice())).collect()
    }

    /// Conformations with their majority of residues turned to L.
    fn left_handed(&self, x: &Tensor) -> Tensor {
        let wrong = l_fraction(x, &self.centres).lt(0.5).unsqueeze(-1); // [N, 1]
        mirrored(x).where_self(&wrong, x)
    }
}
