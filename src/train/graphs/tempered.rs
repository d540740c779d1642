//! One network for all temperatures.

use tch::Tensor;

use crate::nets::RateNet;
use crate::nets::legf::Legf;

/// Rates along `rho^t`, `rho = exp(beta E)`, from a network of `s = beta t`: `G(x, t) = beta G_s(x, beta t)`.
///
/// The law at t is `exp(s E)`, whichever beta leads there. What a network knows at s therefore stays right when beta
/// rises, and its rates, by unit of s, stay of order one.
pub struct Tempered {
    pub net: Legf,
    pub beta: f64,
}

impl Tempered {
    /// Whose rates it gives from now on; see [`Legf::set_graphs`].
    pub fn set(&mut self, distances: Tensor, beta: f64) {
        self.net.set_graphs(distances);
        self.beta = beta;
    }
}

impl RateNet for Tempered {
    fn forward(&self, x: &Tensor, t: &Tensor) -> Tensor {
        self.net.forward(x, &(t * self.beta)) * self.beta
    }

    fn rows_differ(&self) -> bool {
        self.net.rows_differ()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::legf::LegfConfig;
    use crate::torch::params::Params;
    use crate::torch::seed::{Stream, reseed};
    use tch::{Device, Kind};

    #[test]
    fn the_same_law_has_the_same_rates_whichever_beta_leads_there() {
        reseed(3, Stream::Init, 0);
        let params = Params::new(Kind::Float, Device::Cpu);
        let config = LegfConfig { hidden_dim: 8, head_dim: 4, num_blocks: 1 };
        let mut net = Tempered { net: Legf::without_graph(params.root(), &config).unwrap(), beta: 1.0 };
        let pair = Tensor::from_slice(&[0i64, 1, 1, 0]).view([1, 2, 2]);
        let x = Tensor::from_slice(&[1i64, 0]).view([1, 2]);
        let mut by_s = |beta: f64, t: f32| {
            net.set(pair.shallow_clone(), beta);
            net.forward(&x, &Tensor::from_slice(&[t])) / beta
        };
        let (half, whole, other) = (by_s(4.0, 0.5), by_s(2.0, 1.0), by_s(4.0, 1.0));
        assert!((&half - &whole).abs().max().double_value(&[]) < 1e-6);
        assert!((&half - &other).abs().max().double_value(&[]) > 1e-3);
    }
}
