//! Continuous-time Markov chains on `{0 .. S-1}^D` that carry the uniform law to an unnormalised one, `rho`.
//!
//! Time runs from the prior at `t = 0` to the target at `t = 1` along `p~_t = rho^t eta^(1-t)`, `eta` uniform
//! (Ou, Zhang and Li, "Discrete neural flow samplers with locally equivariant transformer", 2025).

use tch::{Kind, Tensor};

/// The path `p~_t` between the uniform law and `rho`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnealedPath {
    pub sites: i64,
    /// States of a site, `S`.
    pub states: i64,
}

impl AnnealedPath {
    /// `-log eta = D log S`.
    pub fn log_states(&self) -> f64 {
        self.sites as f64 * (self.states as f64).ln()
    }

    /// `d/dt log p~_t = log rho - log eta`, the same for all t: `[B]` -> `[B]`.
    pub fn slope(&self, log_rho: &Tensor) -> Tensor {
        log_rho + self.log_states()
    }

    /// `log p~_t`: t a number or `[B]`, `log rho` `[B]` -> `[B]`.
    pub fn log_prob(&self, t: &Tensor, log_rho: &Tensor) -> Tensor {
        t * log_rho - (1.0 - t) * self.log_states()
    }
}

/// How much each entry of `G` counts in the net outflow `relu(G) - relu(-G) p~_t(x^{i->tau}) / p~_t(x)`: 1 where it is a
/// rate out of x, the ratio where it is the negative of a rate into x. `log_ratios` are those of `p~_t`.
///
/// `clamp` bounds log-ratios from above, as training does (5 in the authors' code); evaluation never clamps.
pub fn outflow_weights(g: &Tensor, log_ratios: &Tensor, clamp: Option<f64>) -> Tensor {
    let ratios = clamp.map_or_else(|| log_ratios.exp(), |most| log_ratios.clamp_max(most).exp());
    ratios.where_self(&g.lt(0.0), &ratios.ones_like())
}

/// What the Kolmogorov forward equation leaves over, divided by `p~_t`:
/// `xi_t(x) = d/dt log p~_t + sum over i, tau of [relu(G) - relu(-G) p~_t(x^{i->tau}) / p~_t(x)]`.
///
/// `slope` `[B]`, `g` and `log_ratios` of `p~_t` `[B, D, S]` -> `[B]`. The rates generate the path exactly where this
/// is `d/dt log Z_t` at every x.
pub fn residual(slope: &Tensor, g: &Tensor, log_ratios: &Tensor, clamp: Option<f64>) -> Tensor {
    let outflow = g * outflow_weights(g, log_ratios, clamp);
    slope + outflow.sum_dim_intlist([1i64, 2].as_slice(), false, None::<Kind>)
}

/// Rates out of x, `[B, D, S]`: the network's `relu(G)`, and on top of them heat-bath jumps `mixing r / (1 + r)` that
/// leave `p~_t` as it is, r the ratio. They cost nothing, change no residual, and let the process reach every state.
pub fn forward_rates(g: &Tensor, log_ratios: &Tensor, mixing: f64) -> Tensor {
    with_mixing(g.relu(), log_ratios, mixing)
}

/// Rates of the reversed process out of x, `relu(-G) r` and the same heat-bath jumps, which are their own reversal.
pub fn backward_rates(g: &Tensor, log_ratios: &Tensor, mixing: f64) -> Tensor {
    with_mixing(g.neg().relu() * log_ratios.exp(), log_ratios, mixing)
}

/// A site's own state has ratio 1 and no jump leads there.
fn with_mixing(rates: Tensor, log_ratios: &Tensor, mixing: f64) -> Tensor {
    if mixing == 0.0 { rates } else { rates + log_ratios.sigmoid() * mixing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn outflow_is_relu_out_minus_relu_in() {
        let g = Tensor::from_slice(&[0.0, 0.7, -0.4, 0.0]).view([1, 2, 2]);
        let log_ratios = Tensor::from_slice(&[0.0, 0.3, 6.0, 0.0]).view([1, 2, 2]);
        let slope = Tensor::from_slice(&[0.1]);
        let exact = |r: f64| 0.1 + 0.7 - 0.4 * r.exp();
        assert!((residual(&slope, &g, &log_ratios, None).double_value(&[0]) - exact(6.0)).abs() < 1e-12);
        assert!((residual(&slope, &g, &log_ratios, Some(5.0)).double_value(&[0]) - exact(5.0)).abs() < 1e-12);
    }

    #[test]
    fn the_path_joins_uniform_and_target() {
        let path = AnnealedPath { sites: 3, states: 4 };
        let log_rho = Tensor::from_slice(&[-1.0, 2.0]);
        let at = |t: f64| path.log_prob(&Tensor::full([], t, (Kind::Double, Device::Cpu)), &log_rho);
        assert!((at(0.0) + 64f64.ln()).abs().max().double_value(&[]) < 1e-12);
        assert!((at(1.0) - &log_rho).abs().max().double_value(&[]) < 1e-12);
        let slope = (at(0.75) - at(0.25)) / 0.5;
        assert!((slope - path.slope(&log_rho)).abs().max().double_value(&[]) < 1e-12);
    }
}
