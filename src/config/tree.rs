//! Walking, merging and locating keys in a YAML document.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

/// A dotted key, split: `target.means.0` is `["target", "means", "0"]`.
pub type Path = Vec<String>;

/// The key whose value selects a variant; changing it changes which other keys make sense.
pub const TAG: &str = "type";

pub fn split(key: &str) -> Path {
    key.split('.').map(str::to_string).collect()
}

/// The value at `path`, if the document goes that deep.
pub fn get<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, step| match value {
        Value::Mapping(mapping) => mapping.get(step.as_str()),
        Value::Sequence(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
        _ => None,
    })
}

pub fn get_mut<'a>(root: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, step| match value {
        Value::Mapping(mapping) => mapping.get_mut(step.as_str()),
        Value::Sequence(items) => step.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
        _ => None,
    })
}

/// Lays `over` on `base`, key by key. A mapping that changes its `type` replaces the one below: the keys of another
/// type would be strangers there.
pub fn merge(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Mapping(base), Value::Mapping(over)) if same_type(&base, &over) => {
            Value::Mapping(merge_maps(base, over))
        }
        (_, over) => over,
    }
}

fn merge_maps(mut base: Mapping, over: Mapping) -> Mapping {
    for (key, value) in over {
        let merged = match base.get_mut(&key) {
            Some(slot) => merge(std::mem::take(slot), value),
            None => value,
        };
        base.insert(key, merged);
    }
    base
}

fn same_type(base: &Mapping, over: &Mapping) -> bool {
    match (base.get(TAG), over.get(TAG)) {
        (Some(old), Some(new)) => old == new,
        _ => true,
    }
}

/// The first value, in document order, for which `wrong` has something to say, with its path.
pub fn find_map<R>(value: &Value, path: &mut Path, wrong: &dyn Fn(&Value) -> Option<R>) -> Option<R> {
    if let Some(found) = wrong(value) {
        return Some(found);
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Mapping(mapping) => {
            mapping.iter().map(|(k, v)| (k.as_str().unwrap_or_default().to_string(), v)).collect()
        }
        Value::Sequence(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (step, child) in children {
        path.push(step);
        if let Some(found) = find_map(child, path, wrong) {
            return Some(found);
        }
        path.pop();
    }
    None
}

/// The line (from 1) on which `text` states the key at `path`.
///
/// A parser that stops with an error exactly there has its position; serde_yaml tells positions in no other way.
pub fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let seed = Seek { path };
    let stop = seed.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    if !stop.to_string().contains(FOUND) {
        return None;
    }
    stop.location().map(|location| location.line())
}

const FOUND: &str = "the key sought is here";

/// Walks towards `path` and stops with [`FOUND`] at its last step.
struct Seek<'a> {
    path: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the way to a key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(matches) = map.next_key_seed(Key { path: self.path })? {
            if matches {
                map.next_value_seed(Seek { path: &self.path[1..] })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let wanted = self.path.first().and_then(|step| step.parse::<usize>().ok());
        let mut i = 0;
        loop {
            let more = match (wanted == Some(i), self.path.len()) {
                (true, 1) => items.next_element_seed(Here)?,
                (true, _) => items.next_element_seed(Seek { path: &self.path[1..] })?,
                _ => items.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if more.is_none() {
                return Ok(());
            }
            i += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Compares a mapping's key with the next step; stops if it is the last.
struct Key<'a> {
    path: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let matches = self.path.first().is_some_and(|step| step == key);
        if matches && self.path.len() == 1 { Err(E::custom(FOUND)) } else { Ok(matches) }
    }
}

/// Stops at whatever value comes: it expects nothing, and says [`FOUND`] about it.
struct Here;

impl<'de> DeserializeSeed<'de> for Here {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Here {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(FOUND)
    }
}
