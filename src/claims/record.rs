//! Records: what was observed, one object each. docs/claims.md documents every field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which seeds a record is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Tuning,
    #[default]
    Evaluation,
}

/// One observation: a run, or a rating.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Hash of the claim that the run was made for; empty for records from elsewhere.
    pub claim: String,
    pub split: Split,
    pub method: String,
    pub setting: String,
    /// The seed, rater or prompt: what pairs observations.
    pub unit: String,
    /// The config of the tuning space.
    pub config: String,
    /// The sweep's variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<f64>,
    /// `done`; anything else is a failed run.
    pub status: String,
    pub metrics: BTreeMap<String, f64>,
    /// What it cost: target_calls, wall_s and the like.
    pub budget: BTreeMap<String, f64>,
    /// SHA-256 of files, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, String>,
    /// Commit, dirty flag, device and so on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, serde_json::Value>,
    /// What a failed run said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

impl Record {
    pub fn done(&self) -> bool {
        self.status == DONE
    }

    /// The metric of a run that ended well. A value that is not finite is a failure too.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.metrics.get(metric).copied().filter(|v| self.done() && v.is_finite())
    }
}

pub const DONE: &str = "done";

/// A comparison that is known by its summary alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub method: String,
    pub baseline: String,
    pub setting: String,
    pub metric: String,
    pub n: usize,
    /// Mean and deviation (n - 1) of method less baseline.
    pub mean_difference: f64,
    pub deviation: f64,
}

/// Everything that a file of records holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    pub observations: Vec<Record>,
    pub summaries: Vec<Summary>,
    /// The claim that the file carries in its head, as JSON.
    pub claim: Option<serde_json::Value>,
    /// What was put right or left out while reading.
    pub notes: Vec<String>,
}

impl Records {
    /// Names of methods in the order of their first appearance.
    pub fn methods(&self) -> Vec<String> {
        let observed = self.observations.iter().map(|r| &r.method);
        let compared = self.summaries.iter().flat_map(|s| [&s.method, &s.baseline]);
        in_order(observed.chain(compared))
    }

    pub fn settings(&self) -> Vec<String> {
        in_order(self.observations.iter().map(|r| &r.setting).chain(self.summaries.iter().map(|s| &s.setting)))
    }

    pub fn metrics(&self) -> Vec<String> {
        in_order(
            self.observations.iter().flat_map(|r| r.metrics.keys()).chain(self.summaries.iter().map(|s| &s.metric)),
        )
    }

    /// Those of one method in one setting on one split.
    pub fn of<'a>(&'a self, method: &'a str, setting: &'a str, split: Split) -> impl Iterator<Item = &'a Record> + 'a {
        self.observations.iter().filter(move |r| r.method == method && r.setting == setting && r.split == split)
    }
}

/// Distinct texts in the order of their first appearance.
pub fn in_order<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = Vec::new();
    texts.for_each(|text| {
        if !seen.contains(text) {
            seen.push(text.clone());
        }
    });
    seen
}
