//! Mixtures of Gaussians, of all coordinates jointly or of each by itself, with exact noised scores and posteriors.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Prior;
use super::gaussian::noised;
use crate::bad_input;
use crate::config::check;
use crate::targets::inverse::values::Values;
use crate::targets::support::LN_2PI;

/// `Σ_k w_k N(m_k, diag(v_k))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureConfig {
    pub weights: Vec<f64>,
    /// One entry a component, each a number, a list of one a coordinate, a file, or random.
    pub means: Vec<Values>,
    pub variances: Vec<Values>,
    /// Whether means and variances are in units of the reference's deviations and variances.
    #[serde(default)]
    pub whitened: bool,
    /// Whether one component is chosen for all coordinates, rather than one for each independently.
    #[serde(default = "yes")]
    pub joint: bool,
}

fn yes() -> bool {
    true
}

/// The mixture with its numbers.
pub struct MixturePrior {
    pub log_weights: Tensor, // [K]
    pub means: Tensor,       // [K, D]
    pub variances: Tensor,   // [K, D]
    pub joint: bool,
}

/// A mixture that was conditioned on data: weights `[K, 1]` (joint) or `[K, D]`, means and variances `[K, D]`.
pub struct Conditioned {
    pub weights: Tensor,
    pub means: Tensor,
    pub variances: Tensor,
}

impl MixturePrior {
    pub fn new(config: &MixtureConfig, mu: &Tensor) -> Result<Self> {
        let key = |name: &str| format!("problem.prior.{name}");
        check::not_empty(&key("weights"), &config.weights)?;
        for (i, weight) in config.weights.iter().enumerate() {
            check::positive(&key(&format!("weights.{i}")), *weight)?;
        }
        check::length(&key("means"), config.means.len(), config.weights.len())?;
        check::length(&key("variances"), config.variances.len(), config.weights.len())?;
        let rows = |name: &str, values: &[Values], unit: &Tensor| {
            let row = |(i, values): (usize, &Values)| values.resolve(&key(&format!("{name}.{i}")), mu.size()[0]);
            let rows = values.iter().enumerate().map(row).collect::<Result<Vec<_>>>()?;
            let rows = Tensor::stack(&rows, 0);
            anyhow::Ok(if config.whitened { rows * unit } else { rows })
        };
        let means = rows("means", &config.means, &mu.sqrt())?;
        let variances = rows("variances", &config.variances, mu)?;
        if variances.min().double_value(&[]) <= 0.0 {
            return Err(bad_input!(
                "'problem.prior.variances' must be larger than 0, found {:e}",
                variances.min().double_value(&[])
            ));
        }
        let weights = Tensor::from_slice(&config.weights);
        let log_weights = (&weights / weights.sum(Kind::Double)).log();
        Ok(Self { log_weights, means, variances, joint: config.joint })
    }

    /// The same mixture after noise of forward time τ.
    fn noised(&self, tau: f64, lambda: &Tensor) -> (Tensor, Tensor) {
        (&self.means * (-0.5 * tau).exp(), noised(&self.variances, tau, lambda))
    }

    /// Sums over coordinates where one component is for all: `[.., K, D]` -> `[.., K, 1]`.
    fn pooled(&self, terms: &Tensor) -> Tensor {
        if self.joint { terms.sum_dim_intlist(-1, true, Kind::Double) } else { terms.shallow_clone() }
    }

    /// Logarithms of `w_k N(x; m_k, v_k)`, `[N, K, 1]` or `[N, K, D]`, and `(x - m_k) / v_k`.
    fn terms(&self, x: &Tensor, means: &Tensor, variances: &Tensor) -> (Tensor, Tensor) {
        let difference = x.unsqueeze(1) - means; // [N, K, D]
        let pull = &difference / variances;
        let log = (&difference * &pull + variances.log() + LN_2PI) * -0.5;
        (self.pooled(&log) + self.log_weights.unsqueeze(1), pull)
    }

    /// The posterior under the noised prior of diagonal observations: precisions a = A²/σ² and scaled residuals
    /// `(y - A m) / σ` of any mean. At τ = 0 the exact posterior; at τ the law that exact-score Langevin dynamics leave
    /// invariant.
    pub fn condition(
        &self,
        tau: f64,
        lambda: &Tensor,
        a: &Tensor,
        y: &Tensor,
        diagonal: &Tensor,
        sigma: f64,
    ) -> Conditioned {
        let (means, variances) = self.noised(tau, lambda);
        let gain = &variances * a + 1.0;
        let residual = (y - diagonal * &means) / sigma;
        let evidence = (residual.square() / &gain + gain.log()) * -0.5;
        let weights = (self.pooled(&evidence) + self.log_weights.unsqueeze(1)).softmax(0, Kind::Double);
        let variances = variances / gain;
        let means = means + &variances * diagonal * residual / sigma;
        Conditioned { weights, means, variances }
    }
}

impl Conditioned {
    /// Means and variances of the coordinates, `[D]` each.
    pub fn moments(&self) -> (Tensor, Tensor) {
        let average = |t: &Tensor| (t * &self.weights).sum_dim_intlist(0, false, Kind::Double);
        let mean = average(&self.means);
        let variance = average(&(&self.variances + (&self.means - &mean).square()));
        (mean, variance)
    }

    /// Log-density of each coordinate's own law at points `x` `[P, D]`: `[P, D]`.
    pub fn marginal_log_prob(&self, x: &Tensor) -> Tensor {
        let difference = x.unsqueeze(1) - &self.means; // [P, K, D]
        let log = (difference.square() / &self.variances + self.variances.log() + LN_2PI) * -0.5;
        (log + self.weights.log()).logsumexp(1, false)
    }

    /// `KL(self ‖ other)` of each coordinate, `[D]`, by the trapezoidal rule over twelve deviations of the widest
    /// component on either side.
    pub fn marginal_kl(&self, other: &Conditioned) -> Tensor {
        let reach = self.variances.sqrt().amax(0, false) * 12.0;
        let (low, high) = (self.means.amin(0, false) - &reach, self.means.amax(0, false) + &reach);
        let cells = 8000;
        let t = Tensor::linspace(0.0, 1.0, cells + 1, (Kind::Double, low.device())).unsqueeze(1);
        let x = t * (&high - &low) + &low; // [P, D]
        let log = self.marginal_log_prob(&x);
        let integrand = log.exp() * (&log - other.marginal_log_prob(&x));
        integrand.sum_dim_intlist(0, false, Kind::Double) * (high - low) / cells as f64
    }
}

impl Prior for MixturePrior {
    fn score(&self, x: &Tensor, tau: f64, lambda: &Tensor) -> Tensor {
        let (means, variances) = self.noised(tau, lambda);
        let (log, pull) = self.terms(x, &means, &variances);
        let share = log.softmax(1, Kind::Double);
        -(share * pull).sum_dim_intlist(1, false, Kind::Double) * lambda
    }

    fn log_prob(&self, x: &Tensor) -> Tensor {
        let (log, _) = self.terms(x, &self.means, &self.variances);
        log.logsumexp(1, false).sum_dim_intlist(-1, false, Kind::Double)
    }

    fn sample(&self, n: i64) -> Tensor {
        let dim = self.means.size()[1];
        let chosen = if self.joint { n } else { n * dim };
        let which = self.log_weights.exp().multinomial(chosen, true).view([n, -1]).expand([n, dim], false);
        let pick = |t: &Tensor| t.gather(0, &which, false); // [N, D]
        pick(&self.means) + pick(&self.variances.sqrt()) * Tensor::randn([n, dim], (Kind::Double, which.device()))
    }

    fn curvature(&self, tau: f64, lambda: &Tensor) -> Tensor {
        lambda / self.noised(tau, lambda).1.amin(0, false)
    }

    fn variance(&self) -> Tensor {
        let weights = self.log_weights.exp().unsqueeze(1);
        Conditioned { weights, means: self.means.shallow_clone(), variances: self.variances.shallow_clone() }
            .moments()
            .1
    }

    fn mixture(&self) -> Option<&MixturePrior> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::autograd;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    fn planar(joint: bool) -> MixturePrior {
        let config = MixtureConfig {
            weights: vec![1.0, 3.0],
            means: vec![Values::List(vec![-1.0, 0.5]), Values::List(vec![0.4, -0.3])],
            variances: vec![Values::List(vec![0.2, 0.5]), Values::List(vec![0.3, 0.1])],
            whitened: false,
            joint,
        };
        MixturePrior::new(&config, &Tensor::from_slice(&[1.0, 1.0])).unwrap()
    }

    #[test]
    fn the_score_is_the_gradient_of_the_density() {
        for joint in [true, false] {
            let (prior, lambda) = (planar(joint), Tensor::from_slice(&[0.7, 1.3]));
            reseed(4, Stream::Data, 0);
            let x = Tensor::randn([20, 2], (Kind::Double, Device::Cpu));
            let (_, gradient) = autograd::value_and_grad(&x, |x| prior.log_prob(x));
            let gap = (gradient * &lambda - prior.score(&x, 0.0, &lambda)).abs().max().double_value(&[]);
            assert!(gap < 1e-12, "{gap}");
        }
    }

    /// Moments and normalisation of the posterior by brute force over a grid of the plane.
    #[test]
    fn the_posterior_is_that_of_bayes() {
        let (n, reach) = (601, 5.0);
        let axis = Tensor::linspace(-reach, reach, n, (Kind::Double, Device::Cpu));
        let points = Tensor::cartesian_prod(&[axis.shallow_clone(), axis]);
        let (diagonal, y, sigma) = (Tensor::from_slice(&[0.8, 0.3]), Tensor::from_slice(&[-0.2, 0.4]), 0.4);
        for joint in [true, false] {
            let prior = planar(joint);
            let misfit = ((&points * &diagonal - &y) / sigma).square().sum_dim_intlist(1, false, Kind::Double) * -0.5;
            let weight = (prior.log_prob(&points) + misfit).softmax(0, Kind::Double).unsqueeze(1);
            let mean = (&points * &weight).sum_dim_intlist(0, false, Kind::Double);
            let variance = ((&points - &mean).square() * &weight).sum_dim_intlist(0, false, Kind::Double);

            let a = diagonal.square() / (sigma * sigma);
            let lambda = Tensor::from_slice(&[1.0, 1.0]);
            let (found, found_variance) = prior.condition(0.0, &lambda, &a, &y, &diagonal, sigma).moments();
            assert!((found - mean).abs().max().double_value(&[]) < 1e-9);
            assert!((found_variance - variance).abs().max().double_value(&[]) < 1e-9);
        }
    }

    #[test]
    fn draws_have_the_moments() {
        for joint in [true, false] {
            let prior = planar(joint);
            reseed(9, Stream::Data, 0);
            let x = prior.sample(40_000);
            let mean = x.mean_dim(&[0i64][..], false, Kind::Double);
            let expected = Tensor::from_slice(&[0.05, -0.1]);
            let error = (prior.variance() / 40_000.0).sqrt();
            assert!(((mean - expected) / error).abs().max().double_value(&[]) < 4.0);
            let ratio = x.var_dim(&[0i64][..], true, false) / prior.variance();
            assert!((ratio - 1.0).abs().max().double_value(&[]) < 0.03);
        }
    }
}
