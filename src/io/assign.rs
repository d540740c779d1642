//! Putting a file's tensors into a model's parameters: all of them, exactly, or none.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use tch::Tensor;

use super::weights::Weights;
use crate::bad_input;

/// How many tensors of each sort a message names.
const NAMED: usize = 4;

/// What [`assign_with`] may let pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leniency {
    /// Convert between kinds (f64 to f32, bf16 to f32); otherwise kinds must be equal.
    pub cast: bool,
    /// Leave parameters that the file lacks as they are.
    pub missing: bool,
    /// Pass over tensors of the file that the model lacks.
    pub unexpected: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Parameters that took a tensor's values.
    pub assigned: usize,
    /// Tensors of the file that `rename` set aside.
    pub set_aside: usize,
    /// Parameters whose values were converted from another kind.
    pub cast: Vec<String>,
    /// Parameters left as they were, where that is allowed.
    pub missing: Vec<String>,
    /// Tensors without a parameter, where that is allowed.
    pub unexpected: Vec<String>,
}

/// Copies `from` into `into`, whose names, shapes and kinds must agree; `rename` gives a file's tensor the model's name
/// for it, or `None` to set it aside.
pub fn assign(into: &[(String, Tensor)], from: &Weights, rename: impl Fn(&str) -> Option<String>) -> Result<Report> {
    assign_with(into, from, rename, Leniency::default())
}

/// [`assign`] with exceptions. Nothing is copied unless everything fits; the error then names all that does not.
pub fn assign_with(
    into: &[(String, Tensor)],
    from: &Weights,
    rename: impl Fn(&str) -> Option<String>,
    lenient: Leniency,
) -> Result<Report> {
    let (named, set_aside) = renamed(from, rename)?;
    let mut report = Report { set_aside, ..Report::default() };
    let (mut shapes, mut kinds, mut pairs) = (Vec::new(), Vec::new(), Vec::new());

    // First compare everything.
    for (name, parameter) in into {
        let Some(tensor) = named.get(name.as_str()) else {
            report.missing.push(name.clone());
            continue;
        };
        if tensor.size() != parameter.size() {
            shapes.push(format!("{name} (file {:?}, model {:?})", tensor.size(), parameter.size()));
        } else if tensor.kind() != parameter.kind() && !lenient.cast {
            kinds.push(format!("{name} (file {:?}, model {:?})", tensor.kind(), parameter.kind()));
        } else {
            pairs.push((name, parameter, *tensor));
        }
    }
    let known: HashSet<&str> = into.iter().map(|(name, _)| name.as_str()).collect();
    report.unexpected = named.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
    report.unexpected.sort();

    let complaints = [
        if lenient.missing { None } else { listed("missing", &explained(&report.missing, from)) },
        if lenient.unexpected { None } else { listed("unexpected", &report.unexpected) },
        listed("of another shape", &shapes),
        listed("of another kind", &kinds),
    ];
    let complaints: Vec<String> = complaints.into_iter().flatten().collect();
    if !complaints.is_empty() {
        return Err(bad_input!("{}: does not fit the model: {}", from.source, complaints.join("; ")));
    }

    // Then copy, which cannot fail for want of fit any more.
    let _guard = tch::no_grad_guard();
    for (name, parameter, tensor) in pairs {
        if tensor.kind() != parameter.kind() {
            report.cast.push(name.clone());
        }
        parameter.shallow_clone().f_copy_(tensor)?;
        report.assigned += 1;
    }
    Ok(report)
}

/// The file's tensors under the model's names, and how many were set aside.
fn renamed(from: &Weights, rename: impl Fn(&str) -> Option<String>) -> Result<(HashMap<String, &Tensor>, usize)> {
    let mut named = HashMap::new();
    let mut origin: HashMap<String, &str> = HashMap::new();
    let mut set_aside = 0;
    for (name, tensor) in &from.tensors {
        let Some(new) = rename(name) else {
            set_aside += 1;
            continue;
        };
        if let Some(other) = origin.insert(new.clone(), name) {
            return Err(bad_input!("{}: '{other}' and '{name}' both stand for '{new}'", from.source));
        }
        named.insert(new, tensor);
    }
    Ok((named, set_aside))
}

/// Missing names, with a word on those that are in the file but not as a tensor.
fn explained(missing: &[String], from: &Weights) -> Vec<String> {
    let why = |name: &String| match from.skipped.iter().find(|(skipped, _)| skipped == name) {
        Some((_, what)) => format!("{name} (of kind {what} in the file)"),
        None => name.clone(),
    };
    missing.iter().map(why).collect()
}

/// `3 missing: a, b, c`; `None` if there are none.
fn listed(what: &str, names: &[String]) -> Option<String> {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = if names.len() > NAMED { ", ..." } else { "" };
    (!names.is_empty()).then(|| format!("{} {what}: {}{more}", names.len(), first.join(", ")))
}
