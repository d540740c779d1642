//! From a config to replicas that can move.

use std::path::Path;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::config::MdConfig;
use super::observables::Series;
use crate::bad_input;
use crate::config::check;
use crate::io::tensors::read_tensors;
use crate::samplers::mcmc::replicas::Replicas;
use crate::samplers::mcmc::{GAS_CONSTANT, Ladder, Mechanics, State};
use crate::targets::inspect::probe_points;
use crate::targets::molecule::Molecule;
use crate::targets::{Options, Target, TargetConfig};
use crate::torch::seed::{Stream, reseed};
use crate::torch::threads;

/// Replicas, and where they start.
pub struct System {
    pub replicas: Replicas,
    pub start: State,
}

/// Builds what a (validated) config describes and checks the rest of it against the density.
pub fn build(config: &MdConfig, device: Device) -> Result<System> {
    let own = Own::of(&config.target)?;
    let replicas = replicas(config, &own, device)?;
    check_analysis(config, replicas.target())?;
    let start = start(config, &own, &replicas)?;
    Ok(System { replicas, start })
}

/// Replicas at all temperatures; on the CPU they are divided among the worker threads.
fn replicas(config: &MdConfig, own: &Own, device: Device) -> Result<Replicas> {
    let options = (config.precision.kind(), device);
    let dynamics = &config.dynamics;
    let target = || config.target.build(options);
    let (count, space) = particles(&*target()?);
    let masses = dynamics.masses.as_ref().or(own.masses.as_ref());
    let masses = masses.cloned().unwrap_or_else(|| vec![1.0; count as usize]);
    check::length("dynamics.masses", masses.len(), count as usize)?;
    let by_coordinate: Vec<f64> = masses.iter().flat_map(|mass| vec![*mass; space as usize]).collect();

    let kts: Vec<f64> = dynamics.temperatures.iter().map(|t| GAS_CONSTANT * t).collect();
    let masses = Tensor::from_slice(&by_coordinate).to_kind(options.0).to_device(device);
    let mechanics = Mechanics { kt: own.kt.unwrap_or(kts[0]), masses };
    let ladder = Ladder { kts, chains: config.run.chains };
    let workers = if device == Device::Cpu { threads::workers() } else { 1 };
    Replicas::new(target, &dynamics.integrator, dynamics.step, mechanics, ladder, workers)
}

/// What a molecule knows and other densities do not.
#[derive(Default)]
struct Own {
    /// Dalton, by atom.
    masses: Option<Vec<f64>>,
    /// kT that belongs to its log_prob, kJ/mol.
    kt: Option<f64>,
    /// The PDB file's conformation, `[1, D]`.
    positions: Option<Tensor>,
}

impl Own {
    fn of(target: &TargetConfig) -> Result<Self> {
        let TargetConfig::Molecule(config) = target else { return Ok(Self::default()) };
        let molecule = Molecule::new(config, (Kind::Double, Device::Cpu))?;
        Ok(Self {
            masses: Some(molecule.force_field().masses().to_vec()),
            kt: Some(molecule.kt()),
            positions: Some(molecule.topology().flat_positions()),
        })
    }
}

/// Number of particles and dimensions of space; a density that has no particles is one particle a coordinate.
pub fn particles(target: &dyn Target) -> (i64, i64) {
    target.particles().unwrap_or((target.dim(), 1))
}

/// The first state: positions from the file or the density, velocities of the Maxwell distribution.
fn start(config: &MdConfig, own: &Own, replicas: &Replicas) -> Result<State> {
    let target = replicas.target();
    let options = (replicas.mechanics.masses.kind(), replicas.mechanics.masses.device());
    let n = replicas.ladder.replicas();
    reseed(config.seed, Stream::Init, 0);
    let points = match (&config.run.start, &own.positions) {
        (Some(path), _) => read_points(path, target.dim(), options)?,
        (None, Some(positions)) => positions.to_kind(options.0).to_device(options.1),
        (None, None) => probe_points(target, n, options),
    };
    let rows = Tensor::arange(n, (Kind::Int64, options.1)).remainder(points.size()[0]);
    let x = points.index_select(0, &rows);
    let v = replicas.mechanics.maxwell(&replicas.row_kts(), &Tensor::randn([n, target.dim()], options));
    let state = State { x, v };
    if !config.dynamics.remove_center {
        return Ok(state);
    }
    check_translations(target, &state.x)?;
    Ok(replicas.mechanics.centered(&state, particles(target).1))
}

/// `x` [M, D] or `positions` [M, atoms, 3] of a tensor file, as `[M, D]`.
pub fn read_points(path: &Path, dim: i64, options: Options) -> Result<Tensor> {
    let tensors = read_tensors(path)?;
    let found = ["x", "positions"].iter().find_map(|name| tensors.get(*name).map(|tensor| (name, tensor)));
    let file = path.display();
    let Some((name, tensor)) = found else {
        let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        return Err(bad_input!("{file}: no tensor 'x' or 'positions'; the file holds {}", names.join(", ")));
    };
    let size = tensor.size();
    let fits = size.len() >= 2 && size[0] > 0 && size[1..].iter().product::<i64>() == dim;
    if !fits {
        return Err(bad_input!("{file}: tensor '{name}' has shape {size:?}, expected [points, {dim}] or three axes"));
    }
    let points = tensor.to_kind(options.0).view([size[0], dim]).to_device(options.1);
    if points.isfinite().all().int64_value(&[]) == 0 {
        return Err(bad_input!("{file}: tensor '{name}' has entries that are not finite"));
    }
    Ok(points)
}

/// Whether all torsions have their atoms and all regions their torsions.
fn check_analysis(config: &MdConfig, target: &dyn Target) -> Result<()> {
    let flat = target.particles().is_some_and(|(_, space)| space != 3);
    if flat && !config.analysis.torsions.is_empty() {
        return Err(bad_input!("'analysis.torsions' are angles in three dimensions; these particles have not as many"));
    }
    let origin = Tensor::zeros([1, target.dim()], (Kind::Double, Device::Cpu));
    let series = Series::of_points(&origin, None, &config.analysis)?;
    config.analysis.regions.iter().try_for_each(|region| series.inside(region).map(|_| ()))
}

/// Refuses to move the centre of mass where the energy depends on it.
fn check_translations(target: &dyn Target, x: &Tensor) -> Result<()> {
    if target.particles().is_none() {
        return Err(bad_input!("'dynamics.remove_center' is for particles; this density has none"));
    }
    let _guard = tch::no_grad_guard();
    let one = x.narrow(0, 0, 1);
    let (here, there) = (target.log_prob(&one).double_value(&[0]), target.log_prob(&(one + 0.5)).double_value(&[0]));
    if (here - there).abs() > 1e-3 * here.abs().max(1.0) {
        return Err(bad_input!(
            "'dynamics.remove_center' is for energies that do not see translations; this log_prob went from {here} \
             to {there} under one"
        ));
    }
    Ok(())
}
