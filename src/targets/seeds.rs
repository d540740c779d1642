//! Seeds: a random-effects logistic regression on 21 plates (Crowder, Applied Statistics 27, 1978; the BUGS example).

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::support::{LN_2PI, constant, exponent_bound};
use super::{Options, Target};

/// Germinated seeds, seeds on the plate, seed variety, root extract: Crowder's table 3 as BUGS lists it.
#[rustfmt::skip]
const PLATES: [[f64; 4]; 21] = [
    [10., 39., 0., 0.], [23., 62., 0., 0.], [23., 81., 0., 0.], [26., 51., 0., 0.], [17., 39., 0., 0.],
    [5., 6., 0., 1.], [53., 74., 0., 1.], [55., 72., 0., 1.], [32., 51., 0., 1.], [46., 79., 0., 1.],
    [10., 13., 0., 1.], [8., 16., 1., 0.], [10., 30., 1., 0.], [8., 28., 1., 0.], [23., 45., 1., 0.],
    [0., 4., 1., 0.], [3., 12., 1., 1.], [22., 41., 1., 1.], [15., 30., 1., 1.], [32., 51., 1., 1.],
    [3., 7., 1., 1.],
];
const NUM_PLATES: i64 = 21;
/// Fixed effects a0, a1, a12, a2, then one random effect a plate.
const NUM_EFFECTS: i64 = 4 + NUM_PLATES;
/// Standard deviation of the fixed effects under the prior.
const FIXED_STD: f64 = 10.0;
/// Shape and rate of the gamma prior on the precision of the random effects.
const GAMMA: f64 = 0.01;

/// No parameters: the data ship with the source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedsConfig {}

/// Coordinates `(a0, a1, a12, a2, b[21], log tau)`, in the alphabetical order of the published code.
///
/// `tau ~ Gamma(0.01, 0.01)`, `a ~ N(0, 10^2)`, `b ~ N(0, 1/tau)`, and `r_i` of `n_i` seeds germinate with logit
/// `a0 + a1 x1 + a2 x2 + a12 x1 x2 + b_i`; the binomial coefficients and the Jacobian of `log tau` are included.
pub struct Seeds {
    effects: Tensor,   // [25, 21], effects -> logits
    successes: Tensor, // [21]
    trials: Tensor,    // [21]
    fixed: Tensor,     // [25], prior precision of the fixed effects, zero for the random ones
    random: Tensor,    // [25], one for the random effects
    bound: f64,
    constant: f64,
}

impl Seeds {
    pub fn new(_config: &SeedsConfig, options: Options) -> Result<Self> {
        let plates = NUM_PLATES as usize;
        let mut effects = vec![0.0; NUM_EFFECTS as usize * plates];
        for (i, [_, _, x1, x2]) in PLATES.into_iter().enumerate() {
            for (row, value) in [1.0, x1, x1 * x2, x2].into_iter().enumerate() {
                effects[row * plates + i] = value;
            }
            effects[(4 + i) * plates + i] = 1.0;
        }
        let column = |c: usize| PLATES.map(|plate| plate[c]);
        let is_fixed = |yes: f64, no: f64| (0..NUM_EFFECTS).map(|i| if i < 4 { yes } else { no }).collect::<Vec<_>>();
        Ok(Self {
            effects: constant(&effects, &[NUM_EFFECTS, NUM_PLATES], options),
            successes: constant(&column(0), &[NUM_PLATES], options),
            trials: constant(&column(1), &[NUM_PLATES], options),
            fixed: constant(&is_fixed(1.0 / (FIXED_STD * FIXED_STD), 0.0), &[NUM_EFFECTS], options),
            random: constant(&is_fixed(0.0, 1.0), &[NUM_EFFECTS], options),
            bound: exponent_bound(options.0),
            constant: constants(),
        })
    }

    /// Effects `[N, 25]`, `log tau` `[N, 1]` and `tau` `[N, 1]`, bounded so that it stays finite.
    fn split(&self, x: &Tensor) -> (Tensor, Tensor, Tensor) {
        let log_tau = x.narrow(-1, NUM_EFFECTS, 1);
        let tau = log_tau.clamp_max(self.bound).exp();
        (x.narrow(-1, 0, NUM_EFFECTS), log_tau, tau)
    }
}

/// Normalisers of the priors and the binomial coefficients.
fn constants() -> f64 {
    let log_binomial = |r: i64, n: i64| (1..=r).map(|k| ((n - r + k) as f64 / k as f64).ln()).sum::<f64>();
    let binomial: f64 = PLATES.iter().map(|[r, n, _, _]| log_binomial(*r as i64, *n as i64)).sum();
    let gaussians = -0.5 * LN_2PI * NUM_EFFECTS as f64 - 4.0 * FIXED_STD.ln();
    binomial + gaussians + GAMMA * GAMMA.ln() - log_gamma(GAMMA)
}

/// Log of the gamma function, computed once by libtorch in f64.
fn log_gamma(x: f64) -> f64 {
    Tensor::from(x).lgamma().double_value(&[])
}

impl Target for Seeds {
    fn dim(&self) -> i64 {
        NUM_EFFECTS + 1
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let (effects, log_tau, tau) = self.split(x);
        let logits = effects.matmul(&self.effects); // [N, 21]
        // log sigmoid(-eta) = -log(1 + e^eta).
        let likelihood = &self.successes * &logits + &self.trials * logits.neg().log_sigmoid();

        // Every random effect brings sqrt(tau), the gamma prior tau^(shape - 1), its Jacobian one more tau.
        let square = effects.square();
        let precision = &self.fixed + &self.random * &tau; // [N, 25]
        let prior = (square * precision).sum_dim_intlist(-1, false, None) * -0.5;
        let hyper = log_tau * (GAMMA + 0.5 * NUM_PLATES as f64) - tau * GAMMA;
        likelihood.sum_dim_intlist(-1, false, None) + prior + hyper.squeeze_dim(-1) + self.constant
    }

    fn score(&self, x: &Tensor) -> Tensor {
        let (effects, _, tau) = self.split(x);
        let logits = effects.matmul(&self.effects);
        let surprise = &self.successes - &self.trials * logits.sigmoid(); // [N, 21]
        let precision = &self.fixed + &self.random * &tau;
        let of_effects = surprise.matmul(&self.effects.tr()) - &effects * precision;

        let random_square = (effects.square() * &self.random).sum_dim_intlist(-1, true, None);
        let of_log_tau = (random_square * 0.5 + GAMMA) * tau.neg() + (GAMMA + 0.5 * NUM_PLATES as f64);
        Tensor::cat(&[of_effects, of_log_tau], -1)
    }
}
