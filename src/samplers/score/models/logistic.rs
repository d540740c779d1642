//! The synthetic study of Yu and Yu (section 5.1): a ridge-penalised logistic density.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::PointsScore;
use crate::bad_input;
use crate::config::check;
use crate::targets::Options;
use crate::torch::seed::{Stream, reseed};

/// Proposals drawn at once.
const PROPOSALS: i64 = 20_000;
/// Rounds of proposals after which a density counts as out of reach.
const ROUNDS: usize = 2000;

/// `p_0 ∝ exp(-λ|θ|²/2 - (1/n) Σ_i log(1 + exp(-y_i x_i·θ)))` with `x_ij ~ N(0, feature_std²)`, and its noised scores by
/// Monte Carlo over exact samples of `p_0`.
///
/// The paper gives neither the law of the labels nor the number of samples: here labels are fair coins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticConfig {
    pub lambda: f64,
    #[serde(default = "twenty")]
    pub dim: i64,
    /// Number of observations, n.
    #[serde(default = "hundred")]
    pub observations: i64,
    #[serde(default = "ten")]
    pub feature_std: f64,
    /// Samples of `p_0` behind the score, M.
    pub score_samples: i64,
    /// Seed of the observations and of those samples.
    #[serde(default)]
    pub data_seed: u64,
}

fn twenty() -> i64 {
    20
}

fn hundred() -> i64 {
    100
}

fn ten() -> f64 {
    10.0
}

impl LogisticConfig {
    pub fn build(&self, options: Options) -> Result<PointsScore> {
        check::positive("target.lambda", self.lambda)?;
        check::in_range("target.dim", self.dim, 1, 10_000)?;
        check::in_range("target.observations", self.observations, 1, 100_000)?;
        check::positive("target.feature_std", self.feature_std)?;
        check::in_range("target.score_samples", self.score_samples, 1, 1_000_000)?;

        reseed(self.data_seed, Stream::Data, 0);
        let density = Density { signed_features: self.signed_features(options), deviation: self.lambda.powf(-0.5) };
        reseed(self.data_seed, Stream::Data, 1);
        let found = density.sample(self.score_samples).ok_or_else(|| {
            bad_input!(
                "'target.lambda' must be larger for exact samples, found {}: the Gaussian factor alone is too far from \
                 the density",
                self.lambda
            )
        })?;
        // What was reached once is reached again.
        let again = move |n: i64| density.sample(n).unwrap_or_else(|| Tensor::full([n, 1], f64::NAN, options));
        Ok(PointsScore::new(found, Box::new(again)))
    }

    /// `y_i x_i`, `[n, D]`.
    fn signed_features(&self, options: Options) -> Tensor {
        let features = Tensor::randn([self.observations, self.dim], (Kind::Double, options.1)) * self.feature_std;
        let labels = Tensor::randint(2, [self.observations, 1], (Kind::Double, options.1)) * 2.0 - 1.0;
        (features * labels).to_kind(options.0)
    }
}

struct Density {
    signed_features: Tensor, // [n, D]
    deviation: f64,          // of the Gaussian factor
}

impl Density {
    /// Rejection from the Gaussian factor: the logistic factor is at most 1. `None` if hardly any proposal is accepted.
    fn sample(&self, n: i64) -> Option<Tensor> {
        let options = (self.signed_features.kind(), self.signed_features.device());
        let dim = self.signed_features.size()[1];
        let (mut kept, mut count) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let proposals = Tensor::randn([PROPOSALS, dim], options) * self.deviation;
            let losses = (-proposals.matmul(&self.signed_features.tr())).softplus(); // [P, n]
            let log_accept = -losses.mean_dim(-1, false, None);
            let accepted = Tensor::rand([PROPOSALS], options).log().lt_tensor(&log_accept);
            let accepted = proposals.index_select(0, &accepted.nonzero().squeeze_dim(-1));
            count += accepted.size()[0];
            kept.push(accepted);
            if count >= n {
                return Some(Tensor::cat(&kept, 0).narrow(0, 0, n).contiguous());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// In one dimension the mean of exact samples is that of the density by quadrature.
    #[test]
    fn rejection_samples_the_density() {
        reseed(3, Stream::Data, 0);
        let density = Density { signed_features: Tensor::from_slice(&[4.0, -1.0, 6.0]).view([3, 1]), deviation: 0.5 };
        let x = Tensor::linspace(-3.0, 3.0, 4001, (Kind::Double, Device::Cpu)).unsqueeze(-1);
        let logistic = (-x.matmul(&density.signed_features.tr())).softplus().mean_dim(-1, true, None);
        let weights = (x.square() * (-0.5 / 0.25) - logistic).softmax(0, Kind::Double);
        let (mean, square) = ((&weights * &x).sum(None), (&weights * x.square()).sum(None));

        let n = 40_000;
        let samples = density.sample(n).unwrap();
        let (found, found_square) = (samples.mean(None), samples.square().mean(None));
        let error = (f64::try_from(&square).unwrap() / n as f64).sqrt();
        assert!(f64::try_from(found - mean).unwrap().abs() < 4.0 * error);
        assert!((f64::try_from(found_square / square).unwrap() - 1.0).abs() < 0.04);
    }
}
