//! What may happen between two steps without spoiling the weights: resampling, and updates that leave `p~_t` invariant
//! (Holderrieth, Albergo and Jaakkola, "LEAPS: a discrete neural sampler via locally equivariant networks", 2025).

use tch::{Kind, Tensor};

use super::kernel::draw;
use super::noise::Noise;
use crate::samplers::importance::resample::Resampling;
use crate::targets::lattice::DiscreteTarget;

/// Draws rows in proportion to their weights where the effective sample size is below `threshold` of all. The mean weight
/// stays, so that later means still estimate Z: rows `[B, D]` and log-weights `[B]`, or `None` where nothing is done.
pub fn resample(x: &Tensor, log_weight: &Tensor, threshold: f64, noise: &mut Noise) -> Option<(Tensor, Tensor)> {
    if threshold == 0.0 {
        return None;
    }
    let count = x.size()[0];
    let total = log_weight.logsumexp([0i64].as_slice(), false);
    let ess = (&total * 2.0 - (log_weight * 2.0).logsumexp([0i64].as_slice(), false)).exp().double_value(&[]);
    // A NaN (no weight at all) leaves all as it is.
    if ess.is_nan() || ess >= threshold * count as f64 {
        return None;
    }
    let weights = Vec::<f64>::try_from(log_weight).ok()?;
    let rows = Resampling::Systematic.draw(&weights, count as usize, &[noise.one()])?;
    let mean = (total - (count as f64).ln()).expand([count], false).contiguous();
    Some((x.index_select(0, &Tensor::from_slice(&rows)), mean))
}

/// `updates` times, one random site a row drawn anew from its law given the others under `rho^t`: `[B, D]` -> `[B, D]`.
pub fn heat_bath(target: &dyn DiscreteTarget, x: &Tensor, t: f64, updates: i64, noise: &mut Noise) -> Tensor {
    let x = x.copy();
    let (rows, sites, states) = (x.size()[0], target.sites(), target.num_states());
    for _ in 0..updates {
        let site = (noise.uniform(&[rows, 1]) * sites as f64).floor().to_kind(Kind::Int64); // [B, 1]
        let at = site.unsqueeze(2).expand([rows, 1, states], false);
        let logits = target.log_ratios(&x).to_kind(Kind::Double).gather(1, &at, false) * t; // [B, 1, S]
        let new = draw(&logits.softmax(2, None::<Kind>), &noise.uniform(&[rows, 1])); // [B, 1]
        let _ = x.shallow_clone().scatter_(1, &site, &new);
    }
    x
}

/// `updates` times, another state for one random site a row proposed, and taken with probability `min(1, r^t)`, r the
/// ratio under `rho`: `[B, D]` -> `[B, D]`. What LEAPS' code does, but for its one site for all rows of a call.
pub fn metropolis(target: &dyn DiscreteTarget, x: &Tensor, t: f64, updates: i64, noise: &mut Noise) -> Tensor {
    let x = x.copy();
    let (rows, sites, states) = (x.size()[0], target.sites(), target.num_states());
    for _ in 0..updates {
        let (device, row) = (x.device(), [rows, 1]);
        let mut below = |most: i64| (noise.uniform(&row) * most as f64).floor().to_kind(Kind::Int64).to_device(device);
        let (site, ahead) = (below(sites), below(states - 1) + 1); // [B, 1]
        let old = x.gather(1, &site, false);
        let new = (&old + ahead).remainder(states);
        let at = site.unsqueeze(2).expand([rows, 1, states], false);
        let log_ratios = target.log_ratios(&x).to_kind(Kind::Double).gather(1, &at, false).squeeze_dim(1); // [B, S]
        let u = noise.uniform(&row).to_device(device);
        let accepted = u.log().lt_tensor(&(log_ratios.gather(1, &new, false) * t));
        let _ = x.shallow_clone().scatter_(1, &site, &new.where_self(&accepted, &old));
    }
    x
}
