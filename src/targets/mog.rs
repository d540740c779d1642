//! Ten Gaussians in the plane with full covariances ("MoG" of Blessing et al., "Beyond ELBOs", ICML 2024).

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::prng::{JaxStream, jax_uniform};
use super::support::{LN_2PI, constant};
use super::{Options, Target};

const COMPONENTS: i64 = 10;
const DIM: i64 = 2;

/// Covariances `[xx, xy, yy]`, one row a component. The authors drew them with SciPy's Wishart generator (4 degrees of
/// freedom, identity scale) under seeds derived from JAX's stream and hold them in float32; the draws are given here.
const COVARIANCES: [[f32; 3]; COMPONENTS as usize] = [
    [3.577_073_8, -0.269_563_44, 0.432_737_65],
    [1.821_751_7, 0.059_664_555, 1.596_710_2],
    [1.448_622_1, 1.798_569, 3.363_331_8],
    [2.217_305_4, 1.932_787_8, 4.290_222],
    [7.299_492, 2.650_546_3, 1.894_209_1],
    [6.430_211, -2.076_990_6, 3.454_474_7],
    [3.870_581_2, 0.575_000_4, 4.406_52],
    [4.045_531_3, 1.165_165_2, 3.302_680_5],
    [6.432_319, 1.065_453_4, 3.416_242_1],
    [3.180_666_4, -1.413_055_2, 4.527_865],
];

/// No parameters: the published density has two dimensions and one seed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MogConfig {}

/// Equal mixture of ten full-covariance Gaussians with means uniform on `[-10, 10]^2`, normalised: log Z = 0.
pub struct Mog {
    means: Tensor,     // [K, D]
    factors: Tensor,   // [K, D, D], lower Cholesky factors of the covariances
    whitening: Tensor, // [D, K * D], the inverse factors side by side, transposed
    centres: Tensor,   // [K * D], the whitened means
    log_norms: Tensor, // [K], log weight + log normaliser of each component
}

impl Mog {
    pub fn new(_config: &MogConfig, options: Options) -> Result<Self> {
        let exact = (Kind::Double, options.1);
        let means = jax_uniform(0, (COMPONENTS * DIM) as usize, -10.0, 10.0, JaxStream::Legacy);
        let means: Vec<f64> = means.into_iter().map(f64::from).collect();
        let means = constant(&means, &[COMPONENTS, DIM], exact);

        let entries: Vec<f64> = COVARIANCES.iter().flat_map(|[a, b, c]| [*a, *b, *b, *c].map(f64::from)).collect();
        let factors = constant(&entries, &[COMPONENTS, DIM, DIM], exact).linalg_cholesky(false);
        let whitening = Tensor::linalg_inv(&factors); // [K, D, D]
        let centres = whitening.matmul(&means.unsqueeze(-1)).reshape([COMPONENTS * DIM]);

        let log_det = factors.diagonal(0, 1, 2).log().sum_dim_intlist(-1, false, None); // [K]
        let log_norms = -log_det - (0.5 * LN_2PI * DIM as f64 + (COMPONENTS as f64).ln());
        Ok(Self {
            means: means.to_kind(options.0),
            factors: factors.to_kind(options.0),
            whitening: whitening.reshape([COMPONENTS * DIM, DIM]).tr().contiguous().to_kind(options.0),
            centres: centres.to_kind(options.0),
            log_norms: log_norms.to_kind(options.0),
        })
    }

    /// Whitened offsets from every mean, `[N, K, D]`.
    fn whitened(&self, x: &Tensor) -> Tensor {
        (x.matmul(&self.whitening) - &self.centres).view([-1, COMPONENTS, DIM])
    }

    /// Weighted log-density of every component, `[N, K]`.
    fn log_terms(&self, whitened: &Tensor) -> Tensor {
        whitened.square().sum_dim_intlist(-1, false, None) * -0.5 + &self.log_norms
    }
}

impl Target for Mog {
    fn dim(&self) -> i64 {
        DIM
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        self.log_terms(&self.whitened(x)).logsumexp(-1, false)
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let whitened = self.whitened(x);
        let responsibility = self.log_terms(&whitened).softmax(-1, None).unsqueeze(-1); // [N, K, 1]
        let pull = (whitened * responsibility).view([-1, COMPONENTS * DIM]);
        pull.matmul(&self.whitening.tr()).neg()
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        let options = (self.means.kind(), self.means.device());
        let component = Tensor::randint(COMPONENTS, [n], (Kind::Int64, options.1));
        let noise = Tensor::randn([n, DIM, 1], options);
        let offset = self.factors.index_select(0, &component).matmul(&noise).squeeze_dim(-1);
        Some(self.means.index_select(0, &component) + offset)
    }

    /// Modes are the components.
    fn mode_log_probs(&self, x: &Tensor) -> Option<Tensor> {
        Some(self.log_terms(&self.whitened(x)) + (COMPONENTS as f64).ln())
    }
}
