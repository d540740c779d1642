//! Transition probabilities of one step of a jump process in which all sites move independently.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How rates become probabilities over a step of length h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `P(tau) = min(1, h R)`, and `1 - sum` to stay, at least 0, normalised anew (DNFS).
    Euler,
    /// The sum of rates `L` held for the whole step: `1 - exp(-h L)` to move, in proportion to the rates (LEAPS).
    Leap,
}

/// Probabilities of every site's next state from rates out of `x`: `[B, D, S]` -> `[B, D, S]`. Entries at own states
/// are not looked at.
pub fn probabilities(step: Step, rates: &Tensor, x: &Tensor, h: f64) -> Tensor {
    let own = x.unsqueeze(2); // [B, D, 1]
    let rates = rates.scatter_value(2, &own, 0.0);
    match step {
        Step::Euler => {
            let moves = (rates * h).clamp_max(1.0);
            let leaving = total(&moves);
            let stay: Tensor = 1.0 - &leaving;
            let stay = stay.clamp_min(0.0);
            moves.scatter(2, &own, &stay) / leaving.clamp_min(1.0)
        }
        Step::Leap => {
            let leaving = total(&rates);
            let each = (&leaving * -h).expm1().neg() / leaving.clamp_min(1e-300);
            (rates * each).scatter(2, &own, &(leaving * -h).exp())
        }
    }
}

fn total(p: &Tensor) -> Tensor {
    p.sum_dim_intlist(2, true, None::<Kind>) // [B, D, 1]
}

/// One state a site by inversion: probabilities `[B, D, S]`, uniform numbers `[B, D]` -> `[B, D]` i64.
pub fn draw(probabilities: &Tensor, u: &Tensor) -> Tensor {
    let cumulated = probabilities.cumsum(2, None::<Kind>); // [B, D, S]
    // Against the sum as it was rounded, so that no number falls beyond the last state.
    let at = u * cumulated.select(2, -1);
    let states = probabilities.size()[2];
    cumulated.narrow(2, 0, states - 1).le_tensor(&at.unsqueeze(2)).sum_dim_intlist(2, false, Kind::Int64)
}

/// log of the probability that the sites go to `y`: `[B, D, S]`, `[B, D]` -> `[B]`.
pub fn log_probability(probabilities: &Tensor, y: &Tensor) -> Tensor {
    probabilities.gather(2, &y.unsqueeze(2), false).log().sum_dim_intlist([1i64, 2].as_slice(), false, None::<Kind>)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (Tensor, Tensor) {
        let rates = Tensor::from_slice(&[9.0, 0.4, 1.0, 0.0, 0.0, 5.0]).view([1, 2, 3]);
        (rates, Tensor::from_slice(&[0i64, 2]).view([1, 2]))
    }

    #[test]
    fn both_steps_give_probabilities_that_agree_for_short_steps() {
        let (rates, x) = example();
        for step in [Step::Euler, Step::Leap] {
            for h in [1e-4, 0.3, 5.0] {
                let p = probabilities(step, &rates, &x, h);
                assert!((total(&p) - 1.0).abs().max().double_value(&[]) < 1e-12, "{step:?} {h}");
                assert!(p.min().double_value(&[]) >= 0.0);
            }
        }
        let gap = probabilities(Step::Euler, &rates, &x, 1e-4) - probabilities(Step::Leap, &rates, &x, 1e-4);
        assert!(gap.abs().max().double_value(&[]) < 2e-8);
        let leap = probabilities(Step::Leap, &rates, &x, 0.3);
        assert!((leap.double_value(&[0, 0, 0]) - (-0.3f64 * 1.4).exp()).abs() < 1e-12);
        assert!((leap.double_value(&[0, 1, 2]) - 1.0).abs() < 1e-12, "no rates, no moves");
    }

    #[test]
    fn draws_invert_the_cumulated_probabilities() {
        let p = Tensor::from_slice(&[0.2, 0.3, 0.5]).view([1, 1, 3]).repeat([1, 5, 1]);
        let u = Tensor::from_slice(&[0.0, 0.19, 0.21, 0.51, 0.999_999]).view([1, 5]);
        assert_eq!(Vec::<i64>::try_from(draw(&p, &u).view([-1])).unwrap(), [0, 0, 1, 2, 2]);
    }
}
