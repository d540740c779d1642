//! leGF: the locally equivariant transformer on graphs. Attention knows how far apart vertices are (Ou, Zhang and Li,
//! "Discrete neural flow samplers", 2025, app. on combinatorial optimisation, after Ying et al., "Do transformers really
//! perform bad for graph representation?", 2021).
//!
//! Graphs may differ from row to row, and have different sizes: places that a smaller graph lacks are marked, seen by
//! nobody, and have no rates.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::hollow::{Codebook, TimeFeatures};
use super::letf::stream::Mlp;
use super::linear::{LayerNorm, Linear};
use super::rates::{Geometry, RateNet};
use crate::bad_input;
use crate::config::check;
use crate::torch::init::Init;
use crate::torch::params::Scope;

const EPS: f64 = 1e-5;

/// Distances from here on are one.
const FARTHEST: i64 = 16;

/// Indices of the bias table: distances 0 ..= FARTHEST, then these.
const NOT_JOINED: i64 = FARTHEST + 1;
const TIME: i64 = FARTHEST + 2;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LegfConfig {
    /// Features of a vertex, a multiple of `head_dim`.
    pub hidden_dim: i64,
    pub head_dim: i64,
    /// Layers of each stream.
    pub num_blocks: i64,
}

impl Default for LegfConfig {
    fn default() -> Self {
        Self { hidden_dim: 64, head_dim: 16, num_blocks: 3 }
    }
}

impl LegfConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("net.head_dim", self.head_dim, 1, 4096)?;
        check::in_range("net.hidden_dim", self.hidden_dim, 1, 65_536)?;
        check::multiple_of("net.hidden_dim", self.hidden_dim as u64, self.head_dim as u64)?;
        check::in_range("net.num_blocks", self.num_blocks, 1, 1024)
    }
}

/// The network, and the graph that [`RateNet::forward`] serves.
pub struct Legf {
    codebook: Codebook,
    time: TimeFeatures,
    /// A number a distance, shared by all layers: `[FARTHEST + 3]`.
    bias: Tensor,
    streams: [Vec<Block>; 2],
    readout: Readout,
    norm: LayerNorm,
    distances: Tensor,
}

impl Legf {
    /// Draws initial weights from libtorch's generator.
    ///
    /// # Errors
    /// If the geometry has no distances.
    pub fn new(scope: Scope, config: &LegfConfig, geometry: &Geometry) -> Result<Self> {
        let distances = geometry
            .distances
            .as_ref()
            .ok_or_else(|| bad_input!("'net.type' legf needs a graph, which 'target' is not; take letf or leattn"))?;
        let c = config.hidden_dim;
        let stream = |name: &str| -> Vec<Block> {
            (0..config.num_blocks).map(|i| Block::new(&scope.sub(name).sub(i), config)).collect()
        };
        Ok(Self {
            codebook: Codebook::new(&scope, geometry.states, c),
            time: TimeFeatures::new(scope.sub("time"), c),
            bias: scope.parameter("bias", Tensor::zeros([FARTHEST + 3], (Kind::Float, Device::Cpu))),
            streams: [stream("forward"), stream("backward")],
            readout: Readout::new(&scope.sub("readout"), config),
            norm: LayerNorm::new(scope.sub("norm"), c, EPS),
            distances: distances.unsqueeze(0).to_device(scope.device()),
        })
    }

    /// A network that is told its graphs later; see [`set_graphs`](Self::set_graphs).
    pub fn without_graph(scope: Scope, config: &LegfConfig) -> Result<Self> {
        let nothing = Tensor::zeros([0, 0], (Kind::Int64, Device::Cpu));
        Self::new(scope, config, &Geometry { sites: 0, states: 2, side: None, distances: Some(nothing) })
    }

    /// Whose rates [`RateNet::forward`] gives from now on, one graph a row; see [`forward_on`](Self::forward_on).
    pub fn set_graphs(&mut self, distances: Tensor) {
        self.distances = distances;
    }

    /// Rates on any graphs: `x` `[B, D]`, `t` `[B]`, and shortest paths `[B or 1, D, D]`, of which -1 stands between
    /// vertices that are not joined, -2 in rows and columns of places without a vertex -> `[B, D, S]`.
    pub fn forward_on(&self, x: &Tensor, t: &Tensor, distances: &Tensor) -> Tensor {
        let d = x.size()[1];
        let time = self.time.forward(t).unsqueeze(1); // [B, 1, C]
        let tokens = self.codebook.embed(x) + &time; // [B, D, C]
        let logits = self.logits(distances); // [B or 1, D, D]

        // Left of vertex i: time, x_0 .. x_{i-1}; right of it: x_{i+1} .. x_{D-1}, time. A look back at oneself is part.
        let run = |tokens: &Tensor, logits: &Tensor, blocks: &[Block]| {
            let mask = self.causal(logits);
            blocks.iter().fold(Tensor::cat(&[&time, tokens], 1), |z, block| block.forward(&z, &mask))
        };
        let left = run(&tokens, &logits, &self.streams[0]);
        let right = run(&tokens.flip([1]), &logits.flip([1, 2]), &self.streams[1]).flip([1]);
        let (left, right) = (left.narrow(1, 0, d), right.narrow(1, 1, d)); // [B, D, C]

        let hollow = self.norm.forward(&self.readout.forward(&left, &right, &time, &logits)) + &time;
        self.codebook.rates(&hollow, x)
    }

    /// What distances add to attention: `[B, D, D]` i64 -> `[B, 1, D, D]`, minus infinity towards places without a
    /// vertex, which see each themselves.
    fn logits(&self, distances: &Tensor) -> Tensor {
        let (d, nobody) = (distances.size()[2], distances.eq(-2));
        let unjoined = distances.eq(-1);
        let index = distances.clamp(0, FARTHEST).masked_fill(&unjoined, NOT_JOINED);
        let hidden = nobody.logical_and(&Tensor::eye(d, (Kind::Bool, distances.device())).logical_not());
        let bias = self.bias.index_select(0, &index.view([-1])).view_as(&index);
        bias.masked_fill(&hidden, f64::NEG_INFINITY).unsqueeze(1)
    }

    /// The same with the time token in front and nothing ahead seen: `[B, 1, 1 + D, 1 + D]`.
    fn causal(&self, logits: &Tensor) -> Tensor {
        let (b, _, d, _) = logits.size4().expect("[B, 1, D, D]");
        let time = self.bias.narrow(0, TIME, 1).view([1, 1, 1, 1]);
        let below = Tensor::cat(&[time.expand([b, 1, d, 1], false), logits.shallow_clone()], 3);
        let all = Tensor::cat(&[time.expand([b, 1, 1, d + 1], false), below], 2);
        let ahead = Tensor::ones([d + 1, d + 1], (Kind::Bool, logits.device())).triu(1);
        all.masked_fill(&ahead, f64::NEG_INFINITY)
    }
}

impl RateNet for Legf {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        self.forward_on(x, t, &self.distances)
    }
}

fn heads(x: &Tensor, head_dim: i64) -> Tensor {
    let (b, t, _) = x.size3().expect("[B, T, C]");
    x.view([b, t, -1, head_dim]).transpose(1, 2) // [B, H, T, K]
}

/// A pre-norm transformer layer.
struct Block {
    norm: LayerNorm,
    qkv: Linear,
    output: Linear,
    mlp: Mlp,
    head_dim: i64,
}

impl Block {
    fn new(scope: &Scope, config: &LegfConfig) -> Self {
        let c = config.hidden_dim;
        Self {
            norm: LayerNorm::new(scope.sub("norm"), c, EPS),
            qkv: Linear::new(scope.sub("qkv"), c, 3 * c, Init::PyTorch),
            output: Linear::new(scope.sub("output"), c, c, Init::PyTorch),
            mlp: Mlp::new(&scope.sub("mlp"), c),
            head_dim: config.head_dim,
        }
    }

    fn forward(&self, y: &Tensor, mask: &Tensor) -> Tensor {
        let parts = heads(&self.qkv.forward(&self.norm.forward(y)), self.head_dim).chunk(3, 1);
        let mixed = attend(&parts[0], &parts[1], &parts[2], mask);
        let y = y + self.output.forward(&mixed.transpose(1, 2).reshape(y.size()));
        &y + self.mlp.forward(&y)
    }
}

/// `mask` is added to the scaled products.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Tensor) -> Tensor {
    let scale = (q.size()[3] as f64).sqrt();
    ((q / scale).matmul(&k.transpose(2, 3)) + mask).softmax(-1, None::<Kind>).matmul(v)
}

/// Vertex i asks what lies left of vertices 0 ..= i and right of vertices i .. D-1: everything but itself.
struct Readout {
    norms: [LayerNorm; 2],
    query: Linear,
    sides: Linear,
    output: Linear,
    mlp: Mlp,
    head_dim: i64,
}

impl Readout {
    fn new(scope: &Scope, config: &LegfConfig) -> Self {
        let c = config.hidden_dim;
        Self {
            norms: ["norm1", "norm2"].map(|name| LayerNorm::new(scope.sub(name), c, EPS)),
            query: Linear::new(scope.sub("query"), c, c, Init::PyTorch),
            sides: Linear::new(scope.sub("sides"), c, 2 * c, Init::PyTorch),
            output: Linear::new(scope.sub("output"), c, c, Init::PyTorch),
            mlp: Mlp::new(&scope.sub("mlp"), c),
            head_dim: config.head_dim,
        }
    }

    /// `left` and `right` `[B, D, C]`, `time` `[B, 1, C]`, `logits` `[B or 1, 1, D, D]` -> `[B, D, C]`.
    fn forward(&self, left: &Tensor, right: &Tensor, time: &Tensor, logits: &Tensor) -> Tensor {
        let both = (left + right) / std::f64::consts::SQRT_2 + time;
        let told = Tensor::cat(&[left + time, right + time], 1); // [B, 2 D, C]

        let d = left.size()[1];
        let ahead = Tensor::ones([d, d], (Kind::Bool, logits.device())).triu(1);
        let hidden = |mask: &Tensor| logits.masked_fill(mask, f64::NEG_INFINITY);
        let mask = Tensor::cat(&[hidden(&ahead), hidden(&ahead.tr())], 3); // [B or 1, 1, D, 2 D]

        let q = heads(&self.query.forward(&self.norms[0].forward(&both)), self.head_dim);
        let sides = heads(&self.sides.forward(&self.norms[0].forward(&told)), self.head_dim).chunk(2, 1);
        let mixed = attend(&q, &sides[0], &sides[1], &mask); // [B, H, D, K]
        let h = &both + self.output.forward(&mixed.transpose(1, 2).reshape(both.size()));
        &h + self.mlp.forward(&self.norms[1].forward(&h))
    }
}
