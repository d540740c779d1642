//! How complaints about a config are worded.

use std::path::Path;

use serde_yaml::Value;

use super::tree;

/// At most this many names are listed; more would not be read.
const LISTED: usize = 12;

/// Lines joined, runs of blanks made one.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A dotted key, in a length that a message can take.
pub fn dotted(path: &[String]) -> String {
    let key = path.join(".");
    if key.len() > 200 { shorten(&key) } else { key }
}

/// `'a.b' ` or nothing for the whole document.
pub fn quoted(path: &[String]) -> String {
    if path.is_empty() { "the top level ".to_string() } else { format!("'{}' ", dotted(path)) }
}

/// A value as a person would name it.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing (null)".to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text '{}'", shorten(text)),
        Value::Sequence(items) => format!("a list of {}", items.len()),
        Value::Mapping(_) => "a mapping".to_string(),
        Value::Tagged(tagged) => format!("the tag {}", tagged.tag),
    }
}

/// The beginning of a text, as one line.
pub fn shorten(text: &str) -> String {
    let text = one_line(text);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// `; did you mean 'hidden'? (valid: ...)`, as far as there is something to say.
pub fn suggestion(wrong: &str, valid: &[String], kind: &str) -> String {
    let near = nearest(wrong, valid).map(|name| format!(", did you mean '{name}'?")).unwrap_or_default();
    format!("{near}{}", listing(valid, kind))
}

fn listing(valid: &[String], kind: &str) -> String {
    if valid.is_empty() {
        return String::new();
    }
    let more = if valid.len() > LISTED { ", ..." } else { "" };
    let names: Vec<&str> = valid.iter().take(LISTED).map(String::as_str).collect();
    format!(" ({kind}: {}{more})", names.join(", "))
}

/// The valid name a slip of the fingers away from `wrong`, if there is one.
pub fn nearest<'a>(wrong: &str, valid: &'a [String]) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    // `lr` for learning_rate.
    if let Some(name) = valid.iter().find(|name| wrong.len() > 1 && initials(name) == wrong) {
        return Some(name);
    }
    let reach = (wrong.chars().count() / 3).clamp(1, 3);
    let close = |name: &&String| {
        let name = name.to_lowercase();
        let short = wrong.len() >= 3 && (name.starts_with(&wrong) || wrong.starts_with(&name) && name.len() >= 3);
        distance(&wrong, &name) <= reach || short
    };
    valid.iter().filter(close).min_by_key(|name| distance(&wrong, &name.to_lowercase())).map(String::as_str)
}

fn initials(name: &str) -> String {
    name.split('_').filter_map(|word| word.chars().next()).collect()
}

/// Edits that turn `a` into `b`: insert, delete, replace, or swap two neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// Files beside `path` that may have been meant.
pub fn similar_files(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return format!(" (there is no folder '{}')", folder.display());
    }
    let wrong = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
    let files = yaml_files(folder);
    let stems: Vec<String> =
        files.iter().map(|file| file.rsplit_once('.').map_or("", |(stem, _)| stem).to_string()).collect();
    let near = nearest(&wrong, &stems).and_then(|stem| files.iter().find(|file| file.starts_with(&format!("{stem}."))));
    let near = near.map(|file| format!(", did you mean '{file}'?")).unwrap_or_default();
    format!("{near}{}", listing(&files, "there"))
}

/// What a person who named a folder could have named.
pub fn files_in(folder: &Path) -> String {
    listing(&yaml_files(folder), "in it")
}

fn yaml_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().to_string());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml") || name.ends_with(".yml")).collect();
    names.sort();
    names
}

/// serde's "invalid type: X, expected Y" about `value` at `path`, in plain words, with what to write where it is plain.
pub fn mismatch(path: &[String], value: Option<&Value>, message: &str) -> String {
    let Some((_, expected)) = message.split_once(", expected ").filter(|_| message.starts_with("invalid ")) else {
        return format!("{}{}", prefix(path), one_line(message));
    };
    let expected = expected.trim();
    let found = value.map(describe).unwrap_or_else(|| one_line(message));
    let hint = value.and_then(|value| remedy(value, expected)).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}must be {}, found {found}{hint}", quoted(path), plain(expected))
}

fn prefix(path: &[String]) -> String {
    if path.is_empty() { String::new() } else { format!("'{}': ", dotted(path)) }
}

/// What serde calls a type, in words.
fn plain(expected: &str) -> String {
    let bits = expected.trim_start_matches(['u', 'i', 'f']);
    let numeric = matches!(bits, "8" | "16" | "32" | "64" | "128" | "size");
    match expected {
        _ if numeric && expected.starts_with('u') => "a whole number, 0 or larger".to_string(),
        _ if numeric && expected.starts_with('i') => "a whole number".to_string(),
        _ if numeric => "a number".to_string(),
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number, 1 or larger".to_string(),
        _ if expected.contains(" of length ") || expected.contains(" of size ") => {
            format!("a list of {}", expected.rsplit(' ').next().unwrap_or_default())
        }
        "a boolean" => "true or false".to_string(),
        "a string" | "string" | "a borrowed string" => "text".to_string(),
        "a sequence" => "a list".to_string(),
        "variant identifier" | "string or map" => "a name".to_string(),
        _ if expected.starts_with("variant of enum") || expected.starts_with("enum ") => "a name".to_string(),
        _ if expected.contains("tagged enum") => format!("a mapping with a '{}' key", tree::TAG),
        _ if expected == "a map" || expected.starts_with("struct ") || expected.starts_with("any valid struct") => {
            "a mapping of keys".to_string()
        }
        other => one_line(other),
    }
}

/// What to write instead, where that is beyond doubt.
fn remedy(value: &Value, expected: &str) -> Option<String> {
    let expected = plain(expected);
    let whole = expected.starts_with("a whole number");
    match value {
        Value::Number(number) if whole => {
            let number = number.as_f64()?;
            (number.fract() == 0.0 && (0.0..1e15).contains(&number) && expected != "a whole number, 1 or larger")
                .then(|| format!("write {number:.0}"))
        }
        Value::String(text) if whole || expected == "a number" => {
            let digits: String = text.chars().filter(|c| !matches!(c, '_' | ' ')).collect();
            let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
            match number {
                Some(number) if whole && number.fract() != 0.0 => None,
                Some(number) if whole => Some(format!("write {number:.0}")),
                Some(_) => Some(format!("write {digits}")),
                None if text.contains(',') => {
                    Some("several values make a sweep, which takes them one by one".to_string())
                }
                None => None,
            }
        }
        Value::String(text) if expected == "true or false" => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" => Some("write true".to_string()),
            "no" | "off" | "n" => Some("write false".to_string()),
            _ => None,
        },
        Value::Bool(_) | Value::Number(_) if expected == "text" => {
            Some(format!("write \"{}\" in quotes", describe(value)))
        }
        Value::Number(_) if expected == "a list" => Some(format!("write [{}]", describe(value))),
        Value::String(text) if expected.contains("'type' key") && !text.contains(' ') => {
            Some(format!("write {{type: {text}}}"))
        }
        _ => None,
    }
}
