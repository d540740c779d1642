//! The ensemble that proposals are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use tch::{Device, Kind, Tensor};

use super::data::evenly;
use super::subject::Subject;
use crate::bad_input;
use crate::flows::{FlowConfig, NetworkConfig};
use crate::io::tensors::{read_tensors, write_tensors};
use crate::log::progress::Terminal;
use crate::metrics::tica::Tica;
use crate::targets::molecule::descriptors::Descriptors;
use crate::targets::molecule::geometry::centred;
use crate::targets::molecule::peptide;
use crate::targets::molecule::topology::Topology;
use crate::train::md::system::read_points;

/// Frames between the two of a correlation, as published.
pub const LAG: i64 = 100;
/// A chain with fewer pairs of frames than this tells nothing of slow components.
const FEWEST_PAIRS: i64 = 200;
/// Slow components that are shown and compared.
const SHOWN: i64 = 2;

#[derive(Debug, Args)]
pub struct ReferenceArgs {
    /// A sequence such as AA, or a PDB file
    #[arg(value_name = "SEQUENCE|PDB")]
    pub peptide: String,
    /// Trajectory: `x` or `positions` in nm, in order of time; `chain` tells several apart
    pub samples: PathBuf,
    /// Conformations to keep
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(i64).range(2..))]
    pub frames: i64,
    #[arg(long)]
    pub out: PathBuf,
}

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

/// What the slow components of an ensemble are found from.
pub enum Slow {
    /// A map that came with the conformations.
    Given(Tica),
    /// The chain that each conformation is of, `[M]`; all are of one where it is absent.
    Chains(Option<Tensor>),
}

impl Slow {
    /// What a file of `frames` conformations says: `tica_mean` `[F]` and `tica_projection` `[F, K]`, or `chain` `[M]`.
    pub fn of(path: &Path, frames: i64) -> Result<Self> {
        let mut tensors = read_tensors(path)?;
        if let (Some(mean), Some(projection)) = (tensors.remove("tica_mean"), tensors.remove("tica_projection")) {
            let given = Tica::given(&mean, &projection).map_err(|error| bad_input!("{}: {error}", path.display()))?;
            let components = given.projection.size()[1];
            if components < SHOWN {
                let file = path.display();
                return Err(bad_input!(
                    "{file}: 'tica_projection' has {components} components, expected {SHOWN} at least"
                ));
            }
            return Ok(Self::Given(given));
        }
        let Some(chain) = tensors.remove("chain") else { return Ok(Self::Chains(None)) };
        if chain.size() != [frames] {
            let (file, size) = (path.display(), chain.size());
            return Err(bad_input!("{file}: tensor 'chain' has shape {size:?}, expected [{frames}], one a frame"));
        }
        Ok(Self::Chains(Some(chain.to_kind(Kind::Int64))))
    }

    /// Refuses a map of other features than the molecule has; `path` is named.
    pub fn check(&self, path: &Path, topology: &Topology) -> Result<()> {
        let Self::Given(tica) = self else { return Ok(()) };
        let (found, expected) = (tica.mean.size()[0], Descriptors::of(topology).dim() as i64);
        if found == expected {
            return Ok(());
        }
        let (file, molecule) = (path.display(), &topology.source);
        Err(bad_input!("{file}: 'tica_mean' has {found} features, expected the {expected} of {molecule}"))
    }

    /// The same for the last `count` frames.
    pub fn last(self, count: i64) -> Self {
        match self {
            Self::Chains(Some(chain)) => Self::Chains(Some(chain.narrow(0, chain.size()[0] - count, count))),
            other => other,
        }
    }
}

impl Reference {
    /// `x` in units of `scale` (nm), in the order of time within each chain; a map must pass [`Slow::check`].
    pub fn new(subject: &Subject, x: Tensor, slow: Slow, scale: f64) -> Self {
        let descriptors = Descriptors::of(&subject.topology);
        let nm = x.to_kind(Kind::Double) * scale;
        let energy = subject.energy.as_ref().map(|energy| energy.reduced(&x));
        let torus = descriptors.torus(&nm);
        let tica = match slow {
            Slow::Given(tica) => Some(tica),
            Slow::Chains(chain) => slow_components(&descriptors.measure(&nm), chain.as_ref()),
        };
        Self { x, energy, torus, tica }
    }

    /// All conformations of a file: `x` `[M, 3 A]` or `positions` `[M, A, 3]`, nm.
    pub fn read(path: &Path, subject: &Subject, scale: f64) -> Result<Self> {
        let x = read_points(path, 3 * subject.atoms(), (Kind::Float, Device::Cpu))?;
        let slow = Slow::of(path, x.size()[0])?;
        slow.check(path, &subject.topology)?;
        let x = centred(&x, &vec![1.0; subject.atoms() as usize]) / scale;
        Ok(Self::new(subject, x.view([-1, subject.atoms(), 3]), slow, scale))
    }

    /// Writes `n` conformations in nm with the map of the slow components of all: small enough to ship.
    pub fn condense(&self, n: i64, scale: f64, out: &Path) -> Result<()> {
        let x = self.x.index_select(0, &self.rows(n)) * scale;
        let mut tensors = vec![("positions", &x)];
        let tica = self.tica.as_ref().map(|tica| (tica.mean.shallow_clone(), tica.projection.narrow(1, 0, SHOWN)));
        if let Some((mean, projection)) = &tica {
            tensors.extend([("tica_mean", mean), ("tica_projection", projection)]);
        }
        write_tensors(out, &tensors, &BTreeMap::from([("positions".to_string(), "nm".to_string())]))
    }

    /// At most `n` conformations, spread evenly: those that metrics compare with.
    pub fn rows(&self, n: i64) -> Tensor {
        let frames = self.x.size()[0];
        evenly(n.min(frames), frames)
    }
}

/// Thins out an ensemble, and says what of it went into the file.
pub fn condense(args: &ReferenceArgs) -> Result<()> {
    // Any network does: only what is refused depends on it.
    let network = FlowConfig::Prose(NetworkConfig::default());
    let subject = Subject::new(&args.peptide, peptide::read(&args.peptide)?, &network)?;
    let reference = Reference::read(&args.samples, &subject, 1.0)?;
    reference.condense(args.frames, 1.0, &args.out)?;
    let slow = if reference.tica.is_some() { "the map of" } else { "too short for a map of" };
    Terminal::new().line(&format!("written: {} ({slow} slow components)", args.out.display()));
    Ok(())
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
    let long: Vec<Tensor> = trajectories.into_iter().filter(|t| t.size()[0] >= LAG + FEWEST_PAIRS).collect();
    // Features that never change, or chains that never decay, leave nothing to show; that is no error of the ensemble's.
    let tica = if long.is_empty() { None } else { Tica::fit(&long, LAG, true).ok() };
    tica.filter(|tica| tica.projection.size()[1] >= SHOWN)
}
