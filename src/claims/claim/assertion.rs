//! What a claim may assert.

use serde::{Deserialize, Serialize};

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
    pub expected: f64,
    /// Allowed distance, in the metric's unit.
    pub tolerance: f64,
    #[serde(default)]
    pub relation: Relation,
    /// Where it stands, and the commit that it was measured at.
    #[serde(default)]
    pub stated: String,
    #[serde(default)]
    pub commit: String,
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
