//! Brownian motion with unknown scales and missing middle observations: a 32-dimensional posterior.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::support::{LN_2PI, constant};
use super::{Options, Target};

/// Observed positions at steps 0..10 and 20..30; steps 10..20 are missing. Values of the inference gym's
/// `BrownianMotionUnknownScalesMissingMiddleObservations` (Sountsov, Radul et al., 2020; Apache-2.0).
#[rustfmt::skip]
const OBSERVED: [f64; 20] = [
    0.215_926_408_767_700_2, 0.118_771_404_027_938_84, -0.079_454_466_700_553_9, 0.037_677_474_319_934_845,
    -0.278_858_453_035_354_6, -0.148_414_596_915_245_06, -0.325_090_587_139_129_64, -0.229_579_031_467_437_74,
    -0.441_108_942_031_860_35, -0.098_308_078_174_362_18,
    -0.878_601_610_660_553, -0.837_360_739_707_946_8, -0.738_484_919_071_197_5, -0.893_925_428_390_502_9,
    -0.777_456_581_592_559_8, -0.702_387_154_102_325_4, -0.877_715_647_220_611_6, -0.518_535_733_222_961_4,
    -0.694_821_417_331_695_6, -0.620_278_894_901_275_6,
];
const STEPS: i64 = 30;
/// Standard deviation of the log of either scale under the prior.
const LOG_SCALE_STD: f64 = 2.0;

/// No parameters: the data are part of the density.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrownianConfig {}

/// Unconstrained coordinates `z = (softplus^-1 innovation scale, softplus^-1 observation scale, 30 positions)`.
///
/// Both scales are LogNormal(0, 2), the walk starts at 0, and the log-Jacobian of the softplus is included.
pub struct Brownian {
    steps: Tensor,     // [T, T], positions -> increments, as `positions @ steps`
    selection: Tensor, // [T, 20], picks the observed positions
    observed: Tensor,  // [20]
    smallest: f64,
}

/// What log-density and score share.
struct Parts {
    raw: Tensor,        // [N, 2], unconstrained scales
    scales: Tensor,     // [N, 2]
    increments: Tensor, // [N, T]
    residuals: Tensor,  // [N, 20]
    squares: Tensor,    // [N, 2], sums of squared increments and residuals
}

impl Brownian {
    pub fn new(_config: &BrownianConfig, options: Options) -> Result<Self> {
        let observed_at = |j: i64| if j < 10 { j } else { j + 10 };
        let mut steps = vec![0.0; (STEPS * STEPS) as usize];
        let mut selection = vec![0.0; (STEPS * 20) as usize];
        for t in 0..STEPS {
            steps[(t * STEPS + t) as usize] = 1.0;
            if t + 1 < STEPS {
                steps[(t * STEPS + t + 1) as usize] = -1.0;
            }
        }
        (0..20).for_each(|j| selection[(observed_at(j) * 20 + j) as usize] = 1.0);
        Ok(Self {
            steps: constant(&steps, &[STEPS, STEPS], options),
            selection: constant(&selection, &[STEPS, 20], options),
            observed: constant(&OBSERVED, &[20], options),
            // Below this a scale is held, 13 (f32) prior standard deviations out, so that its inverse square is finite.
            smallest: if options.0 == tch::Kind::Double { 1e-100 } else { 1e-12 },
        })
    }

    fn parts(&self, x: &Tensor) -> Parts {
        let raw = x.narrow(-1, 0, 2);
        let positions = x.narrow(-1, 2, STEPS);
        let scales = softplus(&raw).clamp_min(self.smallest);
        let increments = positions.matmul(&self.steps);
        let residuals = positions.matmul(&self.selection) - &self.observed;
        let sum_squares = |u: &Tensor| u.square().sum_dim_intlist(-1, true, None);
        let squares = Tensor::cat(&[sum_squares(&increments), sum_squares(&residuals)], -1);
        Parts { raw, scales, increments, residuals, squares }
    }

    /// Number of Gaussian terms under each scale, `[2]`.
    fn counts(&self) -> Tensor {
        Tensor::from_slice(&[STEPS as f64, 20.0]).to_device(self.observed.device()).to_kind(self.observed.kind())
    }
}

/// `log(1 + e^x)` without the linear branch of libtorch's own, which is off by 2e-9 where it sets in.
fn softplus(x: &Tensor) -> Tensor {
    x.neg().log_sigmoid().neg()
}

impl Target for Brownian {
    fn dim(&self) -> i64 {
        STEPS + 2
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let p = self.parts(x);
        let log_scales = p.scales.log();
        let prior = log_scales.square() * (-0.5 / (LOG_SCALE_STD * LOG_SCALE_STD)) - &log_scales;
        let jacobian = p.raw.log_sigmoid();
        let walk = p.squares * -0.5 / p.scales.square() - log_scales * self.counts();

        let constants = -LN_2PI - 2.0 * LOG_SCALE_STD.ln() - 0.5 * LN_2PI * (STEPS + 20) as f64;
        (prior + jacobian + walk).sum_dim_intlist(-1, false, None) + constants
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let p = self.parts(x);
        let precision = p.scales.square().reciprocal(); // [N, 2]

        // d/d scale of prior and walk, carried through d scale / d raw = sigmoid, plus the Jacobian's own gradient.
        let log_slope = p.scales.log() * (-1.0 / (LOG_SCALE_STD * LOG_SCALE_STD)) - 1.0 - self.counts();
        let scale_slope = (log_slope + p.squares * &precision) / p.scales;
        let raw_score = scale_slope * p.raw.sigmoid() + p.raw.neg().sigmoid();

        let walk = (p.increments * precision.narrow(-1, 0, 1)).matmul(&self.steps.tr());
        let seen = (p.residuals * precision.narrow(-1, 1, 1)).matmul(&self.selection.tr());
        Tensor::cat(&[raw_score, (walk + seen).neg()], -1)
    }
}
