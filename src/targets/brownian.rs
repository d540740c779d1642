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
    -0.278_858_453_035_354_6, -0.148_415_595_293_045_04, -0.325_090_587_139_129_64, -0.229_579_031_467_437_74,
    -0.441_108_942_031_860_35, -0.098_307_818_174_362_18,
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
    counts: Tensor,    // [2], Gaussian terms under each scale
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
            counts: constant(&[STEPS as f64, 20.0], &[2], options),
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
        let walk = p.squares * -0.5 / p.scales.square() - log_scales * &self.counts;

        let constants = -LN_2PI - 2.0 * LOG_SCALE_STD.ln() - 0.5 * LN_2PI * (STEPS + 20) as f64;
        (prior + jacobian + walk).sum_dim_intlist(-1, false, None) + constants
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let p = self.parts(x);
        let precision = p.scales.square().reciprocal(); // [N, 2]

        // d/d scale of prior and walk, carried through d scale / d raw = sigmoid, plus the Jacobian's own gradient.
        let log_slope = p.scales.log() * (-1.0 / (LOG_SCALE_STD * LOG_SCALE_STD)) - 1.0 - &self.counts;
        let chain = p.raw.sigmoid() / &p.scales; // near 1 for small scales, so nothing overflows
        let raw_score = (log_slope + p.squares * &precision) * chain + p.raw.neg().sigmoid();

        let walk = (p.increments * precision.narrow(-1, 0, 1)).matmul(&self.steps.tr());
        let seen = (p.residuals * precision.narrow(-1, 1, 1)).matmul(&self.selection.tr());
        Tensor::cat(&[raw_score, (walk + seen).neg()], -1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// The generative story, one number at a time.
    fn by_hand(z: &[f64]) -> f64 {
        let normal = |x: f64, mean: f64, std: f64| -0.5 * ((x - mean) / std).powi(2) - std.ln() - 0.5 * LN_2PI;
        let scale = |raw: f64| raw.exp().ln_1p();
        let scale_prior = |raw: f64| {
            let log_scale = scale(raw).ln();
            normal(log_scale, 0.0, 2.0) - log_scale - (-raw).exp().ln_1p()
        };
        let (innovation, observation, positions) = (scale(z[0]), scale(z[1]), &z[2..]);

        let mut total = scale_prior(z[0]) + scale_prior(z[1]);
        for t in 0..30 {
            total += normal(positions[t], if t == 0 { 0.0 } else { positions[t - 1] }, innovation);
            if !(10..20).contains(&t) {
                total += normal(OBSERVED[if t < 10 { t } else { t - 10 }], positions[t], observation);
            }
        }
        total
    }

    #[test]
    fn the_observations_are_the_published_ones() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/targets/brownian_d32_params.safetensors");
        let file = crate::io::tensors::read_tensors(path.as_ref()).unwrap();
        let published = Vec::<f64>::try_from(&file["observed_locs_nan_missing"]).unwrap();
        let (seen, missing): (Vec<usize>, Vec<usize>) = (0..30).partition(|t| !published[*t].is_nan());
        assert_eq!(missing, (10..20).collect::<Vec<_>>());
        assert_eq!(seen.into_iter().map(|t| published[t]).collect::<Vec<_>>(), OBSERVED);
    }

    #[test]
    fn log_prob_is_the_generative_story() {
        let target = Brownian::new(&BrownianConfig {}, (Kind::Double, Device::Cpu)).unwrap();
        for shift in [0.0, 1.7, 4.1] {
            let z: Vec<f64> = (0..32).map(|i| (0.9 * i as f64 + shift).sin() - 0.5).collect();
            let found = target.log_prob(&Tensor::from_slice(&z).unsqueeze(0)).double_value(&[0]);
            assert!((found - by_hand(&z)).abs() < 1e-9 * found.abs(), "{found} against {}", by_hand(&z));
        }
    }
}
