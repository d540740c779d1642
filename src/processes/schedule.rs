//! Noise schedules as plain numbers, one a step, and the learned interpolation between prior and target.

use tch::{Kind, Tensor};

/// Offset that keeps the cosine schedules away from zero at their end (Nichol and Dhariwal, 2021).
const OFFSET: f64 = 0.008;

/// cos² from 1 at the first step down to nearly 0 at the last, `T` numbers.
fn cosine_squared(num_steps: i64) -> Vec<f64> {
    let phase = |k: i64| {
        let remaining = (num_steps - k) as f64 / num_steps as f64;
        std::f64::consts::FRAC_PI_2 * (1.0 + OFFSET - remaining) / (1.0 + OFFSET)
    };
    (0..num_steps).map(|k| phase(k).cos().powi(2)).collect()
}

/// Relative step sizes of the underdamped-bridges code: large steps first, a hundredth of them at the end.
pub fn decaying_steps(num_steps: i64) -> Vec<f64> {
    const FLOOR: f64 = 0.01;
    cosine_squared(num_steps).into_iter().map(|c| (1.0 - FLOOR) * c + FLOOR).collect()
}

/// The "Beyond ELBOs" cosine schedule from `max`/2 at the prior down to its floor at the target.
pub fn half_cosine(num_steps: i64, max: f64) -> Vec<f64> {
    const MIN: f64 = 0.01;
    cosine_squared(num_steps).into_iter().map(|c| 0.5 * (max - MIN) * c + 0.5 * MIN).collect()
}

/// Squared noise increments of DDS: proportional to cos⁴, adding up to `scale`, each at most 1 (Vargas et al., 2023).
pub fn cosine_fourth(num_steps: i64, scale: f64) -> Vec<f64> {
    let phase = |k: i64| {
        let place = if num_steps > 1 { k as f64 / (num_steps - 1) as f64 } else { 0.0 };
        std::f64::consts::FRAC_PI_2 * (place + OFFSET) / (1.0 + OFFSET)
    };
    let raw: Vec<f64> = (0..num_steps).map(|k| phase(k).cos().powi(4)).collect();
    let total: f64 = raw.iter().sum();
    // The last increment would vanish; a floor keeps its kernel a proper Gaussian.
    raw.iter().map(|r| (r / total * scale).clamp(1e-6, 1.0 - 1e-6)).collect()
}

/// Share of the prior in the annealed density at each state, `[T + 1]`: 1 at the prior, 0 at the target.
///
/// `η_k = Σ_{i < T-k} softplus(b_i) / Σ_i softplus(b_i)` for the increments `b` of shape `[T]`; linear for equal `b`.
/// Sums run in f64 so that the end points are exact.
pub fn prior_share(increments: &Tensor) -> Tensor {
    let steps = increments.to_kind(Kind::Double).softplus();
    let rising = steps.cumsum(0, Kind::Double) / steps.sum(Kind::Double);
    let zero = Tensor::zeros([1], (Kind::Double, increments.device()));
    Tensor::cat(&[zero, rising], 0).flip([0]).to_kind(increments.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn equal_increments_interpolate_linearly() {
        let share = prior_share(&Tensor::ones([4], (Kind::Double, Device::Cpu)));
        let share = Vec::<f64>::try_from(share).unwrap();
        for (k, s) in share.iter().enumerate() {
            assert!((s - (1.0 - k as f64 / 4.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn schedules_start_large_and_stay_positive() {
        for schedule in [decaying_steps(128), half_cosine(128, 10.0), cosine_fourth(128, 6.0)] {
            assert!(schedule.windows(2).all(|w| w[0] >= w[1]) && schedule[127] > 0.0);
        }
        let total: f64 = cosine_fourth(128, 6.0).iter().sum();
        assert!((total - 6.0).abs() < 1e-3);
    }
}
