//! Ten products of Student-t distributions ("MoS" of Blessing et al., "Beyond ELBOs", ICML 2024).

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::prng::{JaxStream, jax_uniform};
use super::support::constant;
use super::{Options, Target};
use crate::config::check;

/// Degrees of freedom of every factor. At 2 the variance is infinite but the normaliser is elementary.
const FREEDOM: f64 = 2.0;

/// Dimension and the stream of the locations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MosConfig {
    pub dim: i64,
    /// `jax_legacy` (published numbers) or `jax_partitionable`.
    #[serde(default)]
    pub variant: JaxStream,
    #[serde(default)]
    pub seed: u32,
    #[serde(default = "ten")]
    pub components: i64,
}

fn ten() -> i64 {
    10
}

/// Equal mixture of `K` components, each a *product over coordinates* of Student-t(2) with unit scale (not a
/// multivariate t), locations uniform on `[-10, 10]^D`. Normalised: log Z = 0.
pub struct Mos {
    means: Tensor, // [K, D]
}

impl Mos {
    pub fn new(config: &MosConfig, options: Options) -> Result<Self> {
        check::at_least("target.dim", config.dim, 1)?;
        check::at_least("target.components", config.components, 1)?;
        let means = jax_uniform(config.seed, (config.components * config.dim) as usize, -10.0, 10.0, config.variant);
        let means: Vec<f64> = means.into_iter().map(f64::from).collect();
        Ok(Self { means: constant(&means, &[config.components, config.dim], options) })
    }

    /// The component locations `[K, D]`.
    pub fn means(&self) -> &Tensor {
        &self.means
    }

    fn components(&self) -> i64 {
        self.means.size()[0]
    }

    /// Log-density of every component, `[N, K]`, from the offsets `[N, K, D]`.
    ///
    /// Student-t(2): `p(u) = (2 + u^2)^(-3/2)`, written with `log1p` for precision near the mode.
    fn log_terms(&self, offsets: &Tensor) -> Tensor {
        let log_factors = (offsets.square() * (1.0 / FREEDOM)).log1p(); // [N, K, D]
        let log_norm = -1.5 * std::f64::consts::LN_2 * self.dim() as f64;
        log_factors.sum_dim_intlist(-1, false, None) * (-0.5 * (FREEDOM + 1.0)) + log_norm
    }

    fn offsets(&self, x: &Tensor) -> Tensor {
        x.unsqueeze(-2) - &self.means // [N, K, D]
    }
}

impl Target for Mos {
    fn dim(&self) -> i64 {
        self.means.size()[1]
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        self.log_terms(&self.offsets(x)).logsumexp(-1, false) - (self.components() as f64).ln()
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let offsets = self.offsets(x);
        let responsibility = self.log_terms(&offsets).softmax(-1, None).unsqueeze(-2); // [N, 1, K]
        let pulls = &offsets / (offsets.square() + FREEDOM); // [N, K, D]
        responsibility.matmul(&pulls).squeeze_dim(-2) * -(FREEDOM + 1.0)
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    /// `normal / sqrt(exponential)` has a Student-t(2) distribution: half a chi-square with 2 degrees of freedom is a
    /// unit exponential.
    fn sample(&self, n: i64) -> Option<Tensor> {
        let options = (self.means.kind(), self.means.device());
        let component = Tensor::randint(self.components(), [n], (Kind::Int64, options.1));
        let half_chi2 = Tensor::empty([n, self.dim()], options).exponential_(1.0);
        let student = Tensor::randn([n, self.dim()], options) / half_chi2.sqrt();
        Some(self.means.index_select(0, &component) + student)
    }

    /// Modes are the components.
    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        Some(self.log_terms(&self.offsets(x)))
    }
}
