//! Molecules under an OpenMM force field: `log_prob = -E / kT` of Cartesian coordinates.
//!
//! A System serialised by OpenMM gives the energy, a PDB file atoms and bonds; OpenMM itself is not needed.
//! Coordinates are nm, atom by atom, energies inside kJ/mol.

mod bonded;
mod born;
mod born_term;
mod born_text;
pub mod chirality;
mod cmap;
mod custom_gb;
pub mod descriptors;
mod distances;
mod expression;
pub mod features;
pub mod force_field;
mod formula;
mod gb_xml;
pub mod geometry;
mod kernel;
mod nonbonded;
mod pdb;
pub mod pdb_writer;
pub mod peptide;
mod residues;
pub mod system;
mod system_xml;
pub mod topology;
mod xml;

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Options, Target};
use crate::bad_input;
use crate::config::check;
use crate::torch::autograd;
use force_field::ForceField;
use system::System;
use topology::Topology;

/// The gas constant in kJ/mol/K (CODATA 2018).
pub const GAS_CONSTANT: f64 = 8.314_462_618_153_24e-3;

/// Files, temperature, and what is done to make the density easier to sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleculeConfig {
    /// `system.xml`, written by OpenMM's `XmlSerializer`; relative to the current directory.
    pub system: PathBuf,
    /// A PDB file of the same atoms in the same order.
    pub topology: PathBuf,
    /// Kelvin.
    pub temperature: f64,
    /// Flattens the energy of clashes; off by default.
    #[serde(default)]
    pub regularisation: Option<Regularisation>,
    /// Takes the gradient of `log_prob` from the pass that computes it, which on a CPU is several times faster; second
    /// derivatives are then NaN. Scores of points that require gradients are not affected.
    #[serde(default)]
    pub first_order: bool,
}

/// Energies above `cut` (in kT) grow like a logarithm: `cut + ln(min(E, max) - cut + 1)`, as in FAB (Midgley et al.,
/// ICLR 2023).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regularisation {
    pub cut: f64,
    pub max: f64,
}

impl Default for Regularisation {
    fn default() -> Self {
        Self { cut: 1e8, max: 1e20 }
    }
}

impl Regularisation {
    fn validate(&self) -> Result<()> {
        check::finite("target.regularisation.cut", self.cut)?;
        check::finite("target.regularisation.max", self.max)?;
        check::ordered("target.regularisation.cut", self.cut, "target.regularisation.max", self.max)
    }

    /// Reduced energies `[N]`, bounded.
    fn apply(&self, energy: &Tensor) -> Tensor {
        let excess = (energy.clamp_max(self.max) - self.cut).clamp_min(0.0);
        energy.clamp_max(self.cut) + excess.log1p()
    }

    /// The derivative of [`apply`](Self::apply).
    fn slope(&self, energy: &Tensor) -> Tensor {
        let excess = (energy - self.cut).clamp_min(0.0);
        (excess + 1.0).reciprocal() * energy.le(self.max).to_kind(energy.kind())
    }
}

/// The Boltzmann density of a molecule.
///
/// It sees only relative positions, so log Z does not exist unless the centre is fixed.
pub struct Molecule {
    force_field: ForceField,
    topology: Topology,
    kt: f64,
    regularisation: Option<Regularisation>,
    first_order: bool,
}

impl Molecule {
    pub fn new(config: &MoleculeConfig, options: Options) -> Result<Self> {
        check::positive("target.temperature", config.temperature)?;
        config.regularisation.map_or(Ok(()), |regularisation| regularisation.validate())?;
        let (system, topology) = read(&config.system, &config.topology)?;
        Ok(Self {
            force_field: ForceField::new(&system, options)?,
            topology,
            kt: GAS_CONSTANT * config.temperature,
            regularisation: config.regularisation,
            first_order: config.first_order,
        })
    }

    pub fn force_field(&self) -> &ForceField {
        &self.force_field
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// kT in kJ/mol.
    pub fn kt(&self) -> f64 {
        self.kt
    }

    fn reduced(&self, energy: Tensor) -> Tensor {
        let reduced = energy / self.kt;
        self.regularisation.map_or_else(|| reduced.shallow_clone(), |regularisation| regularisation.apply(&reduced))
    }
}

impl Target for Molecule {
    fn dim(&self) -> i64 {
        3 * self.force_field.atoms() as i64
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let field = &self.force_field;
        let energy = if self.first_order { field.energy_first_order(x) } else { field.energy(x) };
        self.reduced(energy).neg()
    }

    fn score(&self, x: &Tensor) -> Tensor {
        if x.requires_grad() {
            return autograd::value_and_grad(x, |x| self.reduced(self.force_field.energy(x)).neg()).1;
        }
        let (energy, forces) = self.force_field.energy_and_forces(x);
        match &self.regularisation {
            None => forces / self.kt,
            Some(regularisation) => {
                let slope = regularisation.slope(&(energy / self.kt));
                forces * (slope / self.kt).unsqueeze(-1)
            }
        }
    }

    fn particles(&self) -> Option<(i64, i64)> {
        Some((self.force_field.atoms() as i64, 3))
    }
}

/// Reads a System and the topology it belongs to, and checks that they are of one molecule.
pub fn read(system: &std::path::Path, topology: &std::path::Path) -> Result<(System, Topology)> {
    let (system, topology) = (System::read(system)?, Topology::read(topology)?);
    agree(&system, &topology)?;
    Ok((system, topology))
}

/// Refuses a pair that is not of one molecule: the same number of atoms, bonded in the same way, and hydrogens where the
/// masses say so.
pub fn agree(system: &System, topology: &Topology) -> Result<()> {
    let (pdb, xml) = (&topology.source, &system.source);
    let (found, expected) = (topology.atoms.len(), system.atoms());
    if found != expected {
        return Err(bad_input!("{pdb}: has {found} atoms, but {xml} has {expected}; write both from one Topology"));
    }
    let order = "write both in one order, from one Topology";
    for (i, (atom, mass)) in topology.atoms.iter().zip(&system.masses).enumerate() {
        // Hydrogens may have been given up to 4 amu, at the cost of their neighbours; still no other is so light.
        let light = *mass < 2.5;
        if light && atom.element != "H" {
            let name = topology.describe(i);
            return Err(bad_input!(
                "{pdb}:{}: {name} is no hydrogen, but has mass {mass} in {xml}; {order}",
                atom.line
            ));
        }
    }

    let bonds = system.bonds();
    let lone = |(a, b): &(usize, usize)| format!("{} and {}", topology.describe(*a), topology.describe(*b));
    if let Some(pair) = topology.bonds.iter().find(|pair| bonds.binary_search(pair).is_err()) {
        let line = topology.atoms[pair.1].line;
        return Err(bad_input!(
            "{pdb}:{line}: {} are bonded, but atoms {} and {} of {xml} are not; {order}",
            lone(pair),
            pair.0,
            pair.1
        ));
    }
    if let Some(pair) = bonds.iter().find(|pair| topology.bonds.binary_search(pair).is_err()) {
        let line = topology.atoms[pair.1].line;
        return Err(bad_input!(
            "{pdb}:{line}: {} are not bonded, but atoms {} and {} of {xml} are; {order}",
            lone(pair),
            pair.0,
            pair.1
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Untouched below the cut, logarithmic above, flat beyond the largest; with the slope that autograd finds.
    #[test]
    fn clashes_are_flattened() {
        let regularisation = Regularisation { cut: 100.0, max: 1e6 };
        let energy = Tensor::from_slice(&[-5.0, 99.0, 101.0, 1e4, 1e7]);
        let (value, slope) = autograd::value_and_grad(&energy, |energy| regularisation.apply(energy));
        let flat = 100.0 + (1e6f64 - 99.0).ln();
        let expected = [-5.0, 99.0, 100.0 + 2f64.ln(), 100.0 + (1e4f64 - 99.0).ln(), flat];
        for (k, expected) in expected.iter().enumerate() {
            assert!((value.double_value(&[k as i64]) - expected).abs() < 1e-12, "{value} {expected}");
        }
        let error = (slope - regularisation.slope(&energy)).abs().max().double_value(&[]);
        assert!(error < 1e-15, "{error:e}");
        assert!(Regularisation { cut: 1e8, max: 1.0 }.validate().is_err());
    }

    /// The density of a config is -E / kT, its score the forces / kT, with and without flattening and in first order.
    #[test]
    fn densities_are_reduced_energies() {
        let file = |file: &str| PathBuf::from("assets/molecules/aldp_ff96_obc1").join(file);
        let plain = MoleculeConfig {
            system: file("system.xml"),
            topology: file("topology.pdb"),
            temperature: 300.0,
            regularisation: None,
            first_order: false,
        };
        let options = (tch::Kind::Double, tch::Device::Cpu);
        let target = Molecule::new(&plain, options).unwrap();
        // The minimum, and a clash of two atoms.
        let x = target.topology().flat_positions().repeat([2, 1]);
        x.get(1).narrow(0, 0, 3).copy_(&(x.get(1).narrow(0, 60, 3) + 0.03));
        let (energy, forces) = target.force_field().energy_and_forces(&x);
        assert!((target.log_prob(&x) + energy / target.kt()).abs().max().double_value(&[]) < 1e-9);
        assert!(target.score(&x).equal(&(forces / target.kt())));

        let cut = Regularisation { cut: 50.0, max: 1e20 };
        let regularised = MoleculeConfig { regularisation: Some(cut), ..plain.clone() };
        let first_order = MoleculeConfig { first_order: true, ..regularised.clone() };
        for config in [regularised, first_order] {
            let target = Molecule::new(&config, options).unwrap();
            let (value, slope) = autograd::value_and_grad(&x, |x| target.log_prob(x));
            assert!(value.double_value(&[1]) < -50.0 && value.double_value(&[1]) > -100.0, "{value}");
            let close = |a: Tensor, b: Tensor| (a - b).abs().max().double_value(&[]) < 1e-7;
            assert!(close(slope, target.score(&x)) && close(value, target.log_prob(&x)));
        }
        assert!(Molecule::new(&MoleculeConfig { temperature: 0.0, ..plain }, options).is_err());
    }
}
