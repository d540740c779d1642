//! Reading config files: their limits, their syntax, and the chain of `extends`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_yaml::Value;

use super::{tree, wording};
use crate::bad_input;

/// A config is written by hand; what is larger than this is another kind of file.
const MAX_BYTES: u64 = 1 << 20;
/// More parents than anyone means.
const MAX_CHAIN: usize = 32;
const EXTENDS: &str = "extends";

/// One file of the chain, kept to tell lines later.
pub struct Layer {
    pub path: PathBuf,
    pub text: String,
}

/// The merged document and the files it came from, the most derived first.
pub struct Source {
    pub layers: Vec<Layer>,
    pub value: Value,
}

/// Reads `path` and everything it extends.
pub fn read(path: &Path) -> Result<Source> {
    let mut layers = Vec::new();
    let mut values = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();

    // From the file named towards its oldest ancestor.
    let mut next = Some(path.to_path_buf());
    while let Some(path) = next.take() {
        let text = read_text(&path).map_err(|error| named_by(layers.last(), &path, error))?;
        seen.push(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()));
        let layer = Layer { path, text };
        let mut value = parse(&layer)?;
        next = take_parent(&mut value, &layer)?;
        layers.push(layer);
        values.push(value);
        refuse_cycle(next.as_deref(), &seen, &layers)?;
    }

    // From the oldest ancestor back.
    let value = values.into_iter().rev().reduce(tree::merge).unwrap_or_default();
    Ok(Source { layers, value })
}

fn named_by(child: Option<&Layer>, path: &Path, error: anyhow::Error) -> anyhow::Error {
    let Some(child) = child else { return error };
    let line = tree::line_of(&child.text, &[EXTENDS.to_string()]).unwrap_or(1);
    let error = error.to_string();
    let prefix = format!("{}: ", path.display());
    let what = error.strip_prefix(&prefix).unwrap_or(&error);
    bad_input!("{}:{line}: extends '{}': {what}", child.path.display(), path.display())
}

fn refuse_cycle(next: Option<&Path>, seen: &[PathBuf], layers: &[Layer]) -> Result<()> {
    let Some(next) = next else { return Ok(()) };
    let chain = || {
        let names = layers.iter().map(|layer| layer.path.display().to_string());
        names.chain([next.display().to_string()]).collect::<Vec<_>>().join(" -> ")
    };
    let first = layers.first().map(|layer| layer.path.display().to_string()).unwrap_or_default();
    if std::fs::canonicalize(next).is_ok_and(|next| seen.contains(&next)) {
        return Err(bad_input!("{first}: 'extends' goes in a circle: {}", chain()));
    }
    if layers.len() >= MAX_CHAIN {
        return Err(bad_input!("{first}: 'extends' goes through more than {MAX_CHAIN} files; shorten the chain"));
    }
    Ok(())
}

/// Takes `extends` out of the document: the parent's path, relative to the file that names it.
fn take_parent(value: &mut Value, layer: &Layer) -> Result<Option<PathBuf>> {
    let named = value.as_mapping_mut().and_then(|mapping| mapping.shift_remove(EXTENDS));
    match named {
        None => Ok(None),
        Some(Value::String(name)) if !name.trim().is_empty() => {
            let folder = layer.path.parent().unwrap_or(Path::new(""));
            Ok(Some(folder.join(name)))
        }
        Some(other) => {
            let line = tree::line_of(&layer.text, &[EXTENDS.to_string()]).unwrap_or(1);
            let found = wording::describe(&other);
            let file = layer.path.display();
            Err(bad_input!("{file}:{line}: 'extends' must be the path of one YAML file, found {found}"))
        }
    }
}

fn read_text(path: &Path) -> Result<String> {
    let file = path.display();
    if path.is_dir() {
        return Err(bad_input!("{file}: is a folder, expected a YAML file{}", wording::files_in(path)));
    }
    let opened = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_input!("{file}: no such file{}", wording::similar_files(path)),
        _ => bad_input!("{file}: cannot be opened ({error})"),
    })?;

    // One byte past the limit tells that there is more, whatever kind of file it is.
    let mut bytes = Vec::new();
    let read = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| bad_input!("{file}: cannot be read ({error})"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(bad_input!("{file}: larger than 1 MiB, expected a YAML config written by hand"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        bad_input!("{file}: not UTF-8 text (byte {at} is {:#04x}), expected a YAML config", error.as_bytes()[at])
    })
}

fn parse(layer: &Layer) -> Result<Value> {
    let file = layer.path.display();
    let mut value: Value = serde_yaml::from_str(&layer.text).map_err(|error| syntax_error(layer, &error))?;
    value.apply_merge().map_err(|error| bad_input!("{file}: merge key '<<': {error}"))?;
    match &value {
        Value::Mapping(_) => {}
        Value::Null => return Err(bad_input!("{file}: empty, expected a mapping of keys such as 'seed: 0'")),
        other => {
            let found = wording::describe(other);
            return Err(bad_input!("{file}:1: expected a mapping of keys such as 'seed: 0', found {found}"));
        }
    }
    refuse_odd_values(&value).map_err(|(path, what)| {
        let line = tree::line_of(&layer.text, &path).map(|line| format!(":{line}")).unwrap_or_default();
        bad_input!("{file}{line}: {}{what}", wording::quoted(&path))
    })?;
    Ok(value)
}

/// What YAML allows and no config means: tags, keys that are not text, NaN.
pub fn refuse_odd_values(value: &Value) -> Result<(), (tree::Path, String)> {
    let mut path = Vec::new();
    let odd = |value: &Value| match value {
        Value::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            Some(format!("has the YAML tag '{tag}'; write 'type: {}' inside a mapping", tag.trim_start_matches('!')))
        }
        Value::Number(n) if n.is_nan() => Some("is not a number (.nan), expected a finite number".to_string()),
        Value::Mapping(mapping) => mapping.keys().find(|key| !key.is_string()).map(|key| {
            let found = wording::describe(key);
            format!("holds a key that is not text: {found}; write it in quotes if it is meant")
        }),
        _ => None,
    };
    match tree::find_map(value, &mut path, &odd) {
        Some(what) => Err((path, what)),
        None => Ok(()),
    }
}

fn syntax_error(layer: &Layer, error: &serde_yaml::Error) -> anyhow::Error {
    let file = layer.path.display();
    let text = wording::one_line(&error.to_string());
    let Some(location) = error.location() else { return bad_input!("{file}: {text}") };

    // The position moves to the front, where editors find it.
    let (line, column) = (location.line(), location.column());
    let text = text.replace(&format!(" at line {line} column {column}"), "");
    if let Some((key, rest)) = text.split_once(": invalid type: integer `") {
        let number = rest.split('`').next().unwrap_or_default();
        return bad_input!("{file}:{line}: '{key}' is {number}, which does not fit 64 bits");
    }
    let source = layer.text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indent = &source[..source.len() - source.trim_start().len()];
    let hint = if indent.contains('\t') { "; indent with spaces, not tabs" } else { "" };
    bad_input!("{file}:{line}: not valid YAML: {text}{hint}")
}
