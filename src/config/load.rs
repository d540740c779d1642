//! From a YAML file and overrides to a typed config.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::{self, Fault, What};
use super::overrides::{self, Applied, Override};
use super::source::{self, Source};
use super::{tree, wording};
use crate::bad_input;
use crate::torch::error::BadInput;

/// A config, typed and as text.
pub struct Loaded<T> {
    pub value: T,
    /// The resolved config: parents merged, overrides applied, defaults written out. Loads to the same value.
    pub yaml: String,
    /// The file's name without its ending.
    pub name: String,
    origin: Origin,
}

/// Loads `path`, lays it over what it `extends`, applies `overrides` (`a.b=value`) in order, and parses the result.
///
/// An override that changes a mapping's `type` keeps the keys that the new type knows as well and drops the others,
/// unless they were given by overrides too; in a file, a changed `type` starts its mapping afresh.
///
/// Anything wrong is one [`BadInput`] line with file, line, key, and the nearest valid name. A key that `T` does not
/// write back is refused even where serde would let it pass, so `T` must serialise every key it reads.
pub fn load<T: DeserializeOwned + Serialize>(path: &Path, overrides: &[String]) -> Result<Loaded<T>> {
    let source = source::read(path)?;
    let overrides = overrides.iter().map(|text| Override::parse(text)).collect::<Result<Vec<_>>>()?;
    let Applied { mut value, retyped } = overrides::apply(source.value.clone(), &overrides)?;
    let mut origin = Origin { source, overrides, retyped };

    // Keys left from a mapping's former type go one by one; every other fault is the person's to mend.
    let typed: T = loop {
        match fault::parse(&value) {
            Ok(typed) => break typed,
            Err(fault) if origin.is_leftover(&fault) => remove(&mut value, &fault.path),
            Err(fault) => {
                origin.source.value = value;
                return Err(origin.explain(&fault));
            }
        }
    };

    let yaml = serde_yaml::to_string(&typed)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
    origin.source.value = value;
    Ok(Loaded { value: typed, yaml, name, origin })
}

impl<T> Loaded<T> {
    /// Puts `file:line: ` (or the override at fault) before a complaint that quotes a dotted key, such as those of
    /// [`check`](super::check). Other errors pass unchanged.
    pub fn locate(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(BadInput(text)) = error.downcast_ref::<BadInput>() else { return error };
        let key = text
            .split('\'')
            .skip(1)
            .step_by(2)
            .find(|key| tree::get(&self.origin.source.value, &tree::split(key)).is_some());
        match key {
            Some(key) => bad_input!("{}: {text}", self.origin.of(&tree::split(key))),
            None if text.starts_with(&self.origin.file()) => error,
            None => bad_input!("{}: {text}", self.origin.file()),
        }
    }
}

fn remove(root: &mut serde_yaml::Value, path: &[String]) {
    let Some((last, parent)) = path.split_last() else { return };
    if let Some(serde_yaml::Value::Mapping(mapping)) = tree::get_mut(root, parent) {
        mapping.shift_remove(last.as_str());
    }
}

/// Where each key of a config came from. Its `source.value` is the document after merging and overriding.
struct Origin {
    source: Source,
    overrides: Vec<Override>,
    retyped: Vec<tree::Path>,
}

impl Origin {
    fn file(&self) -> String {
        self.source.layers.first().map(|layer| layer.path.display().to_string()).unwrap_or_default()
    }

    /// Whether the fault is a key of a mapping's former type that the person did not ask for anew.
    fn is_leftover(&self, fault: &Fault) -> bool {
        let Some((_, parent)) = fault.path.split_last() else { return false };
        let asked = self.overrides.iter().any(|over| over.path.starts_with(&fault.path));
        matches!(fault.what, What::UnknownKey { .. }) && self.retyped.iter().any(|path| path == parent) && !asked
    }

    /// `file:line` of the most derived file that states `path`, or the file and the override that does.
    fn of(&self, path: &[String]) -> String {
        let sets = |over: &&Override| path.starts_with(&over.path);
        if let Some(over) = self.overrides.iter().rev().find(sets) {
            return format!("{}: override '{}'", self.file(), over.text);
        }
        let lines = self.source.layers.iter();
        let stated = lines
            .filter(|_| !path.is_empty())
            .find_map(|layer| tree::line_of(&layer.text, path).map(|line| format!("{}:{line}", layer.path.display())));
        let below = || self.overrides.iter().rev().find(|over| over.path.starts_with(path) && !path.is_empty());
        match (stated, below()) {
            (Some(stated), _) => stated,
            (None, Some(over)) => format!("{}: override '{}'", self.file(), over.text),
            (None, None) => self.file(),
        }
    }

    fn explain(&self, fault: &Fault) -> anyhow::Error {
        let key = wording::dotted(&fault.path);
        let value = tree::get(&self.source.value, &fault.path);
        let place = self.of(&fault.path);
        match &fault.what {
            What::UnknownKey { valid } => {
                let (name, parent) =
                    fault.path.split_last().map_or(("", &[][..]), |(name, parent)| (name.as_str(), parent));
                // serde takes the tag out before it lists what is left.
                let tagged = tree::get(&self.source.value, parent).is_some_and(|above| above.get(tree::TAG).is_some());
                let tag = (tagged && !valid.iter().any(|name| name == tree::TAG)).then(|| tree::TAG.to_string());
                let valid: Vec<String> = valid.iter().cloned().chain(tag).collect();
                let said = wording::suggestion(name, &valid, "valid here");
                let elsewhere =
                    if wording::nearest(name, &valid).is_none() { self.elsewhere(name, parent) } else { String::new() };
                bad_input!("{place}: unknown key '{key}'{elsewhere}{said}")
            }
            What::MissingKey { key: missing } => {
                let retyped = self.retyped.contains(&fault.path);
                let tag: Vec<String> = fault.path.iter().cloned().chain([tree::TAG.to_string()]).collect();
                let place = if retyped { self.of(&tag) } else { place };
                let full = fault.path.iter().chain([missing]).cloned().collect::<Vec<_>>().join(".");
                match self.misspelt(&fault.path, missing) {
                    Some(path) => {
                        let (place, key) = (self.of(&path), wording::dotted(&path));
                        bad_input!("{place}: missing key '{full}'; there is '{key}', did you mean '{missing}'?")
                    }
                    None => bad_input!("{place}: missing key '{full}'; add it, or give {full}=... as an override"),
                }
            }
            What::UnknownName { valid } => {
                let found = value.map(wording::describe).unwrap_or_default();
                let name = value.and_then(|value| value.as_str()).unwrap_or_default();
                bad_input!("{place}: '{key}' cannot be {found}{}", wording::suggestion(name, valid, "valid"))
            }
            What::Other { message } => bad_input!("{place}: {}", wording::mismatch(&fault.path, value, message)),
        }
    }

    /// A key below `parent` that seems to be meant for the one that is missing.
    fn misspelt(&self, parent: &[String], missing: &str) -> Option<tree::Path> {
        let mapping = tree::get(&self.source.value, parent)?.as_mapping()?;
        let wanted = [missing.to_string()];
        let keys = mapping.keys().filter_map(|key| key.as_str());
        let near = keys.into_iter().find(|key| *key != missing && wording::nearest(key, &wanted).is_some())?;
        Some(parent.iter().cloned().chain([near.to_string()]).collect())
    }

    /// A sound key of that name at another place of the document than below `parent`.
    fn elsewhere(&self, name: &str, parent: &[String]) -> String {
        for (section, value) in self.source.value.as_mapping().into_iter().flatten() {
            let Some(section) = section.as_str() else { continue };
            if value.get(name).is_some() && parent != [section] {
                return format!(", did you mean '{section}.{name}'?");
            }
        }
        String::new()
    }
}
