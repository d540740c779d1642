//! A claim as it is declared before anything runs.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bad_input;
use crate::config::{check, to_yaml};

/// Everything a claim file may say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// A short name; reports and folders carry it.
    pub id: String,
    /// The claim in words.
    pub text: String,
    /// Who made it, and where.
    pub source: String,
    /// What a reader of the report should know of the design, such as how it departs from the source.
    #[serde(default)]
    pub notes: String,
    pub assertion: Assertion,
    pub metrics: Vec<Metric>,
    /// Of whom something is claimed.
    pub method: Method,
    /// Whom it is compared with.
    #[serde(default)]
    pub baselines: Vec<Method>,
    pub settings: Vec<Setting>,
    /// The variable of a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// Chance of a wrong decisive verdict, one-sided errors on both sides together.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// What one observation is: seed, prompt, rater, or exact for figures without noise.
    #[serde(default = "seed")]
    pub unit: String,
    #[serde(default)]
    pub pairing: Pairing,
    /// Whether a unit is the same one in every setting, as a rater is and a seed is not.
    #[serde(default)]
    pub crossed: bool,
    #[serde(default)]
    pub budget: Budget,
    /// Seeds on which configs are chosen.
    #[serde(default)]
    pub tuning_seeds: Vec<u64>,
    /// Seeds on which the verdict rests; none of the tuning seeds.
    #[serde(default)]
    pub evaluation_seeds: Vec<u64>,
    /// Number of units where they are no seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// When the experiment ends.
    #[serde(default = "fixed")]
    pub stopping: String,
    #[serde(default)]
    pub planning: Planning,
    #[serde(default)]
    pub bootstrap: Resampling,
    /// How to make the records; absent where they come from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunConfig>,
}

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

fn five_percent() -> f64 {
    0.05
}

fn quarter() -> f64 {
    0.25
}

fn seed() -> String {
    "seed".into()
}

fn fixed() -> String {
    "all runs of the plan, then once".into()
}

impl Claim {
    /// Checks that stop everything; design flaws that do not are [`lint`](super::lint)'s.
    pub fn validate(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.id.is_empty() || !self.id.chars().all(plain) {
            return Err(bad_input!("'id' must be letters, digits, dots, dashes or underscores, found '{}'", self.id));
        }
        check::in_range("alpha", self.alpha, 1e-6, 0.5)?;
        check::not_empty("settings", &self.settings)?;
        check::not_empty("metrics", &self.metrics)?;
        check::in_range("planning.power", self.planning.power, 0.5, 0.999)?;
        check::non_negative("budget.tolerance", self.budget.tolerance)?;
        check::at_least("budget.configs", self.budget.configs, 1)?;
        check::at_most("bootstrap.draws", self.bootstrap.draws, 1_000_000)?;
        unique("settings", self.settings.iter().map(|s| &s.name))?;
        unique("method and baselines", self.methods().map(|m| &m.name))?;
        unique("metrics", self.metrics.iter().map(|m| &m.name))?;
        self.validate_assertion()
    }

    fn validate_assertion(&self) -> Result<()> {
        match &self.assertion {
            Assertion::Superiority { delta, .. } => {
                check::finite("assertion.delta", *delta)?;
                check::not_empty("baselines", &self.baselines)
            }
            Assertion::Equivalence { delta, .. } => {
                check::positive("assertion.delta", *delta)?;
                check::not_empty("baselines", &self.baselines)
            }
            Assertion::Rate(rate) => {
                check::positive("assertion.order", rate.order)?;
                check::positive("assertion.resolution", rate.resolution)?;
                let values = self.sweep.as_ref().map_or(&[][..], |sweep| &sweep.values);
                check::at_least("sweep.values (their number)", values.len(), 3)?;
                values.iter().try_for_each(|value| check::positive("sweep.values", *value))
            }
            Assertion::Figures { figures } => {
                check::not_empty("assertion.figures", figures)?;
                let names: Vec<&str> = self.settings.iter().map(|s| s.name.as_str()).collect();
                figures.iter().try_for_each(|figure| {
                    check::non_negative("assertion.figures.tolerance", figure.tolerance)?;
                    check::one_of("assertion.figures.setting", &figure.setting, &names)
                })
            }
        }
    }

    /// The method, then the baselines.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        std::iter::once(&self.method).chain(&self.baselines)
    }

    /// Level of the two-sided intervals.
    pub fn level(&self) -> f64 {
        1.0 - self.alpha
    }

    /// SHA-256 of the claim with all defaults written out, which is also what `sha256sum claim.yaml` says in a claim's
    /// folder. Comments and layout do not change it.
    pub fn hash(&self) -> Result<String> {
        Ok(digest(to_yaml(self)?.as_bytes()))
    }
}

/// Hexadecimal SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if name.is_empty() || !seen.insert(name) {
            return Err(bad_input!("{what}: the name '{name}' is empty or stands there twice; give each its own"));
        }
    }
    Ok(())
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::load;

    /// A claim from YAML text.
    pub fn parse(yaml: &str) -> Result<Claim> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        std::fs::write(file.path(), yaml)?;
        let loaded = load::load::<Claim>(file.path(), &[])?;
        loaded.value.validate()?;
        Ok(loaded.value)
    }

    pub const SMALL: &str = "
id: a-beats-b
text: A is better than B.
source: nobody
assertion: {type: superiority, quantifier: all}
metrics: [{name: score}]
method: {name: A, tuning: {lr: [0.1, 0.01], width: [8]}}
baselines: [{name: B, tuning: {lr: [0.1, 0.01]}}]
settings: [{name: one}, {name: two}]
budget: {configs: 2, measure: calls}
tuning_seeds: [100]
evaluation_seeds: [0, 1, 2, 3, 4, 5, 6, 7]
";

    #[test]
    fn comments_and_order_do_not_change_the_hash_and_content_does() {
        let claim = parse(SMALL).unwrap();
        let same = parse(&format!("# a comment\nalpha: 0.05{SMALL}")).unwrap();
        assert_eq!(claim.hash().unwrap(), same.hash().unwrap());
        assert_eq!(claim.hash().unwrap().len(), 64);
        let other = parse(&SMALL.replace("quantifier: all", "quantifier: some")).unwrap();
        assert_ne!(claim.hash().unwrap(), other.hash().unwrap());
    }

    #[test]
    fn the_tuning_space_is_a_product() {
        let claim = parse(SMALL).unwrap();
        assert_eq!(claim.method.configs(), [["lr=0.1", "width=8"], ["lr=0.01", "width=8"]]);
        let none = Method { name: "C".into(), overrides: vec![], tuning: BTreeMap::new() };
        assert_eq!(none.configs(), [Vec::<String>::new()]);
    }

    #[test]
    fn impossible_claims_are_refused() {
        for (from, to, part) in [
            ("id: a-beats-b", "id: a/b", "'id'"),
            ("name: B", "name: A", "twice"),
            ("[{name: B, tuning: {lr: [0.1, 0.01]}}]", "[]", "baselines"),
            ("tuning_seeds", "alpha: 0.9\ntuning_seeds", "alpha"),
            ("type: superiority, quantifier: all", "type: rate, order: 1, relation: equal", "sweep.values"),
            ("type: superiority", "type: superior", "superiority"),
        ] {
            let error = parse(&SMALL.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
