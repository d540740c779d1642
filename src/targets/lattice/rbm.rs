//! Restricted Boltzmann machines with one layer summed out.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::super::Options;
use super::super::support::{LN_2PI, constant};
use super::pair::{Interaction, PairModel};
use super::{DiscreteTarget, PairTarget};
use crate::bad_input;
use crate::config::check;
use crate::io::tensors::{read_tensors, take};

/// Most units of a layer.
const MOST_UNITS: i64 = 65_536;

/// Where a machine's parameters come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Parameters {
    /// Rows of `W`, one a visible unit, and both biases.
    Given { weights: Vec<Vec<f64>>, visible_bias: Vec<f64>, hidden_bias: Vec<f64> },
    /// Uniform weights in `[-scale, scale]`, no biases.
    Random { visible: i64, hidden: i64, scale: f64, seed: u64 },
    /// Tensors `W` [V, H], `b` [V] and `c` [H] of a file.
    File { path: PathBuf },
}

/// `log_prob(v) = b'v + sum over hidden units j of softplus(c_j + (v'W)_j)` for v in {0, 1}^V: the hidden layer of
/// `exp(b'v + c'h + v'W h)` summed out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BernoulliRbmConfig {
    pub parameters: Parameters,
}

/// The hidden units h in {0, 1}^H of `exp(-|v - b|² / (2 s²) + c'h + (v / s²)'W h)`, the visible v in R^V integrated
/// out: `log_prob(h) = c'h + (|b + W h|² - |b|²) / (2 s²) + V/2 log(2 pi s²)`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianRbmConfig {
    pub parameters: Parameters,
    /// Standard deviation `s` of the visible units.
    #[serde(default = "unit")]
    pub std: f64,
}

fn unit() -> f64 {
    1.0
}

/// `W` `[V, H]`, `b` `[V]`, `c` `[H]`, row-major.
struct Machine {
    weights: Vec<f64>,
    visible_bias: Vec<f64>,
    hidden_bias: Vec<f64>,
}

impl Machine {
    fn visible(&self) -> usize {
        self.visible_bias.len()
    }

    fn hidden(&self) -> usize {
        self.hidden_bias.len()
    }

    fn read(parameters: &Parameters) -> Result<Self> {
        match parameters {
            Parameters::Given { weights, visible_bias, hidden_bias } => given(weights, visible_bias, hidden_bias),
            Parameters::Random { visible, hidden, scale, seed } => {
                check::in_range("target.parameters.visible", *visible, 1, MOST_UNITS)?;
                check::in_range("target.parameters.hidden", *hidden, 1, MOST_UNITS)?;
                check::non_negative("target.parameters.scale", *scale)?;
                let mut random = ChaCha8Rng::seed_from_u64(*seed);
                let weights = (0..visible * hidden).map(|_| scale * (2.0 * random.random::<f64>() - 1.0)).collect();
                let zeros = |units: &i64| vec![0.0; *units as usize];
                Ok(Self { weights, visible_bias: zeros(visible), hidden_bias: zeros(hidden) })
            }
            Parameters::File { path } => from_file(path),
        }
    }
}

fn given(weights: &[Vec<f64>], visible_bias: &[f64], hidden_bias: &[f64]) -> Result<Machine> {
    check::not_empty("target.parameters.weights", weights)?;
    check::not_empty("target.parameters.hidden_bias", hidden_bias)?;
    check::length("target.parameters.visible_bias", visible_bias.len(), weights.len())?;
    check::all_finite("target.parameters.visible_bias", visible_bias)?;
    check::all_finite("target.parameters.hidden_bias", hidden_bias)?;
    for (i, row) in weights.iter().enumerate() {
        let key = format!("target.parameters.weights.{i}");
        check::length(&key, row.len(), hidden_bias.len())?;
        check::all_finite(&key, row)?;
    }
    Ok(Machine { weights: weights.concat(), visible_bias: visible_bias.to_vec(), hidden_bias: hidden_bias.to_vec() })
}

fn from_file(path: &Path) -> Result<Machine> {
    let file = path.display();
    if !path.exists() {
        return Err(bad_input!("'target.parameters.path' names {file}, which is not there; expected 'W', 'b' and 'c'"));
    }
    let mut tensors = read_tensors(path)?;
    let mut named = |name: &str, size: Option<&[i64]>| -> Result<(Vec<i64>, Vec<f64>)> {
        let tensor = take(path, &mut tensors, name)?.to_kind(Kind::Double).contiguous();
        let fits = size.map_or(tensor.dim() == 2 && tensor.numel() > 0, |size| tensor.size() == size);
        if !fits {
            let expected = size.map_or("[visible, hidden]".to_string(), |size| format!("{size:?}"));
            return Err(bad_input!("{file}: tensor '{name}' has shape {:?}, expected {expected}", tensor.size()));
        }
        let values = Vec::<f64>::try_from(tensor.view([-1]))?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(bad_input!("{file}: tensor '{name}' holds numbers that are not finite"));
        }
        Ok((tensor.size(), values))
    };
    let (size, weights) = named("W", None)?;
    let (_, visible_bias) = named("b", Some(&size[..1]))?;
    let (_, hidden_bias) = named("c", Some(&size[1..]))?;
    Ok(Machine { weights, visible_bias, hidden_bias })
}

/// Both biases as `[units, 2]` for states 0 and 1.
fn occupied(biases: impl Iterator<Item = f64>) -> Vec<f64> {
    biases.flat_map(|bias| [0.0, bias]).collect()
}

/// Visible units of a machine with Bernoulli units in both layers.
pub struct BernoulliRbm {
    /// `[V, H]`, `[V]`, `[H]`.
    weights: Tensor,
    visible_bias: Tensor,
    hidden_bias: Tensor,
    kind: Kind,
    /// Visible units, then hidden ones.
    joint: PairModel,
    visible: i64,
}

impl BernoulliRbm {
    pub fn new(config: &BernoulliRbmConfig, options: Options) -> Result<Self> {
        let machine = Machine::read(&config.parameters)?;
        let (v, h) = (machine.visible(), machine.hidden());
        let bond = |(k, w): (usize, &f64)| ((k / h) as u32, (v + k % h) as u32, *w);
        let bonds = machine.weights.iter().enumerate().map(bond).collect();
        let bias = occupied(machine.visible_bias.iter().chain(&machine.hidden_bias).copied());
        let joint = PairModel::new(2, Interaction::Product([0.0, 1.0]), 1.0, bonds, bias)?;
        let tensor = |values: &[f64], shape: &[i64]| constant(values, shape, options);
        Ok(Self {
            weights: tensor(&machine.weights, &[v as i64, h as i64]),
            visible_bias: tensor(&machine.visible_bias, &[-1]),
            hidden_bias: tensor(&machine.hidden_bias, &[-1]),
            kind: options.0,
            joint,
            visible: v as i64,
        })
    }
}

impl DiscreteTarget for BernoulliRbm {
    fn sites(&self) -> i64 {
        self.visible
    }

    fn num_states(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let v = x.to_kind(self.kind);
        let hidden = (v.matmul(&self.weights) + &self.hidden_bias).softplus(); // [B, H]
        hidden.sum_dim_intlist(1, false, None::<Kind>) + v.matmul(&self.visible_bias)
    }

    fn log_ratios(&self, x: &Tensor) -> Tensor {
        let v = x.to_kind(self.kind);
        let input = v.matmul(&self.weights) + &self.hidden_bias; // [B, H]
        let step: Tensor = 1.0 - &v * 2.0; // [B, V], +1 or -1
        let flipped = input.unsqueeze(1) + step.unsqueeze(2) * &self.weights; // [B, V, H]
        let gain = (flipped.softplus() - input.softplus().unsqueeze(1)).sum_dim_intlist(2, false, None::<Kind>);
        let ratio = gain + step * &self.visible_bias; // [B, V]
        // 0 at the own state, the ratio at the other.
        let other = Tensor::stack(&[&v, &(1.0 - &v)], 2); // [B, V, 2]
        ratio.unsqueeze(2) * other
    }

    fn pairs(&self) -> Option<&PairModel> {
        Some(&self.joint)
    }
}

/// Hidden units of a machine with Gaussian visible units.
pub struct GaussianRbm {
    hidden: PairTarget,
    /// `[V, H]` and `[V]`.
    weights: Tensor,
    visible_bias: Tensor,
    std: f64,
}

impl GaussianRbm {
    pub fn new(config: &GaussianRbmConfig, options: Options) -> Result<Self> {
        check::positive("target.std", config.std)?;
        let machine = Machine::read(&config.parameters)?;
        let (v, h, precision) = (machine.visible(), machine.hidden(), config.std.powi(-2));
        let w = &machine.weights;
        let product = |a: usize, b: usize| precision * (0..v).map(|i| w[i * h + a] * w[i * h + b]).sum::<f64>();
        let pairs = (0..h).flat_map(|a| (a + 1..h).map(move |b| (a, b)));
        let bonds = pairs.map(|(a, b)| (a as u32, b as u32, product(a, b))).collect();
        // h_j² = h_j, so half the diagonal of W'W is a bias.
        let bias = (0..h).map(|j| {
            let shift: f64 = (0..v).map(|i| machine.visible_bias[i] * w[i * h + j]).sum();
            machine.hidden_bias[j] + precision * shift + 0.5 * product(j, j)
        });
        let mut model = PairModel::new(2, Interaction::Product([0.0, 1.0]), 1.0, bonds, occupied(bias))?;
        model.offset = v as f64 * (0.5 * LN_2PI + config.std.ln());
        Ok(Self {
            hidden: PairTarget::new(model, vec![0, 1], None, options),
            weights: constant(&machine.weights, &[v as i64, h as i64], options),
            visible_bias: constant(&machine.visible_bias, &[-1], options),
            std: config.std,
        })
    }

    /// Mean of the visible units given the hidden ones, `[B, H]` -> `[B, V]`: `b + W h`.
    pub fn visible_mean(&self, x: &Tensor) -> Tensor {
        x.to_kind(self.weights.kind()).matmul(&self.weights.tr()) + &self.visible_bias
    }

    /// Visible units given the hidden ones, `[B, H]` -> `[B, V]`, from libtorch's generator.
    pub fn sample_visible(&self, x: &Tensor) -> Tensor {
        let mean = self.visible_mean(x);
        mean.randn_like() * self.std + mean
    }
}

impl DiscreteTarget for GaussianRbm {
    fn sites(&self) -> i64 {
        self.hidden.sites()
    }

    fn num_states(&self) -> i64 {
        2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        self.hidden.log_prob(x)
    }

    fn log_ratios(&self, x: &Tensor) -> Tensor {
        self.hidden.log_ratios(x)
    }

    fn pairs(&self) -> Option<&PairModel> {
        self.hidden.pairs()
    }
}
