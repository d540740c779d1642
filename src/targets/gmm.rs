//! Forty equal Gaussians with random means: the mode-coverage benchmark, in the three versions in circulation.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::prng::{JaxStream, jax_uniform, torch_uniform};
use super::support::{LN_2PI, constant};
use super::{Options, Target};
use crate::config::check;

/// Half the side of the cube the means are drawn from.
const SPREAD: f32 = 40.0;
/// Up to this dimension, distances are taken from differences, beyond it from matrix products.
const MAX_DIRECT: i64 = 4;

/// Whose "GMM-40": same name, different densities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GmmVariant {
    /// Means from JAX's stream before version 0.5, std 1: the one behind published numbers of diffusion samplers.
    #[default]
    JaxLegacy,
    /// The same code on JAX 0.5 or later, std 1: other means, hence another density.
    JaxPartitionable,
    /// Means from torch's stream, std softplus(1): Midgley et al., "Flow annealed importance sampling bootstrap"
    /// (FAB, ICLR 2023), also used by DEM. Their code returns -inf below a log-density of -1e4; this one does not.
    Fab,
}

/// Dimension, version and the seed of the means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GmmConfig {
    pub dim: i64,
    #[serde(default)]
    pub variant: GmmVariant,
    #[serde(default)]
    pub seed: u32,
    /// Number of components.
    #[serde(default = "forty")]
    pub components: i64,
}

fn forty() -> i64 {
    40
}

impl GmmConfig {
    /// Component means `[K, D]` in float32, as the published code holds them, and their common standard deviation.
    fn components(&self) -> (Vec<f32>, f64) {
        let count = (self.components * self.dim) as usize;
        let jax = |stream| jax_uniform(self.seed, count, -1.0, 1.0, stream).into_iter().map(|u| u * SPREAD).collect();
        match self.variant {
            GmmVariant::JaxLegacy => (jax(JaxStream::Legacy), 1.0),
            GmmVariant::JaxPartitionable => (jax(JaxStream::Partitionable), 1.0),
            GmmVariant::Fab => {
                let means = torch_uniform(self.seed, count).into_iter().map(|u| (u - 0.5) * 2.0 * SPREAD).collect();
                (means, std::f64::consts::E.ln_1p())
            }
        }
    }
}

/// Equal mixture of `K` isotropic Gaussians, normalised: log Z = 0.
///
/// In few dimensions components overlap, and their weights at a point need the squared distances to full precision:
/// `|x - m|^2` is summed from differences. In many dimensions that would cost `N K D` numbers a call; there
/// `|x|^2 - 2 x m + |m|^2` leaves one matrix product, and the digits it loses in f32 only shift weights between
/// components that are tens of standard deviations apart.
pub struct Gmm {
    dim: i64,
    std: f64,
    means: Tensor,        // [K, D]
    scaled_means: Tensor, // [D, K], means / std^2
    offsets: Tensor,      // [K], -|mean|^2 / (2 std^2)
}

impl Gmm {
    pub fn new(config: &GmmConfig, options: Options) -> Result<Self> {
        check::at_least("target.dim", config.dim, 1)?;
        check::at_least("target.components", config.components, 1)?;
        let (means, std) = config.components();
        let means: Vec<f64> = means.into_iter().map(f64::from).collect();
        let means = constant(&means, &[config.components, config.dim], (Kind::Double, options.1));

        let precision = 1.0 / (std * std);
        let offsets = means.square().sum_dim_intlist(-1, false, None) * (-0.5 * precision);
        let scaled_means = (means.tr() * precision).contiguous();
        Ok(Self {
            dim: config.dim,
            std,
            means: means.to_kind(options.0),
            scaled_means: scaled_means.to_kind(options.0),
            offsets: offsets.to_kind(options.0),
        })
    }

    /// The component means `[K, D]`.
    pub fn means(&self) -> &Tensor {
        &self.means
    }

    fn is_direct(&self) -> bool {
        self.dim <= MAX_DIRECT
    }

    /// `(mean - x) / std^2` of every component, coordinates first, `[D, N, K]`.
    fn pulls(&self, x: &Tensor) -> Tensor {
        self.scaled_means.unsqueeze(1) - (x.tr() * (1.0 / (self.std * self.std))).unsqueeze(-1)
    }

    /// Log-densities of the components up to their common normaliser, `[N, K]`, from [`pulls`](Self::pulls).
    fn direct_logits(&self, pulls: &Tensor) -> Tensor {
        pulls.square().sum_dim_intlist(0, false, None) * (-0.5 * self.std * self.std)
    }

    /// Log-densities of the components up to what they share at a point, `[N, K]`: one matrix product.
    fn product_logits(&self, x: &Tensor) -> Tensor {
        self.offsets.addmm(x, &self.scaled_means)
    }

    /// The log of the summed components by products, `[N]`.
    ///
    /// `|x|^2` and the logits are thousands of times the result near a mode and would cancel in f32: the largest
    /// component is therefore taken from the difference, only the others relative to it from the product.
    fn product_log_sum(&self, x: &Tensor) -> Tensor {
        let logits = self.product_logits(x);
        let nearest = logits.argmax(-1, true); // [N, 1]
        let relative = &logits - logits.gather(-1, &nearest, false);
        let offset = (x - self.means.index_select(0, &nearest.squeeze_dim(-1))) * (1.0 / self.std); // [N, D]
        offset.square().sum_dim_intlist(-1, false, None) * -0.5 + relative.logsumexp(-1, false)
    }

    fn log_norm(&self) -> f64 {
        -(self.dim as f64) * (0.5 * LN_2PI + self.std.ln())
    }
}

impl Target for Gmm {
    fn dim(&self) -> i64 {
        self.dim
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let log_weight = -(self.means.size()[0] as f64).ln();
        let log_sum = if self.is_direct() {
            self.direct_logits(&self.pulls(x)).logsumexp(-1, false)
        } else {
            self.product_log_sum(x)
        };
        log_sum + (self.log_norm() + log_weight)
    }

    fn score(&self, x: &Tensor) -> Tensor {
        if self.is_direct() {
            let pulls = self.pulls(x);
            let responsibility = self.direct_logits(&pulls).softmax(-1, None); // [N, K]
            return (pulls * responsibility).sum_dim_intlist(-1, false, None).tr();
        }
        let responsibility = self.product_logits(x).softmax(-1, None); // [N, K]
        (responsibility.matmul(&self.means) - x) * (1.0 / (self.std * self.std))
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let options = (self.means.kind(), self.means.device());
        let component = Tensor::randint(self.means.size()[0], [n], (Kind::Int64, options.1));
        Some(self.means.index_select(0, &component) + Tensor::randn([n, self.dim], options) * self.std)
    }

    /// Modes are the components.
    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        if self.is_direct() {
            return Some(self.direct_logits(&self.pulls(x)) + self.log_norm());
        }
        let norm = x.square().sum_dim_intlist(-1, true, None) * (-0.5 / (self.std * self.std));
        Some(self.product_logits(x) + norm + self.log_norm())
    }
}
