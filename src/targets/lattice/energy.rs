//! Energy models on bits, trained or to be trained: a perceptron, or a quadratic form of spins.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::super::Options;
use super::DiscreteTarget;
use crate::bad_input;
use crate::config::check;
use crate::io::weights::read_weights;
use crate::torch::autograd::value_and_grad;
use crate::torch::init::Init;
use crate::torch::params::Scope;

/// How `log_ratios` are formed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ratios {
    /// Every changed state evaluated.
    #[default]
    Exact,
    /// `(y - x)' grad log_prob(x)`: cheaper by the number of sites, and *wrong* wherever `log_prob` is not linear in a
    /// site. Samplers that use it converge to another law (Ou et al., 2025, sec. 5.2); for comparisons only.
    Taylor,
}

/// Which model `log_prob` is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum EnergyConfig {
    /// A perceptron with Swish between its layers.
    Mlp {
        #[serde(default = "three_layers")]
        hidden: Vec<i64>,
    },
    /// `s' J s` of spins `s = 2x - 1` with symmetric `J` of zero diagonal.
    Quadratic {},
}

fn three_layers() -> Vec<i64> {
    vec![256; 3]
}

impl Default for EnergyConfig {
    fn default() -> Self {
        Self::Mlp { hidden: three_layers() }
    }
}

impl EnergyConfig {
    pub fn validate(&self) -> Result<()> {
        let Self::Mlp { hidden } = self else { return Ok(()) };
        check::not_empty("energy.hidden", hidden)?;
        hidden.iter().try_for_each(|width| check::in_range("energy.hidden", *width, 1, 65_536))
    }

    /// Draws initial weights from libtorch's generator.
    pub fn build(&self, scope: &Scope, sites: i64) -> Energy {
        match self {
            Self::Mlp { hidden } => {
                let sizes: Vec<i64> = [&[sites], hidden.as_slice(), &[1]].concat();
                let layer = |(k, pair): (usize, &[i64])| {
                    // Activations take the odd places, as in PyTorch's nn.Sequential.
                    let scope = scope.sub(2 * k);
                    let weight = scope.parameter("weight", Init::PyTorch.weight(pair[1], pair[0]));
                    (weight, scope.parameter("bias", Init::PyTorch.bias(pair[1], pair[0])))
                };
                Energy::Mlp(sizes.windows(2).enumerate().map(layer).collect())
            }
            Self::Quadratic {} => {
                Energy::Quadratic(scope.parameter("J", Tensor::zeros([sites, sites], (Kind::Float, Device::Cpu))))
            }
        }
    }
}

/// A model's parameters. Cloned ones share them.
pub enum Energy {
    /// Weights `[out, in]` and biases `[out]`.
    Mlp(Vec<(Tensor, Tensor)>),
    /// `[D, D]`, made symmetric and freed of its diagonal where it is used.
    Quadratic(Tensor),
}

impl Energy {
    /// `log_prob` with its graph: `[B, D]` -> `[B]`, both of the parameters' kind.
    pub fn log_prob(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Mlp(layers) => tail(layers, x.linear(&layers[0].0, Some(&layers[0].1))),
            Self::Quadratic(j) => {
                let spins = x * 2.0 - 1.0;
                (spins.matmul(&couplings(j)) * &spins).sum_dim_intlist(1, false, None::<Kind>)
            }
        }
    }

    /// What a change of each bit adds to `log_prob`: `[B, D]` -> `[B, D]`.
    fn flips(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Mlp(layers) => {
                // A changed bit adds one column to the first layer, which need not be computed again.
                let first = x.linear(&layers[0].0, Some(&layers[0].1)); // [B, H]
                let sign: Tensor = 1.0 - x * 2.0; // [B, D]
                let columns = layers[0].0.tr().contiguous(); // [D, H]
                let moved = first.unsqueeze(1) + sign.unsqueeze(2) * columns; // [B, D, H]
                let (b, d, h) = moved.size3().expect("[B, D, H]");
                tail(layers, moved.reshape([b * d, h])).view([b, d]) - tail(layers, first).unsqueeze(1)
            }
            Self::Quadratic(j) => {
                let spins = x * 2.0 - 1.0;
                spins.matmul(&couplings(j)) * spins * -4.0
            }
        }
    }

    /// Symmetric and of zero diagonal, as it enters `log_prob`; `None` for other models.
    pub fn couplings(&self) -> Option<Tensor> {
        if let Self::Quadratic(j) = self { Some(couplings(j)) } else { None }
    }

    pub fn sites(&self) -> i64 {
        match self {
            Self::Mlp(layers) => layers[0].0.size()[1],
            Self::Quadratic(j) => j.size()[0],
        }
    }

    pub fn shallow_clone(&self) -> Self {
        match self {
            Self::Mlp(layers) => {
                Self::Mlp(layers.iter().map(|(w, b)| (w.shallow_clone(), b.shallow_clone())).collect())
            }
            Self::Quadratic(j) => Self::Quadratic(j.shallow_clone()),
        }
    }

    /// `log_prob` of states of any kind, without a graph: `[N, D]` -> `[N]` f64 on the CPU.
    pub fn log_prob_of(&self, x: &Tensor) -> Tensor {
        /// Rows that are evaluated at once.
        const PIECE: i64 = 1024;
        let _guard = tch::no_grad_guard();
        let part = |x: &Tensor| self.log_prob(&x.to_device(self.device()).to_kind(self.kind())).to_kind(Kind::Double);
        let parts: Vec<Tensor> = x.split(PIECE, 0).iter().map(part).collect();
        Tensor::cat(&parts, 0).to_device(Device::Cpu)
    }

    /// Any of the parameters.
    fn parameter(&self) -> &Tensor {
        match self {
            Self::Mlp(layers) => &layers[0].0,
            Self::Quadratic(j) => j,
        }
    }

    fn kind(&self) -> Kind {
        self.parameter().kind()
    }

    pub fn device(&self) -> Device {
        self.parameter().device()
    }
}

fn couplings(j: &Tensor) -> Tensor {
    let own = j.diagonal(0, 0, 1).diag(0);
    (j + j.tr()) * 0.5 - own
}

/// All after the first affine map: `[N, H]` -> `[N]`.
fn tail(layers: &[(Tensor, Tensor)], first: Tensor) -> Tensor {
    let next = |h: Tensor, (weight, bias): &(Tensor, Tensor)| h.silu().linear(weight, Some(bias));
    layers[1..].iter().fold(first, next).squeeze_dim(1)
}

/// The law of a model. Never tracks gradients: what learns the model calls [`Energy::log_prob`].
pub struct EnergyTarget {
    energy: Energy,
    ratios: Ratios,
}

impl EnergyTarget {
    pub fn new(energy: Energy, ratios: Ratios) -> Self {
        Self { energy, ratios }
    }
}

impl DiscreteTarget for EnergyTarget {
    fn sites(&self) -> i64 {
        self.energy.sites()
    }

    fn num_states(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.energy.log_prob(&x.to_kind(self.energy.kind()))
    }

    fn log_ratios(&self, x: &Tensor) -> Tensor {
        let bits = x.to_kind(self.energy.kind());
        let flips = match self.ratios {
            Ratios::Exact => {
                let _guard = tch::no_grad_guard();
                self.energy.flips(&bits)
            }
            Ratios::Taylor => value_and_grad(&bits, |x| self.energy.log_prob(x)).1 * (1.0 - &bits * 2.0),
        };
        // A site's own state adds nothing.
        Tensor::stack(&[&flips * &bits, &flips * (1.0 - &bits)], 2)
    }
}

/// A trained model from a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergyModelConfig {
    /// Tensors `0.weight`, `0.bias`, `2.weight`, … of a perceptron (PyTorch's names), or `J` of a quadratic form.
    pub path: PathBuf,
    #[serde(default)]
    pub ratios: Ratios,
}

pub fn energy_model(config: &EnergyModelConfig, options: Options) -> Result<EnergyTarget> {
    let name = config.path.display();
    if !config.path.is_file() {
        return Err(bad_input!(
            "'target.path' names {name}, which is not there; `ebm train` leaves energy.safetensors"
        ));
    }
    let file = read_weights(&config.path)?;
    let take = |key: &str| file.get(key).map(|tensor| tensor.to_kind(options.0).to_device(options.1));
    if let Some(j) = take("J") {
        if !matches!(j.size().as_slice(), [rows, columns] if rows == columns && *rows > 0) {
            return Err(bad_input!("{name}: tensor 'J' has shape {:?}, expected a square matrix", j.size()));
        }
        return Ok(EnergyTarget::new(Energy::Quadratic(j), config.ratios));
    }
    let layers: Vec<(Tensor, Tensor)> =
        (0..).map_while(|k| take(&format!("{}.weight", 2 * k)).zip(take(&format!("{}.bias", 2 * k)))).collect();
    let mut width = None;
    for (k, (weight, bias)) in layers.iter().enumerate() {
        let size = weight.size();
        let fits = size.len() == 2 && size[0] > 0 && size[1] > 0 && width.is_none_or(|width| size[1] == width);
        if !fits || bias.size() != [size[0]] {
            let place = 2 * k;
            return Err(bad_input!(
                "{name}: tensors '{place}.weight' {size:?} and '{place}.bias' {:?} do not continue a perceptron",
                bias.size()
            ));
        }
        width = Some(size[0]);
    }
    if layers.len() < 2 || width != Some(1) {
        let found = layers.len();
        return Err(bad_input!(
            "{name}: {found} layers '0.weight', '2.weight', …, expected two or more, the last of width 1"
        ));
    }
    Ok(EnergyTarget::new(Energy::Mlp(layers), config.ratios))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::params::Params;

    #[test]
    fn ratios_are_exact_and_taylor_is_not() {
        for config in [EnergyConfig::Mlp { hidden: vec![16, 8] }, EnergyConfig::Quadratic {}] {
            let params = Params::new(Kind::Double, Device::Cpu);
            let energy = config.build(&params.root(), 5);
            for (_, p) in params.named() {
                let _guard = tch::no_grad_guard();
                let _ = p.shallow_clone().g_add_(&p.randn_like());
            }
            let exact = EnergyTarget::new(energy.shallow_clone(), Ratios::Exact);
            let taylor = EnergyTarget::new(energy, Ratios::Taylor);
            let x = Tensor::randint(2, [7, 5], (Kind::Int64, Device::Cpu));
            let (log_prob, ratios) = (exact.log_prob(&x), exact.log_ratios(&x));
            for (site, state) in (0..5).flat_map(|site| [(site, 0), (site, 1)]) {
                let y = x.copy();
                let _ = y.select(1, site).fill_(state);
                let expected = exact.log_prob(&y) - &log_prob;
                let error = (ratios.select(1, site).select(1, state) - expected).abs().max().double_value(&[]);
                assert!(error < 1e-12, "{config:?}: {error}");
            }
            let apart = (taylor.log_ratios(&x) - &ratios).abs().max().double_value(&[]);
            // The form has no square of a single bit but that of a spin's own, which is constant: Taylor has it right
            // up to the diagonal.
            assert!(apart > 1e-3 || matches!(config, EnergyConfig::Quadratic {}), "{apart}");
            assert!(!log_prob.requires_grad() && !ratios.requires_grad());
        }
    }
}
