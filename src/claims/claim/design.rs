//! How a claim is tested: metrics, methods, settings, budget, runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// Observations of one unit in one setting form a pair.
    #[default]
    Unit,
    /// Two independent groups.
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// A key of summary.json, or of a record's `metrics`.
    pub name: String,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default)]
    pub of: Of,
    /// Range of its values, where there is one: scores of profiles and the gap to `high` are taken in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// What a failed run counts as. Without it, failures of the method alone rule out support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Higher,
    Lower,
}

impl Direction {
    /// Factor that makes more better.
    pub fn sign(self) -> f64 {
        if self == Direction::Higher { 1.0 } else { -1.0 }
    }
}

/// What of the metric is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Its value under the chosen config.
    #[default]
    Value,
    /// How much a config taken at random falls short of the best of the tuning space, for one tuning seed.
    TuningGap,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    pub name: String,
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Keys and the values that are tried for them: all combinations are its configs.
    #[serde(default)]
    pub tuning: BTreeMap<String, Vec<Value>>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config: String,
    #[serde(default)]
    pub overrides: Vec<String>,
    /// In place of those of `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// In place of verb, config and overrides: all arguments of a binary that prints JSON, or writes summary.json into
    /// `{out}`. `{seed}` stands for the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// In place of the claim's evaluation seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The config key that varies.
    pub key: String,
    pub values: Vec<f64>,
    /// Whether the rate is in one over the key, as for a number of steps.
    #[serde(default)]
    pub inverse: bool,
}

/// What every method may spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Configs that a method may try in a setting.
    pub configs: usize,
    /// A key of summary.json that must be equal: target_calls, wall_s, score_calls; or none.
    pub measure: String,
    /// Allowed relative difference of the methods' totals.
    pub tolerance: f64,
    /// Why there is nothing to measure, if so.
    pub reason: String,
}

impl Default for Budget {
    fn default() -> Self {
        Self { configs: 1, measure: "target_calls".into(), tolerance: 0.1, reason: String::new() }
    }
}

/// What lint assumes to tell the power of the design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Planning {
    /// True advantage that one wants to see; delta if 0.
    pub effect: f64,
    /// Expected deviation of a paired difference; 0 if nobody knows.
    pub deviation: f64,
    pub power: f64,
}

impl Default for Planning {
    fn default() -> Self {
        Self { effect: 0.0, deviation: 0.0, power: 0.8 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resampling {
    pub draws: usize,
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { draws: 20_000, seed: 0 }
    }
}

/// How a run is launched: `BINARY VERB CONFIG OVERRIDES --seed S --out DIR ARGUMENTS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    pub binary: String,
    pub verb: String,
    /// Of all methods and settings.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Options, such as `--threads 1`.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Seconds after which a run is stopped and counts as failed; 0 for none.
    #[serde(default)]
    pub time_limit_s: f64,
}

impl Method {
    /// All combinations of its tuning space as overrides, the last key varying fastest; one empty one without a space.
    pub fn configs(&self) -> Vec<Vec<String>> {
        let mut configs: Vec<Vec<String>> = vec![Vec::new()];
        for (key, values) in &self.tuning {
            let longer = |config: &Vec<String>| {
                let config = config.clone();
                values.iter().map(move |value| [config.as_slice(), &[format!("{key}={value}")]].concat())
            };
            configs = configs.iter().flat_map(longer).collect();
        }
        configs
    }

    /// The name of a config in records: its overrides.
    pub fn config_name(overrides: &[String]) -> String {
        overrides.join(" ")
    }
}
