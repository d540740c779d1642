//! leGF: the locally equivariant transformer on graphs. Attention knows how far apart vertices are (Ou, Zhang and Li,
//! "Discrete neural flow samplers", 2025, app. on combinatorial optimisation, after Ying et al., "Do transformers really
//! perform bad for graph representation?", 2021).
//!
//! | file | what |
//! |---|---|
//! | [`layers`] | layers of the streams, and attention of a vertex to all others |
//!
//! On a lattice, the features of a site begin with those of its neighbours in the sequence. The order of a graph's vertices
//! means nothing, so here they begin with the sum of what the neighbours in the graph say: a sum and not a mean, for rates
//! depend on how many neighbours are chosen (Xu et al., "How powerful are graph neural networks?", 2019). The tokens of
//! either stream also begin with such sums, over the vertices that the stream has passed.
//!
//! Graphs may differ from row to row, and have different sizes: places that a smaller graph lacks are marked, seen by
//! nobody, and have no rates.

pub mod layers;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use self::layers::{Block, Readout};
use super::hollow::{Codebook, TimeFeatures};
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
    /// A number a distance and head, shared by all layers: `[FARTHEST + 3, H]`.
    bias: Tensor,
    /// Of the sums over neighbours, for tokens and for the readout.
    sums: [Linear; 2],
    streams: [Vec<Block>; 2],
    readout: Vec<Readout>,
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
        let bias = Tensor::zeros([FARTHEST + 3, c / config.head_dim], (Kind::Float, Device::Cpu));
        let stream = |name: &str| -> Vec<Block> {
            (0..config.num_blocks).map(|i| Block::new(&scope.sub(name).sub(i), config)).collect()
        };
        Ok(Self {
            codebook: Codebook::new(&scope, geometry.states, c),
            time: TimeFeatures::new(scope.sub("time"), c),
            bias: scope.parameter("bias", bias),
            sums: ["token_sums", "sums"].map(|name| Linear::new(scope.sub(name), c, c, Init::PyTorch)),
            streams: [stream("forward"), stream("backward")],
            readout: (0..config.num_blocks).map(|i| Readout::new(&scope.sub("readout").sub(i), config)).collect(),
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
        let states = self.codebook.embed(x); // [B, D, C]
        let joined = distances.eq(1).to_kind(states.kind()); // [B or 1, D, D]
        let logits = self.logits(distances); // [B or 1, H, D, D]

        // Left of vertex i: time, x_0 .. x_{i-1}; right of it: x_{i+1} .. x_{D-1}, time. A look back at oneself is part.
        let run = |passed: &Tensor, flip: bool, blocks: &[Block]| {
            let tokens = &states + &time + self.sums[0].forward(&passed.matmul(&states));
            let (tokens, logits) =
                if flip { (tokens.flip([1]), logits.flip([2, 3])) } else { (tokens, logits.shallow_clone()) };
            let mask = self.causal(&logits);
            blocks.iter().fold(Tensor::cat(&[&time, &tokens], 1), |z, block| block.forward(&z, &mask))
        };
        let left = run(&joined.tril(-1), false, &self.streams[0]).narrow(1, 0, d); // [B, D, C]
        let right = run(&joined.triu(1), true, &self.streams[1]).flip([1]).narrow(1, 1, d);

        let told = Tensor::cat(&[left, right], 1) + &time; // [B, 2 D, C]
        let mask = self.others(&logits);
        let start = &time + self.sums[1].forward(&joined.matmul(&states)); // [B, D, C]
        let hollow = self.readout.iter().fold(start, |h, readout| readout.forward(&h, &told, &mask));
        let rates = self.codebook.rates(&(self.norm.forward(&hollow) + &time), x);
        let nobody = distances.diagonal(0, 1, 2).eq(-2); // [B or 1, D]
        rates.masked_fill(&nobody.unsqueeze(2), 0.0)
    }

    /// What distances add to attention: `[B, D, D]` i64 -> `[B, H, D, D]`, minus infinity towards places without a
    /// vertex, which see each themselves.
    fn logits(&self, distances: &Tensor) -> Tensor {
        let (b, d, _) = distances.size3().expect("[B, D, D]");
        let (unjoined, nobody) = (distances.eq(-1), distances.eq(-2));
        let index = distances.clamp(0, FARTHEST).masked_fill(&unjoined, NOT_JOINED);
        let hidden = nobody.logical_and(&Tensor::eye(d, (Kind::Bool, distances.device())).logical_not());
        let bias = self.bias.index_select(0, &index.view([-1])).view([b, d, d, -1]).permute([0, 3, 1, 2]);
        bias.masked_fill(&hidden.unsqueeze(1), f64::NEG_INFINITY)
    }

    /// The bias towards the time token, as a column of `logits`: `[B, H, D, 1]`.
    fn towards_time(&self, logits: &Tensor) -> Tensor {
        let (b, h, d, _) = logits.size4().expect("[B, H, D, D]");
        self.bias.get(TIME).view([1, h, 1, 1]).expand([b, h, d, 1], false)
    }

    /// The same with the time token in front and nothing ahead seen: `[B, H, 1 + D, 1 + D]`.
    fn causal(&self, logits: &Tensor) -> Tensor {
        let below = Tensor::cat(&[&self.towards_time(logits), logits], 3);
        let all = Tensor::cat(&[&below.narrow(2, 0, 1), &below], 2);
        let size = all.size()[3];
        let ahead = Tensor::ones([size, size], (Kind::Bool, logits.device())).triu(1);
        all.masked_fill(&ahead, f64::NEG_INFINITY)
    }

    /// The same for vertices that look at both streams, `[B, H, D, 2 D]`: the last token that `left` has seen at i is
    /// vertex i - 1, or the time; the last one of `right` is vertex i + 1, or the time.
    fn others(&self, logits: &Tensor) -> Tensor {
        let (time, d) = (self.towards_time(logits), logits.size()[3]);
        let left = Tensor::cat(&[&time, &logits.narrow(3, 0, d - 1)], 3);
        let right = Tensor::cat(&[&logits.narrow(3, 1, d - 1), &time], 3);
        let ahead = Tensor::ones([d, d], (Kind::Bool, logits.device())).triu(1);
        let hidden = |side: &Tensor, mask: &Tensor| side.masked_fill(mask, f64::NEG_INFINITY);
        Tensor::cat(&[hidden(&left, &ahead), hidden(&right, &ahead.tr())], 3)
    }
}

impl RateNet for Legf {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        self.forward_on(x, t, &self.distances)
    }

    fn rows_differ(&self) -> bool {
        self.distances.size()[0] > 1
    }
}
