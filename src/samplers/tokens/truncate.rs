//! Which tokens are kept, as 0 and 1.

use tch::{Kind, Tensor};

use super::Truncation;

/// `[..., V]` of 0 and 1 for probabilities `[..., V]`; never all 0.
pub fn keep(truncation: Truncation, p: &Tensor) -> Tensor {
    let top = p.amax([-1], true); // [..., 1]
    let kept = match truncation {
        Truncation::None => p.ones_like().to_kind(Kind::Bool),
        Truncation::TopK { k } => {
            let k = k.clamp(1, p.size().last().copied().unwrap_or(1));
            let least = p.topk(k, -1, true, true).0.narrow(-1, k - 1, 1); // [..., 1]
            p.ge_tensor(&least)
        }
        Truncation::TopP { p: mass } => until(p, &-p, mass),
        Truncation::MinP { p: ratio } => p.ge_tensor(&(&top * ratio)),
        Truncation::Eta { epsilon } => {
            let threshold = (-entropy(p)).exp() * epsilon.sqrt();
            p.ge_tensor(&threshold.clamp_max(epsilon)).logical_or(&p.ge_tensor(&top))
        }
        Truncation::Typical { mass } => {
            // Impossible tokens have infinite surprisal: they come last.
            let strange = (-p.log() - entropy(p)).abs();
            until(p, &strange, mass)
        }
    };
    kept.to_kind(Kind::Double)
}

/// H = -Σ p log p in nats, `[..., 1]`.
fn entropy(p: &Tensor) -> Tensor {
    -p.xlogy(p).sum_dim_intlist(-1, true, Kind::Double)
}

/// Tokens by rising `order` until their mass reaches `mass`, the one that reaches it included.
fn until(p: &Tensor, order: &Tensor, mass: f64) -> Tensor {
    let (_, ranks) = order.sort_stable(true, -1, false);
    let sorted = p.gather(-1, &ranks, false);
    let before = sorted.cumsum(-1, Kind::Double) - &sorted;
    let kept = before.lt(mass);
    // The first is kept even for a mass of 0.
    let first = kept.narrow(-1, 0, 1).ones_like();
    let kept = Tensor::cat(&[first, kept.narrow(-1, 1, kept.size().last().copied().unwrap_or(1) - 1)], -1);
    kept.zeros_like().scatter(-1, &ranks, &kept)
}
