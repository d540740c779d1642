//! What a claim may assert.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is asserted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Assertion {
    /// The method is better than every baseline by more than `delta`.
    Superiority {
        quantifier: Quantifier,
        /// Least difference that the claim is about, in the metric's unit.
        #[serde(default)]
        delta: f64,
        #[serde(default)]
        test: TestKind,
    },
    /// The method differs from every baseline by less than `delta` either way.
    Equivalence { quantifier: Quantifier, delta: f64 },
    /// The metric falls as a power of the sweep's variable.
    Rate(RateClaim),
    /// Published figures come out again.
    Figures { figures: Vec<Figure> },
}

/// A stated order of convergence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateClaim {
    pub order: f64,
    pub relation: Relation,
    /// Only so many points at the fine end are fitted; 0 takes all.
    #[serde(default)]
    pub last: usize,
    /// An interval of the slope with a longer half is inconclusive.
    #[serde(default = "quarter")]
    pub resolution: f64,
}

/// One published figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    pub name: String,
    pub setting: String,
    pub metric: String,
    /// Which row of a table the metric is read from: values that this row alone has, such as `{target: funnel_d10}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub row: BTreeMap<String, Value>,
    /// A cost measured elsewhere. The figure is then this cost over the metric: how many times less is spent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<f64>,
    pub expected: f64,
    /// Allowed distance, in the unit of `expected`.
    pub tolerance: f64,
    #[serde(default)]
    pub relation: Relation,
    /// The file that it stands in, then where in it; and the commit that it was measured at.
    #[serde(default)]
    pub stated: String,
    /// Words of that file which state it. Lint looks for them there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quote: String,
    #[serde(default)]
    pub commit: String,
}

impl Figure {
    /// Its name among a record's metrics: the metric, with the row that it is read from.
    pub fn key(&self) -> String {
        if self.row.is_empty() {
            return self.metric.clone();
        }
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_string);
        let row: Vec<String> = self.row.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
        format!("{} [{}]", self.metric, row.join(", "))
    }

    /// The file that states it.
    pub fn file(&self) -> &str {
        self.stated.split(',').next().unwrap_or_default().trim()
    }

    /// Whether a found value is within what is allowed.
    pub fn holds(&self, found: f64) -> bool {
        let departure = found - self.expected;
        match self.relation {
            Relation::Equal => departure.abs() <= self.tolerance,
            Relation::AtLeast => departure >= -self.tolerance,
            Relation::AtMost => departure <= self.tolerance,
        }
    }

    /// What is compared with `expected`, of a measured metric.
    pub fn of(&self, metric: f64) -> f64 {
        self.reference.map_or(metric, |reference| reference / metric)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantifier {
    /// In every setting, against every baseline, in every metric.
    All,
    /// In the mean over settings, against every baseline.
    Average,
    /// Somewhere.
    Some,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    #[default]
    Equal,
    AtLeast,
    AtMost,
}

/// Which p decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    #[default]
    PairedT,
    Wilcoxon,
    Permutation,
    /// Figures without noise are compared as they are.
    Exact,
}

fn quarter() -> f64 {
    0.25
}
