//! `key=value` from the command line, laid over a document.

use anyhow::Result;
use serde_yaml::{Mapping, Value};

use super::{source, tree, wording};
use crate::bad_input;

/// No config goes so deep.
const MAX_DEPTH: usize = 32;

/// One `a.b.c=value`; the value is YAML.
#[derive(Debug, Clone)]
pub struct Override {
    /// As typed, for messages.
    pub text: String,
    pub path: tree::Path,
    pub value: Value,
}

impl Override {
    pub fn parse(text: &str) -> Result<Self> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(bad_input!("override '{text}': expected key=value, such as train.steps=100"));
        };
        let path = tree::split(key.trim());
        if path.iter().any(|step| step.is_empty() || step.chars().any(char::is_whitespace)) {
            return Err(bad_input!("override '{text}': '{key}' is not a dotted key, such as train.steps"));
        }
        if path.len() > MAX_DEPTH {
            return Err(bad_input!("override '{}': the key is more than {MAX_DEPTH} deep", wording::shorten(text)));
        }
        if path == ["extends"] {
            return Err(bad_input!("override '{text}': 'extends' belongs in a file; name that file as the config"));
        }
        let value: Value = serde_yaml::from_str(value).map_err(|error| {
            bad_input!("override '{text}': not valid YAML: {}", wording::one_line(&error.to_string()))
        })?;
        source::refuse_odd_values(&value).map_err(|(_, what)| bad_input!("override '{text}': '{key}' {what}"))?;
        Ok(Self { text: text.to_string(), path, value })
    }
}

/// What laying the overrides over the document did.
pub struct Applied {
    pub value: Value,
    /// Mappings whose `type` was changed: keys that the new type does not know are no longer meant there.
    pub retyped: Vec<tree::Path>,
}

/// Applies `overrides` in order.
pub fn apply(mut value: Value, overrides: &[Override]) -> Result<Applied> {
    let mut retyped = Vec::new();
    for over in overrides {
        if let Some(parent) = changes_type(&value, over) {
            retyped.push(parent);
        }
        set(&mut value, over)?;
    }
    Ok(Applied { value, retyped })
}

/// The mapping whose `type` the override changes, if that is what it does.
fn changes_type(value: &Value, over: &Override) -> Option<tree::Path> {
    let (last, parent) = over.path.split_last()?;
    let old = tree::get(value, &over.path)?;
    (last == tree::TAG && *old != over.value).then(|| parent.to_vec())
}

fn set(root: &mut Value, over: &Override) -> Result<()> {
    let mut slot = root;
    for (depth, step) in over.path.iter().enumerate() {
        // A key left out, or left empty, may still have keys below it in the typed config.
        if slot.is_null() {
            *slot = Value::Mapping(Mapping::new());
        }
        let parent = over.path[..depth].join(".");
        slot = match slot {
            Value::Mapping(mapping) => mapping.entry(Value::String(step.clone())).or_insert(Value::Null),
            Value::Sequence(items) => {
                let len = items.len();
                let item = step.parse::<usize>().ok().and_then(|i| items.get_mut(i));
                item.ok_or_else(|| {
                    bad_input!("override '{}': '{parent}' is a list of {len}, it has no item '{step}'", over.text)
                })?
            }
            other => {
                let found = wording::describe(other);
                return Err(bad_input!("override '{}': '{parent}' is {found}, it has no keys below it", over.text));
            }
        };
    }
    *slot = over.value.clone();
    Ok(())
}
