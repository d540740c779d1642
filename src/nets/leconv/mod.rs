//! Deep locally equivariant convolutions on periodic square lattices (Holderrieth, Albergo and Jaakkola, "LEAPS: a
//! discrete neural sampler via locally equivariant networks", 2025, sec. 6).
//!
//! | file | what |
//! |---|---|
//! | [`layer`] | a convolution whose kernel at each site depends on the site's hollow features |
//!
//! Every layer convolves the *unchanged* lattice with the centre left out; what came before only shapes the kernel of
//! its own site. So features stay hollow at any depth. Names and initial values of parameters are the reference code's.

pub mod layer;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use self::layer::{Layer, Patches};
use super::rates::{Geometry, RateNet};
use crate::bad_input;
use crate::config::check;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeconvConfig {
    /// Features of a site.
    pub channels: i64,
    /// Sides of the kernels, odd and at most the lattice's; the first is that of a plain convolution.
    pub kernels: Vec<i64>,
    /// What the first convolution sees beyond the lattice's edge.
    pub padding: Padding,
    /// What the rates may not change under.
    pub symmetry: Symmetry,
    /// Whether every kernel has one more tap: the sum of all other sites over the square root of their number. Near
    /// criticality rates depend on the whole lattice, which small kernels do not reach. Not in the authors' code.
    pub global: bool,
}

/// A symmetry of the target that the network has by construction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symmetry {
    /// Only shifts of the lattice, as in the authors' code.
    #[default]
    None,
    /// The flip of all spins too: for two states and no field.
    SpinFlip,
}

/// Beyond the edge, in the first convolution; all others wrap around.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// The other side of the torus.
    #[default]
    Circular,
    /// Nothing. The authors' code asks for a wrapped edge but computes this, so their weights want it.
    Zeros,
}

impl Default for LeconvConfig {
    fn default() -> Self {
        let (padding, symmetry) = (Padding::default(), Symmetry::default());
        Self { channels: 8, kernels: vec![3, 5, 7], padding, symmetry, global: false }
    }
}

impl LeconvConfig {
    pub fn validate(&self) -> Result<()> {
        check::in_range("net.channels", self.channels, 1, 4096)?;
        check::not_empty("net.kernels", &self.kernels)?;
        for (i, side) in self.kernels.iter().enumerate() {
            let key = format!("net.kernels.{i}");
            check::in_range(&key, *side, 3, 255)?;
            if side % 2 == 0 {
                return Err(bad_input!("'{key}' must be odd, found {side}"));
            }
        }
        Ok(())
    }
}

/// What a state is to the convolutions.
enum Signal {
    /// Two states: the spin -1 or +1, one channel, read out by `linear` `[C]`.
    Spin,
    /// More: a row of `[S, C]` of norm at most 1, read out by `linear` `[S, C]`.
    Embedding(Tensor),
}

/// The network for a `side` x `side` torus.
pub struct Leconv {
    signal: Signal,
    /// `[C, 1 or C, k, k]`, and the mask of its centre.
    first: Tensor,
    mask: Tensor,
    /// Weight of the first convolution's further tap, `[C, 1]`.
    global: Option<Tensor>,
    layers: Vec<Layer>,
    linear: Tensor,
    side: i64,
    padding: Padding,
    symmetry: Symmetry,
}

impl Leconv {
    /// Draws initial weights from libtorch's generator.
    ///
    /// # Errors
    /// If the sites are not those of a square torus, or one on which a kernel would see its centre twice.
    pub fn new(scope: Scope, config: &LeconvConfig, geometry: &Geometry) -> Result<Self> {
        let side = geometry.side.ok_or_else(|| {
            bad_input!("'net.type' leconv needs a periodic square lattice, which 'target' is not; take letf or leattn")
        })?;
        if let Some(i) = config.kernels.iter().position(|kernel| *kernel / 2 >= side) {
            let (kernel, most) = (config.kernels[i], 2 * side - 1);
            return Err(bad_input!(
                "'net.kernels.{i}' must be at most {most} on {side} x {side} sites, found {kernel}"
            ));
        }
        // A sum of embeddings less one of them still knows which, in its last bits.
        for (key, asked) in [("symmetry", config.symmetry == Symmetry::SpinFlip), ("global", config.global)] {
            if asked && geometry.states != 2 {
                return Err(bad_input!("'net.{key}' of leconv needs sites of two states, found {}", geometry.states));
            }
        }
        let (scope, c, q, k) = (scope.sub("network"), config.channels, geometry.states, config.kernels[0]);
        let options = (Kind::Float, Device::Cpu);

        let spins = q == 2;
        let channels = if spins { 1 } else { c };
        let narrow = 1.0 / (c as f64).sqrt();
        let signal = if spins {
            Signal::Spin
        } else {
            Signal::Embedding(scope.sub("emb.embedding").parameter("weight", Tensor::randn([q, c], options) * narrow))
        };
        let first = Init::PyTorch.weight(c, channels * k * k).view([c, channels, k, k]);
        let mask = Tensor::ones([k, k], options);
        let _ = mask.get(k / 2).get(k / 2).fill_(0.0);
        let layer = |(i, k): (usize, &i64)| Layer::new(scope.sub("convs").sub(i), c, *k, config.global);
        let global =
            || scope.parameter("initial_global", Init::PyTorch.weight(c, channels * k * k).narrow(1, 0, channels));
        Ok(Self {
            signal,
            first: scope.sub("initial_conv").parameter("weight", first),
            mask: mask.to_kind(scope.kind()).to_device(scope.device()),
            global: config.global.then(global),
            layers: config.kernels[1..].iter().enumerate().map(layer).collect(),
            linear: match spins {
                true => scope.parameter("linear", Tensor::randn([c], options) * narrow),
                false => scope.parameter("linear", Tensor::randn([q, c], options) * (0.02 * narrow)),
            },
            side,
            padding: config.padding,
            symmetry: config.symmetry,
        })
    }

    /// The lattice as channels: `[B, D]` i64 -> `[B, 1 or C, L, L]`.
    fn lattice(&self, x: &Tensor) -> Tensor {
        let grid = x.view([-1, self.side, self.side]);
        match &self.signal {
            Signal::Spin => (grid.unsqueeze(1) * 2 - 1).to_kind(self.linear.kind()),
            Signal::Embedding(table) => {
                {
                    // As in PyTorch's `max_norm`: rows that grew too long are shortened for good.
                    let _guard = tch::no_grad_guard();
                    let _ = table.shallow_clone().embedding_renorm_(x, 1.0, 2.0);
                }
                Tensor::embedding(table, &grid, -1, true, false).permute([0, 3, 1, 2])
            }
        }
    }

    /// `[B, 1 or C, L, L]` -> hollow features `[B, D, C]`.
    fn hollow(&self, lattice: &Tensor, t: &Tensor) -> Tensor {
        let scaled = lattice * (t + 1.0).view([-1, 1, 1, 1]);
        let margin = self.mask.size()[0] / 2;
        let (around, zeros) = match self.padding {
            Padding::Circular => (layer::wrap(&scaled, margin), 0),
            Padding::Zeros => (scaled, margin),
        };
        let (weight, none) = (&self.first * &self.mask, None::<&Tensor>);
        let h = around.conv2d(&weight, none, [1, 1], [zeros, zeros], [1, 1], 1); // [B, C, L, L]
        let mut h = h.flatten(2, 3).transpose(1, 2); // [B, D, C]
        let all = self.global.as_ref().map(|_| layer::others(lattice));
        if let (Some(weight), Some(all)) = (&self.global, &all) {
            h += (all * (t + 1.0).view([-1, 1, 1])).matmul(&weight.tr());
        }
        let next = |h: Tensor, layer: &Layer| {
            layer.forward(&Patches::new(lattice, layer.kernel, all.as_ref()), t, &self.bend(&h))
        };
        self.layers.iter().fold(h, next)
    }

    /// What shapes the next kernels. Features change sign with all spins; if what shapes the kernels does not, the next
    /// features do again, and the rate of a flip, features times spin, stays.
    fn bend(&self, h: &Tensor) -> Tensor {
        match self.symmetry {
            Symmetry::None => h.silu(),
            Symmetry::SpinFlip => h * h.tanh(),
        }
    }
}

impl RateNet for Leconv {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        let t = t.to_kind(self.linear.kind());
        let lattice = self.lattice(x);
        let hollow = self.hollow(&lattice, &t);
        match self.signal {
            // F(s) = sum_l w_l h_l(s) (1 + t) x_s is the rate of the flip.
            Signal::Spin => {
                let spin = lattice.flatten(1, 3); // [B, D]
                let flip = hollow.matmul(&self.linear) * spin * (t + 1.0).unsqueeze(1); // [B, D]
                let zero = flip.zeros_like();
                let up = x.to_kind(Kind::Bool);
                Tensor::stack(&[flip.where_self(&up, &zero), zero.where_self(&up, &flip)], 2)
            }
            Signal::Embedding(_) => {
                let scores = hollow.matmul(&self.linear.tr()); // [B, D, S]
                &scores - scores.gather(2, &x.unsqueeze(2), false)
            }
        }
    }
}
