//! Replicas of one chain at several temperatures that exchange their states.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::{Info, Kernel, KernelConfig, random_state};
use crate::config::check;
use crate::targets::lattice::PairModel;

/// Parallel tempering: replica k has the law `exp(factor_k log_prob)`, the first one factor 1, the law itself.
pub struct Tempering<'a> {
    model: &'a PairModel,
    factors: &'a [f64],
    /// The models of all replicas, which the kernels borrow: see [`models`].
    kernels: Vec<Box<dyn Kernel + 'a>>,
    states: Vec<Vec<u8>>,
    /// Whether the next exchanges are of pairs (1, 2), (3, 4), … or of (0, 1), (2, 3), …
    pub odd: bool,
    pub exchanges: Exchanges,
}

/// Exchanges of neighbours, tried and made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchanges {
    pub tried: u64,
    pub made: u64,
}

/// The model at each factor: beta and biases times it.
pub fn models(model: &PairModel, factors: &[f64]) -> Vec<PairModel> {
    let scaled = |factor: &f64| {
        let mut scaled = model.clone();
        scaled.beta *= factor;
        scaled.bias.iter_mut().for_each(|bias| *bias *= factor);
        scaled
    };
    factors.iter().map(scaled).collect()
}

/// Factors must fall from 1 and stay at or above 0; `key` names them.
pub fn check_factors(key: &str, factors: &[f64]) -> Result<()> {
    check::not_empty(key, factors)?;
    check::in_range(&format!("{key}.0"), factors[0], 1.0, 1.0)?;
    for (k, pair) in factors.windows(2).enumerate() {
        check::non_negative(&format!("{key}.{}", k + 1), pair[1])?;
        check::ordered(&format!("{key}.{}", k + 1), pair[1], &format!("{key}.{k}"), pair[0])?;
    }
    Ok(())
}

impl<'a> Tempering<'a> {
    /// `models` are those of [`models`] for these factors. All replicas begin at random states.
    pub fn new(
        kernel: KernelConfig,
        key: &str,
        models: &'a [PairModel],
        factors: &'a [f64],
        random: &mut ChaCha8Rng,
    ) -> Result<Self> {
        Self::at(kernel, key, models, factors, models.iter().map(|model| random_state(model, random)).collect())
    }

    /// The same at given states, one for each factor.
    pub fn at(
        kernel: KernelConfig,
        key: &str,
        models: &'a [PairModel],
        factors: &'a [f64],
        states: Vec<Vec<u8>>,
    ) -> Result<Self> {
        let kernels = models.iter().map(|model| kernel.build(model, key)).collect::<Result<_>>()?;
        Ok(Self { model: &models[0], factors, kernels, states, odd: false, exchanges: Exchanges::default() })
    }

    /// The states at all factors.
    pub fn into_states(self) -> Vec<Vec<u8>> {
        self.states
    }

    /// The state at factor 1.
    pub fn state(&self) -> &[u8] {
        &self.states[0]
    }

    /// A sweep of every replica, then exchanges of every other pair of neighbours; the info is that at factor 1.
    pub fn sweep(&mut self, random: &mut ChaCha8Rng) -> Info {
        let sweeps = self.kernels.iter_mut().zip(&mut self.states).map(|(kernel, x)| kernel.sweep(x, random));
        let info = sweeps.collect::<Vec<_>>()[0];

        let log_probs: Vec<f64> = if self.states.len() > 1 {
            self.states.iter().map(|x| self.model.log_prob(x)).collect()
        } else {
            Vec::new()
        };
        for k in (usize::from(self.odd)..self.states.len().saturating_sub(1)).step_by(2) {
            // min(1, exp((t_k - t_l) (log p(x_l) - log p(x_k)))): Hukushima and Nemoto, 1996, eq. 4.
            let ratio = (self.factors[k] - self.factors[k + 1]) * (log_probs[k + 1] - log_probs[k]);
            self.exchanges.tried += 1;
            if ratio >= 0.0 || random.random::<f64>() < ratio.exp() {
                self.states.swap(k, k + 1);
                self.exchanges.made += 1;
            }
        }
        self.odd = !self.odd;
        info
    }
}
