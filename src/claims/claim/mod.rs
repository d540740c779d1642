//! A claim as it is declared before anything runs.

mod assertion;
mod design;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bad_input;
use crate::config::{check, to_yaml};

pub use assertion::{Assertion, Figure, Quantifier, RateClaim, Relation, TestKind};
pub use design::{Budget, Direction, Method, Metric, Of, Pairing, Planning, Resampling, RunConfig, Setting, Sweep};

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

fn five_percent() -> f64 {
    0.05
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
                    figure.reference.map_or(Ok(()), |r| check::positive("assertion.figures.reference", r))?;
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
        let none = Method { name: "C".into(), overrides: vec![], tuning: Default::default() };
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
