//! Laws on finitely many sites with finitely many states each: lattices, spin glasses, Boltzmann machines, graphs.
//!
//! | file | what |
//! |---|---|
//! | [`pair`] | the law that nearly all of them are: couplings of pairs and biases of sites |
//! | [`torus`] | sites and bonds of a periodic square lattice |
//! | [`ising`], [`potts`], [`spin_glass`] | spins on a torus, or with couplings from a file |
//! | [`rbm`] | restricted Boltzmann machines with Bernoulli or Gaussian units, one layer summed out |
//! | [`graphs`] | independent sets and cuts of graphs, random or from files |
//! | [`energy`] | energy models from files, or in training |
//! | [`gray`] | points of the plane as bits |
//! | [`figures`] | what is read off one state |
//! | [`exact`] | what can be computed without sampling: enumeration, transfer matrix, Kaufman, Onsager |
//!
//! A state is a row of `0 .. S-1` in i64. Files and people write the values that a site takes instead (spins -1 and
//! +1): [`encode`] and [`decode`] translate.

pub mod energy;
pub mod exact;
pub mod figures;
pub mod graphs;
pub mod gray;
pub mod ising;
pub mod pair;
mod pair_target;
pub mod potts;
pub mod rbm;
pub mod spin_glass;
pub mod torus;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::Options;
use crate::bad_input;
pub use pair::{Interaction, PairModel};
pub use pair_target::PairTarget;

/// An unnormalised law on `S^sites` states. Rows never interact.
pub trait DiscreteTarget: Send {
    /// Number of sites, `D`.
    fn sites(&self) -> i64;

    /// Number of states that a site can take, `S`.
    fn num_states(&self) -> i64;

    /// log of the unnormalised probability: `[B, D]` i64 in `0 .. S-1` -> `[B]`.
    fn log_prob(&self, x: &Tensor) -> Tensor;

    /// `log_prob` after minus before a change of one site, for all sites and new states in one pass:
    /// `[B, D]` -> `[B, D, S]`, 0 at a site's own state.
    fn log_ratios(&self, x: &Tensor) -> Tensor;

    /// The values that files and people use for states `0 .. S-1`.
    fn values(&self) -> Vec<i64> {
        (0..self.num_states()).collect()
    }

    /// Rows and columns, where the sites are those of a lattice (row-major).
    fn shape(&self) -> Option<(i64, i64)> {
        None
    }

    /// Couplings and biases beneath, where there are such: the law of its first `D` sites is this one.
    fn pairs(&self) -> Option<&PairModel> {
        None
    }
}

/// Every discrete law that a YAML can name, by its `type`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LatticeConfig {
    Ising(ising::IsingConfig),
    Potts(potts::PottsConfig),
    SpinGlass(spin_glass::SpinGlassConfig),
    BernoulliRbm(rbm::BernoulliRbmConfig),
    GaussianRbm(rbm::GaussianRbmConfig),
    IndependentSet(graphs::IndependentSetConfig),
    MaxCut(graphs::MaxCutConfig),
    EnergyModel(energy::EnergyModelConfig),
}

impl LatticeConfig {
    /// The names that `type` can have.
    pub const TYPES: [&'static str; 8] =
        ["ising", "potts", "spin_glass", "bernoulli_rbm", "gaussian_rbm", "independent_set", "max_cut", "energy_model"];

    /// The inverse temperature, where the law has one.
    pub fn beta(&self) -> Option<f64> {
        self.clone().beta_mut().copied()
    }

    /// The same law at another inverse temperature; nothing changes where there is none.
    pub fn at_beta(&self, beta: f64) -> Self {
        let mut config = self.clone();
        if let Some(own) = config.beta_mut() {
            *own = beta;
        }
        config
    }

    fn beta_mut(&mut self) -> Option<&mut f64> {
        match self {
            Self::Ising(config) => Some(&mut config.beta),
            Self::Potts(config) => Some(&mut config.beta),
            Self::SpinGlass(config) => Some(&mut config.beta),
            _ => None,
        }
    }

    /// Checks the parameters, reads files where there are any, and puts the constants in `options`.
    ///
    /// Never touches libtorch's random generator.
    pub fn build(&self, options: Options) -> Result<Box<dyn DiscreteTarget>> {
        Ok(match self {
            Self::Ising(config) => Box::new(ising::ising(config, options)?),
            Self::Potts(config) => Box::new(potts::potts(config, options)?),
            Self::SpinGlass(config) => Box::new(spin_glass::spin_glass(config, options)?),
            Self::BernoulliRbm(config) => Box::new(rbm::BernoulliRbm::new(config, options)?),
            Self::GaussianRbm(config) => Box::new(rbm::GaussianRbm::new(config, options)?),
            Self::IndependentSet(config) => Box::new(graphs::independent_set(config, options)?),
            Self::MaxCut(config) => Box::new(graphs::max_cut(config, options)?),
            Self::EnergyModel(config) => Box::new(energy::energy_model(config, options)?),
        })
    }
}

/// States as the values that files hold, `[B, D]` i64.
pub fn decode(target: &dyn DiscreteTarget, x: &Tensor) -> Tensor {
    let values = Tensor::from_slice(&target.values()).to_device(x.device());
    values.index_select(0, &x.reshape([-1])).view_as(x)
}

/// Values `[B, D]` of any kind as states; `source` names the tensor in messages.
///
/// # Errors
/// If the shape is not that of the target or a value is none of its sites'.
pub fn encode(target: &dyn DiscreteTarget, x: &Tensor, source: &str) -> Result<Tensor> {
    let (size, sites) = (x.size(), target.sites());
    if size.len() != 2 || size[1] != sites {
        return Err(bad_input!("{source} has shape {size:?}, expected [N, {sites}]"));
    }
    let x = x.to_kind(Kind::Double).to_device(Device::Cpu);
    let values = target.values();
    let mut states = Tensor::full_like(&x, -1.0).to_kind(Kind::Int64);
    for (state, value) in values.iter().enumerate() {
        let _ = states.masked_fill_(&x.eq(*value), state as i64);
    }
    let strange = states.lt(0).nonzero();
    if strange.size()[0] > 0 {
        let at = Vec::<i64>::try_from(strange.get(0))?;
        let found = x.double_value(&at);
        return Err(bad_input!("{source} holds {found} at {at:?}, expected one of {values:?}"));
    }
    Ok(states)
}

/// Rows evaluated at once, which bounds the memory.
const CHUNK: i64 = 4096;

/// `log_prob` `[N]` and `log_ratios` `[N, D, S]` at states `[N, D]`, in pieces, on the CPU.
pub fn evaluate(target: &dyn DiscreteTarget, x: &Tensor, device: Device) -> (Tensor, Tensor) {
    // At least one piece, so that no rows give empty tensors of the right shapes.
    let starts = (0..x.size()[0].max(1)).step_by(CHUNK as usize);
    let pieces = starts.map(|start| {
        let rows = x.narrow(0, start, CHUNK.min(x.size()[0] - start)).to_device(device);
        (target.log_prob(&rows).to_device(Device::Cpu), target.log_ratios(&rows).to_device(Device::Cpu))
    });
    let (log_prob, ratios): (Vec<Tensor>, Vec<Tensor>) = pieces.unzip();
    (Tensor::cat(&log_prob, 0), Tensor::cat(&ratios, 0))
}
