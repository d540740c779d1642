//! Diffusion-bridge samplers: PIS, DDS, DIS, CMCD and DBS, each a short constructor of [`Record`].

mod cmcd;
mod config;
mod dbs;
mod dds;
mod dis;
mod learned;
mod pis;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

pub use config::{Form, Process, ProcessConfig, RndForm};
pub use learned::Learned;

use crate::nets::{Control, NetConfig};
use crate::processes::Record;
use crate::torch::params::Params;

/// Networks in the roles of the two drifts.
pub enum Controls {
    /// One network serves both kernels (the backward table carries the sign).
    Shared(Box<dyn Control>),
    /// Two networks (DBS).
    Separate { forward: Box<dyn Control>, backward: Box<dyn Control> },
}

impl Controls {
    pub fn forward(&self) -> &dyn Control {
        match self {
            Controls::Shared(net) | Controls::Separate { forward: net, .. } => net.as_ref(),
        }
    }

    /// The backward network, where it is not the forward one.
    pub fn backward(&self) -> Option<&dyn Control> {
        match self {
            Controls::Shared(_) => None,
            Controls::Separate { backward, .. } => Some(backward.as_ref()),
        }
    }
}

/// A process with its networks and learned quantities: all that a rollout needs besides a target.
pub struct DiffusionSampler {
    pub process: Process,
    pub dim: i64,
    pub params: Params,
    pub learned: Learned,
    pub controls: Controls,
}

impl DiffusionSampler {
    /// Draws initial weights from libtorch's generator: seed the `Init` stream first.
    pub fn new(config: &ProcessConfig, net: &NetConfig, dim: i64, kind: Kind, device: Device) -> Result<Self> {
        let process = config.resolve()?;
        net.validate()?;
        let params = Params::new(kind, device);
        let root = params.root();
        let build = |name: &str| net.build(root.sub("net").sub(name), dim, process.num_steps);
        let controls = if config.separate_networks() {
            Controls::Separate { forward: build("forward"), backward: build("backward") }
        } else {
            Controls::Shared(build("control"))
        };
        let learned = Learned::new(&root, &process, dim);
        Ok(Self { process, dim, params, learned, controls })
    }

    /// The record at the present values of the learned quantities, with its graph.
    pub fn record(&self) -> Record {
        let mut record = match self.process.kind {
            config::Kind::Pis => pis::record(&self.process, &self.learned),
            config::Kind::Dds => dds::record(&self.process, &self.learned),
            config::Kind::Dis => dis::record(&self.process, &self.learned),
            config::Kind::Cmcd => cmcd::record(&self.process, &self.learned),
            config::Kind::Dbs => dbs::record(&self.process, &self.learned),
        };
        if !self.controls.forward().guided() {
            record.guide = None;
        }
        record
    }

    /// Standard deviation of every step, `[T, D]`, for plots.
    pub fn step_std(&self) -> Tensor {
        self.record().forward.std.detach().expand([-1, -1, self.dim], false).squeeze_dim(1)
    }
}
