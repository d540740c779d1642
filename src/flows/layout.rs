//! Every entry of a network's state, in PyTorch's names and order, with its shape and how it starts; without allocating
//! anything, so that a file can be compared with a network before memory is spent on it.

use tch::{Device, Kind, Tensor};

use super::config::{FlowConfig, NetworkConfig};
use crate::torch::init::Init;

/// How an entry starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// PyTorch's `nn.Linear` with this fan-in, weight or bias.
    Linear(i64),
    /// PyTorch's `nn.Embedding`: standard normal.
    Normal,
    Constant(f64),
    /// Not a parameter: the lower triangle of ones that published files carry along.
    CausalMask,
}

/// One entry of a network's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub shape: Vec<i64>,
    pub start: Start,
}

impl Entry {
    pub fn is_buffer(&self) -> bool {
        self.start == Start::CausalMask
    }

    /// Its starting values, on the CPU.
    pub(super) fn values(&self) -> Tensor {
        let options = (Kind::Float, Device::Cpu);
        match (self.start, self.shape.as_slice()) {
            (Start::Linear(fan_in), [out]) => Init::PyTorch.bias(*out, fan_in),
            (Start::Linear(_), [out, fan_in]) => Init::PyTorch.weight(*out, *fan_in),
            (Start::Linear(_), shape) => unreachable!("a linear layer has no entry of shape {shape:?}"),
            (Start::Normal, shape) => Tensor::randn(shape, options),
            (Start::Constant(value), shape) => Tensor::full(shape, value, options),
            (Start::CausalMask, shape) => Tensor::ones(shape, options).tril(0),
        }
    }
}

/// All entries in the order of PyTorch's `state_dict`, without the `net.` that published files put before each name.
pub fn layout(config: &FlowConfig) -> Vec<Entry> {
    let network = config.network();
    let mut list = List(Vec::new());
    embedder(&mut list, network);
    for b in 0..network.num_blocks {
        block(&mut list, config, &format!("blocks.{b}"));
    }
    list.0
}

fn embedder(list: &mut List, network: &NetworkConfig) {
    let (c, width, e) = (network.channels, network.embedder_width(), &network.cond_embed);
    list.put("cond_embed.atom_embed.weight", &[e.num_atom_emb, width], Start::Normal);
    list.put("cond_embed.residue_embed.weight", &[e.num_residue_emb, width], Start::Normal);
    list.linear("cond_embed.mlp.0", 4 * width, width);
    list.linear("cond_embed.mlp.2", width, c);
}

fn block(list: &mut List, config: &FlowConfig, at: &str) {
    let (c, n) = (config.network().channels, config.network().max_num_tokens);
    list.put(&format!("{at}.pos_embed_scale"), &[1], Start::Constant(0.01));
    list.put(&format!("{at}.attn_mask"), &[n, n], Start::CausalMask);
    list.linear(&format!("{at}.proj_in"), 3, c);
    if config.lookahead() {
        list.linear(&format!("{at}.proj_cond.0"), 2 * c, c);
        list.linear(&format!("{at}.proj_cond.2"), c, c);
    } else {
        list.linear(&format!("{at}.proj_cond"), c, c);
    }
    for l in 0..config.network().layers_per_block {
        let at = format!("{at}.attn_blocks.{l}");
        if config.adaptive() { adaptive_layer(list, config, &at) } else { transformer(list, config.network(), &at) }
    }
    // The last layer starts at zero, but for its bias: a new flow shifts and scales by constants.
    list.put(&format!("{at}.proj_out.weight"), &[6, c], Start::Constant(0.0));
    list.put(&format!("{at}.proj_out.bias"), &[6], Start::Linear(c));
}

fn adaptive_layer(list: &mut List, config: &FlowConfig, at: &str) {
    let (c, wide) = (config.network().channels, config.network().channels * config.network().expansion);
    let adaptive_norm = |list: &mut List, at: &str| {
        list.norm(&format!("{at}.adaln.norm_cond"), c);
        list.linear(&format!("{at}.adaln.to_gamma.0"), c, c);
        list.put(&format!("{at}.adaln.to_beta.weight"), &[c, c], Start::Linear(c));
    };
    // Gates start nearly shut, at sigmoid(-2).
    let gate = |list: &mut List, at: &str| {
        list.put(&format!("{at}.scale_output.to_adaln_zero_gamma.0.weight"), &[c, c], Start::Constant(0.0));
        list.put(&format!("{at}.scale_output.to_adaln_zero_gamma.0.bias"), &[c], Start::Constant(-2.0));
    };

    let mha = format!("{at}.mha");
    adaptive_norm(list, &mha);
    transformer(list, config.network(), &format!("{mha}.mha"));
    gate(list, &mha);
    if config.transition() {
        let transition = format!("{at}.transition");
        adaptive_norm(list, &transition);
        list.put(&format!("{transition}.transition.swish_linear.0.weight"), &[2 * wide, c], Start::Linear(c));
        list.put(&format!("{transition}.transition.linear_out.weight"), &[c, wide], Start::Linear(wide));
        gate(list, &transition);
    }
}

fn transformer(list: &mut List, network: &NetworkConfig, at: &str) {
    let (c, wide) = (network.channels, network.channels * network.expansion);
    list.norm(&format!("{at}.attention.norm"), c);
    list.linear(&format!("{at}.attention.qkv"), c, 3 * c);
    list.linear(&format!("{at}.attention.proj"), c, c);
    if network.use_qkln {
        list.norm(&format!("{at}.attention.q_layer_norm"), c);
        list.norm(&format!("{at}.attention.k_layer_norm"), c);
    }
    list.norm(&format!("{at}.mlp.norm"), c);
    list.linear(&format!("{at}.mlp.main.0"), c, wide);
    list.linear(&format!("{at}.mlp.main.2"), wide, c);
}

struct List(Vec<Entry>);

impl List {
    fn put(&mut self, name: &str, shape: &[i64], start: Start) {
        self.0.push(Entry { name: name.to_string(), shape: shape.to_vec(), start });
    }

    fn linear(&mut self, at: &str, fan_in: i64, out: i64) {
        self.put(&format!("{at}.weight"), &[out, fan_in], Start::Linear(fan_in));
        self.put(&format!("{at}.bias"), &[out], Start::Linear(fan_in));
    }

    fn norm(&mut self, at: &str, dim: i64) {
        self.put(&format!("{at}.weight"), &[dim], Start::Constant(1.0));
        self.put(&format!("{at}.bias"), &[dim], Start::Constant(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 115,689,272: what the published configuration of the transferable TarFlow counts.
    #[test]
    fn the_baseline_has_as_many_parameters_as_published() {
        let entries = layout(&FlowConfig::Tarflow(NetworkConfig::default()));
        let count: i64 = entries.iter().filter(|e| !e.is_buffer()).map(|e| e.shape.iter().product::<i64>()).sum();
        assert_eq!(count, 115_689_272);
    }
}
