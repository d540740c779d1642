//! The noise levels that a denoiser is trained at.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::config::check;
use crate::nets::denoiser::LEAST_NOISE;

/// The `noise:` section. `ln σ` is normal, as in EDM (table 1), and held within the levels that samplers visit: from
/// EDM's least, 0.002, to `sqrt(e^T - 1)` at the horizon T. What the normal has beyond falls on the ends, so the level at
/// which samplers start has a weight of its own. A share `uniform` of all draws is uniform in `ln σ` instead: long horizons
/// reach levels that the normal hardly knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// Mean of `ln σ`.
    pub mean: f64,
    /// Its deviation.
    pub std: f64,
    pub uniform: f64,
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self { mean: -1.2, std: 1.2, uniform: 0.1 }
    }
}

impl NoiseConfig {
    pub fn validate(&self) -> Result<()> {
        check::finite("noise.mean", self.mean)?;
        check::non_negative("noise.std", self.std)?;
        check::probability("noise.uniform", self.uniform)
    }

    /// `n` levels `[n, 1]` for the process up to `horizon`, of the kind and on the device of `like`.
    pub fn draw(&self, n: i64, horizon: f64, like: &Tensor) -> Tensor {
        let options = (Kind::Double, like.device());
        let (low, high) = (LEAST_NOISE.ln(), 0.5 * horizon.exp_m1().ln());
        let normal = Tensor::randn([n, 1], options) * self.std + self.mean;
        let uniform = Tensor::rand([n, 1], options) * (high - low) + low;
        let of_uniform = Tensor::rand([n, 1], options).lt(self.uniform);
        uniform.where_self(&of_uniform, &normal.clamp(low, high)).exp().to_kind(like.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    #[test]
    fn levels_have_their_law_and_stay_within_the_horizon() {
        reseed(0, Stream::Data, 0);
        let like = Tensor::zeros([0], (Kind::Double, Device::Cpu));
        let draw = |uniform| NoiseConfig { uniform, ..NoiseConfig::default() }.draw(20_000, 2.0, &like).log();
        let share = |mask: Tensor| mask.to_kind(Kind::Double).mean(None).double_value(&[]);
        let top = 0.5 * 2f64.exp_m1().ln();

        let normal = draw(0.0);
        assert!((share(normal.lt(-1.2)) - 0.5).abs() < 0.015);
        // Beyond the horizon lies 3.8 % of the normal.
        assert!((share(normal.ge(top - 1e-9)) - 0.038).abs() < 0.006 && share(normal.gt(top + 1e-9)) == 0.0);
        let uniform = draw(1.0);
        let middle = 0.5 * (top + LEAST_NOISE.ln());
        assert!((share(uniform.lt(middle)) - 0.5).abs() < 0.015);
        assert!(uniform.min().double_value(&[]) >= LEAST_NOISE.ln() - 1e-9);
    }
}
