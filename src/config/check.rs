//! Checks of single values, for config structs to make before they build anything.
//!
//! Each names its dotted key; [`Loaded::locate`](super::load::Loaded::locate) adds file and line.

use std::fmt::Display;

use anyhow::Result;

use crate::bad_input;

/// Neither NaN nor infinite.
pub fn finite(key: &str, value: f64) -> Result<()> {
    demand(value.is_finite(), key, "a finite number", value)
}

/// Finite and larger than 0.
pub fn positive(key: &str, value: f64) -> Result<()> {
    demand(value.is_finite() && value > 0.0, key, "a finite number larger than 0", value)
}

/// Finite and at least 0.
pub fn non_negative(key: &str, value: f64) -> Result<()> {
    demand(value.is_finite() && value >= 0.0, key, "a finite number, 0 or larger", value)
}

/// In `[0, 1]`.
pub fn probability(key: &str, value: f64) -> Result<()> {
    demand((0.0..=1.0).contains(&value), key, "between 0 and 1", value)
}

/// At least `least`.
pub fn at_least<V: PartialOrd + Display>(key: &str, value: V, least: V) -> Result<()> {
    demand(value >= least, key, &format!("{least} or larger"), value)
}

/// At most `most`.
pub fn at_most<V: PartialOrd + Display>(key: &str, value: V, most: V) -> Result<()> {
    demand(value <= most, key, &format!("{most} or smaller"), value)
}

/// In `[low, high]`.
pub fn in_range<V: PartialOrd + Display>(key: &str, value: V, low: V, high: V) -> Result<()> {
    demand(value >= low && value <= high, key, &format!("between {low} and {high}"), value)
}

/// `low < high`, for a pair of keys.
pub fn ordered<V: PartialOrd + Display>(low_key: &str, low: V, high_key: &str, high: V) -> Result<()> {
    if low < high {
        Ok(())
    } else {
        Err(bad_input!("'{low_key}' must be smaller than '{high_key}', found {low} and {high}"))
    }
}

/// A multiple of `unit`, which must not be 0.
pub fn multiple_of(key: &str, value: u64, unit: u64) -> Result<()> {
    demand(unit != 0 && value.is_multiple_of(unit), key, &format!("a multiple of {unit}"), value)
}

/// Exactly `expected` entries.
pub fn length(key: &str, found: usize, expected: usize) -> Result<()> {
    demand(found == expected, key, &format!("a list of {expected}"), format!("a list of {found}"))
}

/// At least one entry.
pub fn not_empty<V>(key: &str, items: &[V]) -> Result<()> {
    demand(!items.is_empty(), key, "a list of at least one", "an empty list")
}

/// No entry NaN or infinite.
pub fn all_finite(key: &str, items: &[f64]) -> Result<()> {
    match items.iter().position(|value| !value.is_finite()) {
        Some(i) => demand(false, &format!("{key}.{i}"), "a finite number", items[i]),
        None => Ok(()),
    }
}

/// One of the names.
pub fn one_of(key: &str, value: &str, valid: &[&str]) -> Result<()> {
    if valid.contains(&value) {
        return Ok(());
    }
    let names: Vec<String> = valid.iter().map(|name| name.to_string()).collect();
    Err(bad_input!("'{key}' cannot be the text '{value}'{}", super::wording::suggestion(value, &names, "valid")))
}

fn demand(holds: bool, key: &str, expected: &str, found: impl Display) -> Result<()> {
    if holds { Ok(()) } else { Err(bad_input!("'{key}' must be {expected}, found {found}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_nan_fails_them_all() {
        assert!(positive("k", 1e-300).is_ok() && positive("k", 0.0).is_err() && positive("k", f64::INFINITY).is_err());
        assert!(non_negative("k", 0.0).is_ok() && non_negative("k", -0.1).is_err());
        assert!(probability("k", 0.0).is_ok() && probability("k", 1.0).is_ok() && probability("k", 1.01).is_err());
        assert!(at_least("k", 3, 3).is_ok() && at_least("k", 2, 3).is_err());
        assert!(at_most("k", 3, 3).is_ok() && at_most("k", 4, 3).is_err());
        assert!(in_range("k", 0.5, 0.5, 1.0).is_ok() && in_range("k", 0.4, 0.5, 1.0).is_err());
        assert!(ordered("a", 1, "b", 2).is_ok() && ordered("a", 2, "b", 2).is_err());
        assert!(multiple_of("k", 6, 3).is_ok() && multiple_of("k", 7, 3).is_err() && multiple_of("k", 7, 0).is_err());
        assert!(length("k", 2, 2).is_ok() && length("k", 1, 2).is_err());
        assert!(not_empty("k", &[1]).is_ok() && not_empty::<i64>("k", &[]).is_err());
        let nan = f64::NAN;
        for result in [finite("k", nan), positive("k", nan), probability("k", nan), in_range("k", nan, 0.0, 1.0)] {
            assert!(result.is_err());
        }
    }

    #[test]
    fn messages_name_key_found_and_expected() {
        let text = positive("train.learning_rate", -1.0).unwrap_err().to_string();
        assert_eq!(text, "'train.learning_rate' must be a finite number larger than 0, found -1");
        let text = all_finite("target.means", &[0.0, f64::NAN]).unwrap_err().to_string();
        assert!(text.contains("'target.means.1'") && text.contains("NaN"), "{text}");
        let text = one_of("schedule", "cosin", &["linear", "cosine"]).unwrap_err().to_string();
        assert!(text.contains("did you mean 'cosine'"), "{text}");
    }
}
