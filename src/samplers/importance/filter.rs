//! What is done about the few largest weights, and which proposals enter at all.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::config::check;

/// Treatment of the largest log-weights, by name. All but `none` trade variance for bias.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum WeightFilter {
    /// Leaves out weights above the quantile `1 - fraction`, as PROSE does.
    Drop {
        #[serde(default = "two_in_a_thousand")]
        fraction: f64,
    },
    /// Lowers weights above the quantile to the quantile.
    Truncate {
        #[serde(default = "two_in_a_thousand")]
        fraction: f64,
    },
    None {},
}

fn two_in_a_thousand() -> f64 {
    0.002
}

impl Default for WeightFilter {
    fn default() -> Self {
        Self::Drop { fraction: two_in_a_thousand() }
    }
}

impl WeightFilter {
    pub fn validate(&self, key: &str) -> Result<()> {
        match self {
            Self::Drop { fraction } | Self::Truncate { fraction } => {
                check::non_negative(&format!("{key}.fraction"), *fraction)?;
                check::at_most(&format!("{key}.fraction"), *fraction, 0.5)
            }
            Self::None {} => Ok(()),
        }
    }

    /// The rule for these log-weights, which are all there are (NaN counts as a weight of zero).
    pub fn rule(&self, log_weights: &[f64]) -> Rule {
        match self {
            Self::Drop { fraction } => Rule::Drop(quantile(log_weights, 1.0 - fraction)),
            Self::Truncate { fraction } => Rule::Truncate(quantile(log_weights, 1.0 - fraction)),
            Self::None {} => Rule::All,
        }
    }
}

/// A filter whose threshold is known: what a second pass over stored proposals needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// Keeps log-weights up to this one.
    Drop(f64),
    /// Lowers log-weights to this one.
    Truncate(f64),
    All,
}

impl Rule {
    /// The log-weight that a proposal keeps; `None` where it is left out.
    pub fn admit(&self, log_weight: f64) -> Option<f64> {
        let log_weight = if log_weight.is_nan() { f64::NEG_INFINITY } else { log_weight };
        match self {
            Self::Drop(threshold) => (log_weight <= *threshold).then_some(log_weight),
            Self::Truncate(threshold) => Some(log_weight.min(*threshold)),
            Self::All => Some(log_weight),
        }
    }

    /// Indices of all that are admitted, and their log-weights.
    pub fn apply(&self, log_weights: &[f64]) -> (Vec<usize>, Vec<f64>) {
        let admitted = log_weights.iter().enumerate().filter_map(|(i, l)| self.admit(*l).map(|l| (i, l)));
        admitted.unzip()
    }
}

/// Indices of the energies below `cutoff` (kT); a NaN is not below.
pub fn below(energies: &[f64], cutoff: f64) -> Vec<usize> {
    energies.iter().enumerate().filter(|(_, energy)| **energy < cutoff).map(|(i, _)| i).collect()
}

/// The quantile `q` with linear interpolation between order statistics; `+∞` of nothing.
fn quantile(values: &[f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::INFINITY;
    }
    let mut values: Vec<f64> = values.iter().map(|v| if v.is_nan() { f64::NEG_INFINITY } else { *v }).collect();
    let position = q * (values.len() - 1) as f64;
    let (low, share) = (position.floor() as usize, position.fract());
    let (_, &mut at, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let next = above.iter().copied().fold(f64::INFINITY, f64::min);
    // Nothing lies between a weight of zero and the first that is not.
    let mixed = at + share * (next - at);
    if share == 0.0 || next == f64::INFINITY {
        at
    } else if at.is_finite() {
        mixed
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_like_everybody_elses() {
        let values = [4.0, 1.0, 3.0, 2.0, 5.0];
        for (q, expected) in [(0.0, 1.0), (0.25, 2.0), (0.3, 2.2), (0.99, 4.96), (1.0, 5.0)] {
            assert!((quantile(&values, q) - expected).abs() < 1e-12, "{q}");
        }
        assert_eq!(quantile(&[f64::NEG_INFINITY, 3.0], 0.5), 3.0);
        assert_eq!(quantile(&[f64::NAN, f64::NEG_INFINITY], 0.9), f64::NEG_INFINITY);
        assert_eq!(quantile(&[], 0.9), f64::INFINITY);
    }

    #[test]
    fn each_filter_does_what_its_name_says() {
        let log_weights: Vec<f64> = (0..1001).map(f64::from).collect();
        let (kept, weights) = WeightFilter::default().rule(&log_weights).apply(&log_weights);
        assert_eq!((kept.len(), *weights.last().unwrap()), (999, 998.0));
        let (kept, weights) = WeightFilter::Truncate { fraction: 0.002 }.rule(&log_weights).apply(&log_weights);
        assert_eq!((kept.len(), weights[1000], weights[997]), (1001, 998.0, 997.0));
        let (kept, weights) = WeightFilter::None {}.rule(&log_weights).apply(&[f64::NAN, 7.0]);
        assert_eq!((kept, weights), (vec![0, 1], vec![f64::NEG_INFINITY, 7.0]));
        assert_eq!(below(&[1.0, f64::NAN, 2.0, -3.0], 2.0), [0, 3]);
        assert!(WeightFilter::Drop { fraction: 0.6 }.validate("filter").is_err());
        assert!(WeightFilter::Drop { fraction: f64::NAN }.validate("filter").is_err());
    }
}
