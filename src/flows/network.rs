//! The stack of blocks.

use tch::{Device, Kind, Tensor};

use super::Flow;
use super::block::{Block, Inversion};
use super::conditioning::{Conditioning, Prepared};
use super::config::FlowConfig;
use super::embedder::Embedder;
use super::layout::layout;
use super::leaves::Leaves;
use crate::torch::params::Params;

/// An embedder of molecules and affine autoregressive blocks, each with an order of atoms of its own.
pub struct AutoregressiveFlow {
    config: FlowConfig,
    params: Params,
    embedder: Embedder,
    blocks: Vec<Block>,
}

impl AutoregressiveFlow {
    /// `config` must be valid; see [`FlowConfig::build`].
    pub(super) fn new(config: FlowConfig, kind: Kind, device: Device) -> Self {
        let params = Params::new(kind, device);
        let leaves = Leaves::new(&params, &layout(&config), config.network().layer_norm_eps);
        let embedder = Embedder::new(&leaves, config.network());
        let blocks = (0..config.network().num_blocks).map(|b| Block::new(&leaves, &config, b)).collect();
        Self { config, params, embedder, blocks }
    }

    /// What each block gives in turn: `x` `[B, L, 3]` in the atoms' own order and its log-determinant `[B]` in f64.
    pub fn trace(&self, x: &Tensor, molecules: &Prepared) -> Vec<(Tensor, Tensor)> {
        let mut x = molecules.masked(x);
        let mut steps: Vec<(Tensor, Tensor)> = Vec::new();
        for (block, terms) in self.blocks.iter().zip(&molecules.blocks) {
            let (y, log_det) = block.forward(&x, terms);
            x = y.shallow_clone();
            steps.push((y, log_det));
        }
        steps
    }
}

impl Flow for AutoregressiveFlow {
    fn config(&self) -> &FlowConfig {
        &self.config
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn prepare(&self, molecules: &Conditioning) -> Prepared {
        let (kind, device) = (self.params.kind(), self.params.device());
        let (rows, tokens) = molecules.size();
        let mask = molecules.mask.as_ref().map(|mask| mask.to_device(device).to_kind(kind));
        let dims = match &mask {
            Some(mask) => mask.sum_dim_intlist(-1, false, Kind::Double) * 3.0,
            None => Tensor::full([rows], 3 * tokens, (Kind::Double, device)),
        };
        let embedded = self.embedder.forward(molecules, mask.as_ref());
        let prepare =
            |(block, order): (&Block, &Tensor)| block.prepare(&embedded, &order.to_device(device), mask.as_ref());
        let blocks = self.blocks.iter().zip(&molecules.orders).map(prepare).collect();
        Prepared { mask, dims, blocks, embedded }
    }

    fn forward(&self, x: &Tensor, molecules: &Prepared) -> (Tensor, Tensor) {
        let mut x = molecules.masked(x);
        let mut log_det = Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
        for (block, terms) in self.blocks.iter().zip(&molecules.blocks) {
            let (y, share) = block.forward(&x, terms);
            x = y;
            log_det += share;
        }
        (x, log_det)
    }

    fn inverse(&self, z: &Tensor, molecules: &Prepared, method: Inversion) -> (Tensor, Tensor) {
        let _guard = tch::no_grad_guard();
        let mut x = molecules.masked(z);
        let mut log_det = Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
        for (block, terms) in self.blocks.iter().zip(&molecules.blocks).rev() {
            let (y, share) = block.inverse(&x, terms, method);
            x = y;
            log_det += share;
        }
        (x, log_det)
    }
}
