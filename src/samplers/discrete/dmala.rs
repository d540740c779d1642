//! The discrete Metropolis-adjusted Langevin algorithm (Zhang, Liu and Liu, "A Langevin-like sampler for discrete
//! distributions", 2022), with exact single-site ratios in the place of gradients.

use tch::{Kind, Tensor};

use super::kernel::{draw, log_probability};
use super::noise::Noise;
use crate::targets::lattice::DiscreteTarget;

/// `steps` times, all sites of a row propose to move at once, with probabilities in proportion to
/// `exp(r / 2 - 1[moves] / (2 step_size))`, `r` the log-ratio of `rho^t`; the row goes or stays as a whole. `[B, D]` ->
/// `[B, D]`.
pub fn dmala(target: &dyn DiscreteTarget, x: &Tensor, t: f64, steps: i64, step_size: f64, noise: &mut Noise) -> Tensor {
    let look = |x: &Tensor| {
        let logits = target.log_ratios(x).to_kind(Kind::Double) * (0.5 * t) - 0.5 / step_size;
        let own = x.unsqueeze(2);
        (target.log_prob(x).to_kind(Kind::Double) * t, logits.scatter_value(2, &own, 0.0).softmax(2, None::<Kind>))
    };
    let (mut x, mut at) = (x.shallow_clone(), look(x));
    for _ in 0..steps {
        let device = x.device();
        let y = draw(&at.1, &noise.uniform(&x.size()).to_device(device)); // [B, D]
        let there = look(&y);
        let back = log_probability(&there.1, &x) - log_probability(&at.1, &y);
        let accepted = noise.uniform(&[x.size()[0]]).to_device(device).log().le_tensor(&(&there.0 - &at.0 + back)); // [B]

        let rows = accepted.unsqueeze(1);
        x = y.where_self(&rows, &x);
        at = (there.0.where_self(&accepted, &at.0), there.1.where_self(&rows.unsqueeze(2), &at.1));
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::lattice::exact::enumeration::states;
    use crate::targets::lattice::{LatticeConfig, evaluate};
    use serde_json::json;
    use tch::Device;

    #[test]
    fn the_law_at_any_time_is_left_as_it_is() {
        let config = json!({"type": "ising", "size": 2, "beta": 0.5, "field": 0.2});
        let target = serde_json::from_value::<LatticeConfig>(config).unwrap();
        let target = target.build((Kind::Double, Device::Cpu)).unwrap();
        let all = states(2, 4);
        let t = 0.7;
        let law = (evaluate(&*target, &all, Device::Cpu).0 * t).softmax(0, Kind::Double);

        let (mut noise, rows) = (Noise::new(4), 20_000);
        // From the law itself: from elsewhere a chain takes long between the two magnetisations.
        let number = draw(&law.expand([rows, 1, 16], true), &noise.uniform(&[rows, 1])).squeeze_dim(1);
        let x = all.index_select(0, &number);
        let x = dmala(&*target, &x, t, 30, 0.8, &mut noise);
        let key = |x: &Tensor| x.matmul(&Tensor::from_slice(&[8i64, 4, 2, 1]));
        let counts = key(&x).bincount::<Tensor>(None, 16).to_kind(Kind::Double);
        let expected = Tensor::zeros([16], (Kind::Double, Device::Cpu)).scatter(0, &key(&all), &law) * rows as f64;
        // 15 degrees of freedom: 37.7 leaves one in a thousand.
        let chi2 = ((counts - &expected).square() / &expected).sum(Kind::Double).double_value(&[]);
        assert!(chi2 < 37.7, "{chi2}");
    }
}
