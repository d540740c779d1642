//! The layer of the transferable TarFlow baseline: a transformer block, with the conditioning added to its input.

use tch::Tensor;

use super::attention::{Attend, Transformer};
use super::config::FlowConfig;
use super::leaves::Leaves;

pub struct TarflowLayer {
    pub(super) transformer: Transformer,
}

impl TarflowLayer {
    pub fn new(leaves: &Leaves, config: &FlowConfig, at: &str) -> Self {
        Self { transformer: Transformer::new(leaves, config.network(), at) }
    }

    /// `[B, T, C]` to the same, given the block's conditioning `[U, T, C]`.
    pub fn forward(&self, h: &Tensor, conditioning: &Tensor, attend: &mut Attend) -> Tensor {
        self.transformer.forward(&(h + conditioning), attend)
    }
}
