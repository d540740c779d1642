//! Resolved configs as flat maps, for comparing runs and for TensorBoard.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// Any serialisable config as YAML text.
pub fn to_yaml<T: Serialize>(config: &T) -> Result<String> {
    serde_yaml::to_string(config).context("the config cannot be written as YAML")
}

/// YAML text as a JSON value.
pub fn yaml_to_json(yaml: &str) -> Result<Value> {
    let value: serde_yaml::Value = serde_yaml::from_str(yaml).context("not valid YAML")?;
    serde_json::to_value(value).context("a YAML value has no JSON form")
}

/// YAML text as dotted keys and leaf values, such as `train.steps` -> 100; lists are leaves.
pub fn flat(yaml: &str) -> Result<BTreeMap<String, Value>> {
    let mut leaves = BTreeMap::new();
    collect("", yaml_to_json(yaml)?, &mut leaves);
    Ok(leaves)
}

fn collect(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                collect(&path, value, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_string(), leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_keys_become_dotted_and_lists_stay_whole() {
        let leaves = flat("a: {b: 1, c: [1, 2]}\nd: x").unwrap();
        let keys: Vec<&str> = leaves.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a.b", "a.c", "d"]);
        assert_eq!(leaves["a.c"], serde_json::json!([1, 2]));
    }
}
