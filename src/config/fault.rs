//! Where in a document the typed parse failed.
//!
//! serde names neither line nor path once a value has passed through an internally tagged enum, which buffers it.
//! The document is therefore cut down until the same complaint has nowhere else to come from.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use super::tree::{self, TAG};

/// One complaint about a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub path: tree::Path,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The last step of the path is a key nobody reads.
    UnknownKey { valid: Vec<String> },
    /// The mapping at the path lacks this key.
    MissingKey { key: String },
    /// The text at the path names none of these.
    UnknownName { valid: Vec<String> },
    /// Anything else, in serde's words.
    Other { message: String },
}

/// Parses `value`; on failure tells where and why.
pub fn parse<T: DeserializeOwned + Serialize>(value: &Value) -> Result<T, Fault> {
    let typed = T::deserialize(value).map_err(|error| find(value, &error.to_string(), &complaint::<T>))?;
    match unread(value, &typed) {
        Some(fault) => Err(fault),
        None => Ok(typed),
    }
}

fn complaint<T: DeserializeOwned>(value: &Value) -> Option<String> {
    T::deserialize(value).err().map(|error| error.to_string())
}

/// A key that the typed config does not give back was not read, whatever serde let pass (a variant without fields
/// takes any).
fn unread<T: Serialize>(value: &Value, typed: &T) -> Option<Fault> {
    let back = serde_yaml::to_value(typed).ok()?;
    let mut path = Vec::new();
    first_unread(value, &back, &mut path)
}

fn first_unread(value: &Value, back: &Value, path: &mut tree::Path) -> Option<Fault> {
    let pairs: Vec<(String, &Value, Option<&Value>)> = match (value, back) {
        (Value::Mapping(value), Value::Mapping(back)) => {
            value.iter().map(|(k, v)| (k.as_str().unwrap_or_default().to_string(), v, back.get(k))).collect()
        }
        (Value::Sequence(value), Value::Sequence(back)) if value.len() == back.len() => {
            value.iter().zip(back).enumerate().map(|(i, (v, b))| (i.to_string(), v, Some(b))).collect()
        }
        _ => return None,
    };
    for (step, value, known) in pairs {
        path.push(step);
        match known {
            Some(known) => {
                if let Some(fault) = first_unread(value, known, path) {
                    return Some(fault);
                }
            }
            // An empty key may be one that is left out when written.
            None if value.is_null() => {}
            None => return Some(Fault { path: path.clone(), what: What::UnknownKey { valid: keys(back) } }),
        }
        path.pop();
    }
    None
}

fn keys(value: &Value) -> Vec<String> {
    let mapping = value.as_mapping();
    mapping.map(|m| m.keys().filter_map(|k| k.as_str()).map(str::to_string).collect()).unwrap_or_default()
}

/// Finds the part of `root` that `error` is about. `fails` parses a document and tells its complaint.
pub fn find(root: &Value, error: &str, fails: &dyn Fn(&Value) -> Option<String>) -> Fault {
    let (cut, mut path) = narrow(root, error, fails);
    if let Some(key) = between(error, "missing field `", "`") {
        let key = key.to_string();
        return Fault { path: lacking(&cut, &path, &key, fails), what: What::MissingKey { key } };
    }
    if error.starts_with("unknown field `") {
        return Fault { path, what: What::UnknownKey { valid: names(error) } };
    }
    if let Some(length) = between(error, "invalid length ", ",") {
        // A wrong length is a matter of the list, not of its last item.
        while !path.is_empty() && tree::get(root, &path).is_none_or(|value| size(value).to_string() != length) {
            path.pop();
        }
        return Fault { path, what: What::Other { message: error.to_string() } };
    }
    if tag_is_wrong(&cut, &path, error, fails) {
        path.push(TAG.to_string());
    }
    if error.starts_with("unknown variant `") {
        return Fault { path, what: What::UnknownName { valid: names(error) } };
    }
    // serde lists the names of an enum only to someone who gives a wrong one.
    if error.ends_with("Value::Tagged enum") {
        let listed = fails(&with(&cut, &path, Value::String("?".to_string()))).unwrap_or_default();
        return Fault { path, what: What::UnknownName { valid: names(&listed) } };
    }
    Fault { path, what: What::Other { message: error.to_string() } }
}

/// The shortest document prefix that earns the same complaint ends in the culprit. Returns it, and where it ends.
fn narrow(root: &Value, error: &str, fails: &dyn Fn(&Value) -> Option<String>) -> (Value, tree::Path) {
    let (mut cut, mut path) = (root.clone(), Vec::new());
    loop {
        let Some(here) = tree::get(&cut, &path).cloned() else { return (cut, path) };
        let same = |n: usize| {
            let shorter = with(&cut, &path, prefix(&here, n));
            (fails(&shorter).as_deref() == Some(error)).then_some(shorter)
        };
        let len = size(&here);
        if len == 0 || same(0).is_some() {
            return (cut, path);
        }

        // Parsing goes in document order, so the complaint appears at one length and stays.
        let (mut without, mut within) = (0, len);
        while within - without > 1 {
            let middle = (without + within) / 2;
            if same(middle).is_some() { within = middle } else { without = middle }
        }
        let (Some(shorter), Some(step)) = (same(within), step(&here, within - 1)) else { return (cut, path) };
        cut = shorter;
        path.push(step);
    }
}

fn with(root: &Value, path: &[String], value: Value) -> Value {
    let mut root = root.clone();
    if let Some(slot) = tree::get_mut(&mut root, path) {
        *slot = value;
    }
    root
}

fn size(value: &Value) -> usize {
    match value {
        Value::Mapping(mapping) => mapping.len(),
        Value::Sequence(items) => items.len(),
        _ => 0,
    }
}

fn step(value: &Value, i: usize) -> Option<String> {
    match value {
        Value::Mapping(mapping) => mapping.keys().nth(i).and_then(|key| key.as_str()).map(str::to_string),
        _ => Some(i.to_string()),
    }
}

/// The first `n` entries; the `type` stays wherever it stands, for it decides what the others mean.
fn prefix(value: &Value, n: usize) -> Value {
    match value {
        Value::Sequence(items) => Value::Sequence(items.iter().take(n).cloned().collect()),
        Value::Mapping(mapping) => {
            let kept = mapping.iter().enumerate().filter(|(i, (key, _))| *i < n || key.as_str() == Some(TAG));
            Value::Mapping(kept.map(|(_, (key, value))| (key.clone(), value.clone())).collect())
        }
        other => other.clone(),
    }
}

fn tag_is_wrong(cut: &Value, path: &[String], error: &str, fails: &dyn Fn(&Value) -> Option<String>) -> bool {
    let tagged = tree::get(cut, path).and_then(Value::as_mapping).is_some_and(|mapping| mapping.contains_key(TAG));
    tagged && fails(&with(cut, path, Value::Mapping(Mapping::new()))).as_deref() != Some(error)
}

/// The innermost mapping along `path` where giving `key` changes the complaint (to anything but "unknown").
fn lacking(cut: &Value, path: &[String], key: &str, fails: &dyn Fn(&Value) -> Option<String>) -> tree::Path {
    let missing = format!("missing field `{key}`");
    let unknown = format!("unknown field `{key}`");
    let depths = (0..=path.len()).rev();
    let found = depths.map(|depth| &path[..depth]).find(|path| {
        let Some(Value::Mapping(mapping)) = tree::get(cut, path) else { return false };
        if mapping.contains_key(key) {
            return false;
        }
        let mut filled = mapping.clone();
        filled.insert(Value::String(key.to_string()), Value::Null);
        let complaint = fails(&with(cut, path, Value::Mapping(filled))).unwrap_or_default();
        complaint != missing && !complaint.starts_with(&unknown)
    });
    found.unwrap_or_default().to_vec()
}

/// The names in backquotes after "expected": serde lists what would be valid.
fn names(error: &str) -> Vec<String> {
    let listed = error.split_once("`, expected ").map_or("", |(_, listed)| listed);
    listed.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(start)?;
    rest.split_once(end).map(|(inside, _)| inside)
}
