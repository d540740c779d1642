//! The whole of a molecular-dynamics experiment's YAML.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bad_input;
use crate::config::check;
use crate::samplers::mcmc::IntegratorConfig;
use crate::targets::TargetConfig;
use crate::targets::molecule::topology::{Topology, Torsion};
use crate::train::bridge::config::Precision;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MdConfig {
    #[serde(default)]
    pub seed: u64,
    /// Precision of positions, velocities and forces; energies and statistics are f64.
    #[serde(default)]
    pub precision: Precision,
    pub target: TargetConfig,
    pub dynamics: DynamicsConfig,
    pub run: RunConfig,
    #[serde(default)]
    pub analysis: AnalysisConfig,
}

/// The `dynamics:` section: what moves the replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsConfig {
    pub integrator: IntegratorConfig,
    /// Time step, ps.
    pub step: f64,
    /// Temperatures in K, the coldest first; more than one makes a ladder of parallel tempering. The first is the
    /// temperature of the ensemble (a molecule's own where left out), and of densities that have none of their own.
    #[serde(default)]
    pub temperatures: Vec<f64>,
    /// Steps between exchanges of neighbouring temperatures.
    #[serde(default = "five_hundred")]
    pub exchange_every: u64,
    /// Puts each replica's centre of mass to rest at the origin whenever a frame is due: for energies that do not see
    /// translations.
    #[serde(default)]
    pub remove_center: bool,
    /// Mass of every particle, dalton; where left out, a molecule's own, and 1 for other densities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masses: Option<Vec<f64>>,
}

/// The `run:` section: how long, and what is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Independent chains; each has a replica at every temperature.
    pub chains: i64,
    /// Steps after the burn-in.
    pub steps: u64,
    /// Steps before the first frame is kept.
    #[serde(default)]
    pub burn_in: u64,
    /// Steps between frames.
    pub record_every: u64,
    /// Temperatures whose frames are kept, from the coldest.
    #[serde(default = "one_rung")]
    pub record_rungs: i64,
    /// Frames in one file of the trajectory, and between checkpoints: what memory must hold.
    #[serde(default = "thousand")]
    pub chunk_frames: u64,
    /// A tensor file whose `x` [M, D] or `positions` [M, atoms, 3] (nm) the replicas start from in turn; else a
    /// molecule starts from its PDB file, and other densities from their own samples or normal numbers.
    #[serde(default)]
    pub start: Option<PathBuf>,
    #[serde(default = "two")]
    pub keep_checkpoints: usize,
}

/// The `analysis:` section; every verb may change it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnalysisConfig {
    /// Torsion angles by name, each of four atoms (counted from 0); `phi…` and `psi…` of one ending make a
    /// Ramachandran plot. Where left out, those of a molecule's backbone.
    pub torsions: BTreeMap<String, [i64; 4]>,
    /// Frames from one sample of the thinned ensemble to the next; from the slowest observable where left out.
    pub stride: Option<usize>,
    /// Blocks for standard errors, at least.
    pub blocks: Option<usize>,
    /// Regions of torsion space whose probabilities are asked for.
    pub regions: Vec<Region>,
    /// Mean energy that is published, kJ/mol.
    pub energy: Option<Published>,
}

/// A box in torsion space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub name: String,
    /// Open intervals by torsion, radians.
    pub bounds: BTreeMap<String, [f64; 2]>,
    #[serde(default)]
    pub published: Option<Published>,
}

/// A figure from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub mean: f64,
    pub error: f64,
}

fn five_hundred() -> u64 {
    500
}

fn thousand() -> u64 {
    1000
}

fn one_rung() -> i64 {
    1
}

fn two() -> usize {
    2
}

impl MdConfig {
    /// Checks everything that can be checked without building.
    pub fn validate(&self) -> Result<()> {
        self.dynamics.validate()?;
        self.run.validate(self.dynamics.temperatures.len() as i64)?;
        self.analysis.validate()
    }

    /// Writes out what a molecule decides where the config leaves it open: the temperature and the backbone torsions.
    pub fn resolve(&mut self) -> Result<()> {
        let TargetConfig::Molecule(molecule) = &self.target else { return Ok(()) };
        if self.dynamics.temperatures.is_empty() {
            self.dynamics.temperatures.push(molecule.temperature);
        }
        if self.analysis.torsions.is_empty() {
            self.analysis.torsions = backbone(&Topology::read(&molecule.topology)?);
        }
        Ok(())
    }

    /// Steps in all.
    pub fn total_steps(&self) -> u64 {
        self.run.burn_in + self.run.steps
    }

    /// Time of a step in ps.
    pub fn time(&self, step: u64) -> f64 {
        step as f64 * self.dynamics.step
    }
}

/// `phi` and `psi` of one residue, or `phi_2`, `psi_2`, … by the residues' numbers in the PDB file.
fn backbone(topology: &Topology) -> BTreeMap<String, [i64; 4]> {
    let (phi, psi) = (topology.phi(), topology.psi());
    let alone = phi.iter().chain(&psi).all(|torsion| torsion.residue == phi.first().map_or(0, |first| first.residue));
    let named = |name: &str, torsion: &Torsion| {
        let ending = if alone { String::new() } else { format!("_{}", topology.residues[torsion.residue].number) };
        (format!("{name}{ending}"), torsion.atoms.map(|atom| atom as i64))
    };
    let phi = phi.iter().map(|torsion| named("phi", torsion));
    phi.chain(psi.iter().map(|torsion| named("psi", torsion))).collect()
}

impl DynamicsConfig {
    fn validate(&self) -> Result<()> {
        self.integrator.validate()?;
        check::positive("dynamics.step", self.step)?;
        check::not_empty("dynamics.temperatures", &self.temperatures)?;
        for (i, temperature) in self.temperatures.iter().enumerate() {
            check::positive(&format!("dynamics.temperatures.{i}"), *temperature)?;
        }
        let rising = self.temperatures.windows(2).position(|pair| pair[0] >= pair[1]);
        if let Some(i) = rising {
            let (low, high) = (format!("dynamics.temperatures.{i}"), format!("dynamics.temperatures.{}", i + 1));
            check::ordered(&low, self.temperatures[i], &high, self.temperatures[i + 1])?;
        }
        check::at_least("dynamics.exchange_every", self.exchange_every, 1)?;
        if self.temperatures.len() > 1 && !self.integrator.is_thermal() {
            return Err(bad_input!(
                "'dynamics.temperatures' must be one where the energy is constant, found {}; use the integrator \
                 langevin_middle",
                self.temperatures.len()
            ));
        }
        let masses = self.masses.iter().flatten().enumerate();
        masses.into_iter().try_for_each(|(i, mass)| check::positive(&format!("dynamics.masses.{i}"), *mass))
    }
}

impl RunConfig {
    fn validate(&self, rungs: i64) -> Result<()> {
        check::in_range("run.chains", self.chains, 1, 1_000_000)?;
        check::in_range("run.record_every", self.record_every, 1, 1_000_000_000)?;
        check::in_range("run.steps", self.steps, 1, 1_000_000_000_000)?;
        check::in_range("run.burn_in", self.burn_in, 0, 1_000_000_000_000)?;
        // So that every stretch of steps ends at a frame, whether the run was stopped and resumed or not.
        check::multiple_of("run.steps", self.steps, self.record_every)?;
        check::multiple_of("run.burn_in", self.burn_in, self.record_every)?;
        check::in_range("run.record_rungs", self.record_rungs, 1, rungs)?;
        check::in_range("run.chunk_frames", self.chunk_frames, 1, 1_000_000)?;
        check::at_least("run.keep_checkpoints", self.keep_checkpoints, 1)
    }
}

impl AnalysisConfig {
    /// Blocks for standard errors.
    pub fn blocks(&self) -> usize {
        self.blocks.unwrap_or(20)
    }

    fn validate(&self) -> Result<()> {
        self.stride.map_or(Ok(()), |stride| check::at_least("analysis.stride", stride, 1))?;
        self.blocks.map_or(Ok(()), |blocks| check::in_range("analysis.blocks", blocks, 2, 1_000_000))?;
        for (i, region) in self.regions.iter().enumerate() {
            for (torsion, [low, high]) in &region.bounds {
                let key = format!("analysis.regions.{i}.bounds.{torsion}");
                check::ordered(&format!("{key}.0"), *low, &format!("{key}.1"), *high)?;
            }
        }
        Ok(())
    }
}
