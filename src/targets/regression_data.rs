//! The tables behind the logistic regressions, and what the published code makes of each.

use std::path::Path;

use anyhow::Result;

use crate::bad_input;
use crate::io::table::{TableSource, read_table};

/// A table and what the published code makes of it.
pub struct Recipe {
    pub file: &'static str,
    source: TableSource,
    /// Number of features; the class is the column after them, or with `id_first` between an id and them.
    features: usize,
    id_first: bool,
    scaling: fn(&[&[f64]]) -> Vec<f64>,
    /// Whether the weights speak for class 0: `P(y = 1) = sigmoid(-X w)`.
    negated: bool,
}

pub const SONAR: Recipe = Recipe {
    file: "sonar.csv",
    source: TableSource {
        origin: "UCI data set 151, Connectionist Bench Sonar (sonar.all-data; 60 features, then class R/M or 0/1)",
        words: &[("R", 0.0), ("M", 1.0)],
    },
    features: 60,
    id_first: false,
    scaling: standardise,
    // The samplers' copy of the data counts a rock as 1, the public table a mine.
    negated: true,
};

pub const IONOSPHERE: Recipe = Recipe {
    file: "ionosphere.csv",
    source: TableSource {
        origin: "UCI data set 52, Ionosphere (ionosphere.data; 34 features, then class b/g or 0/1)",
        words: &[("b", 0.0), ("g", 1.0)],
    },
    features: 34,
    id_first: false,
    scaling: standardise,
    negated: false,
};

pub const CREDIT: Recipe = Recipe {
    file: "german.data-numeric",
    source: TableSource {
        origin: "UCI data set 144, Statlog (German Credit Data) (german.data-numeric; 24 features, then class 1/2)",
        words: &[],
    },
    features: 24,
    id_first: false,
    scaling: divide_by_std,
    negated: true,
};

pub const CANCER: Recipe = Recipe {
    file: "breast_cancer.data",
    source: TableSource {
        origin: "UCI data set 17, Breast Cancer Wisconsin (Diagnostic) (wdbc.data; id, class M/B or 0/1, 30 features)",
        words: &[("M", 0.0), ("B", 1.0)],
    },
    features: 30,
    id_first: true,
    scaling: divide_by_std,
    negated: true,
};

impl Recipe {
    /// Design matrix, row by row with a leading 1, and labels 0/1 such that `P(y = 1) = sigmoid(X w)`.
    pub fn read(&self, path: &Path) -> Result<(Vec<f64>, Vec<f64>)> {
        let (label_at, features_at) = if self.id_first { (1, 2) } else { (self.features, 0) };
        let width = self.features + if self.id_first { 2 } else { 1 };
        let rows = read_table(path, self.source, &[width])?;

        let classes: Vec<f64> = rows.iter().map(|row| row[label_at]).collect();
        let labels = zero_one(path, &classes)?;
        let labels = labels.into_iter().map(|y| if self.negated { 1.0 - y } else { y }).collect();
        let features: Vec<&[f64]> = rows.iter().map(|row| &row[features_at..features_at + self.features]).collect();
        Ok(((self.scaling)(&features), labels))
    }
}

/// Labels in {0, 1}; those of {1, 2} are shifted.
fn zero_one(path: &Path, labels: &[f64]) -> Result<Vec<f64>> {
    let shift = if labels.contains(&2.0) { 1.0 } else { 0.0 };
    let shifted: Vec<f64> = labels.iter().map(|y| y - shift).collect();
    match shifted.iter().position(|y| *y != 0.0 && *y != 1.0) {
        Some(row) => {
            Err(bad_input!("{}: data row {}: class {} is neither of two", path.display(), row + 1, labels[row]))
        }
        None => Ok(shifted),
    }
}

/// A column of ones, then every feature centred and divided by its population standard deviation, digit for digit as
/// the samplers' code has it.
///
/// Their copies of Sonar and Ionosphere are LIBSVM's, scaled to [-1, 1] and printed with six digits, read as float32
/// and standardised in float32 by adding row after row. Plain f64 would move the score by 3e-6.
fn standardise(features: &[&[f64]]) -> Vec<f64> {
    let columns: Vec<Vec<f32>> = columns(features).map(|column| standardise_column(&scale_to_unit(&column))).collect();
    let row = |i: usize| std::iter::once(1.0).chain(columns.iter().map(move |column| f64::from(column[i])));
    (0..features.len()).flat_map(row).collect()
}

fn standardise_column(values: &[f32]) -> Vec<f32> {
    let count = values.len() as f32;
    let mean = values.iter().fold(0.0, |sum, v| sum + v) / count;
    let variance = values.iter().fold(0.0, |sum, v| sum + (v - mean) * (v - mean)) / count;
    let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    values.iter().map(|v| (v - mean) / std).collect()
}

/// A column mapped onto [-1, 1] with six significant digits; one that never varies becomes 0.
fn scale_to_unit(column: &[f64]) -> Vec<f32> {
    let low = column.iter().cloned().fold(f64::INFINITY, f64::min);
    let high = column.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
    let scaled = |v: &f64| if high > low { -1.0 + 2.0 * (v - low) / (high - low) } else { 0.0 };
    column.iter().map(|v| six_digits(scaled(v)) as f32).collect()
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// A column of ones, then every feature divided by its population standard deviation (by 1 if it never varies), not
/// centred. Done in f64; code that does it in float32 has scores that differ by 1e-7.
fn divide_by_std(features: &[&[f64]]) -> Vec<f64> {
    let count = features.len() as f64;
    let std = |column: Vec<f64>| {
        let mean = column.iter().sum::<f64>() / count;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        if variance > 0.0 { variance.sqrt() } else { 1.0 }
    };
    let stds: Vec<f64> = columns(features).map(std).collect();
    let scaled = |row: &&[f64]| -> Vec<f64> { row.iter().zip(&stds).map(|(v, s)| v / s).collect() };
    features.iter().flat_map(|row| std::iter::once(1.0).chain(scaled(row))).collect()
}

fn columns<'a>(features: &'a [&'a [f64]]) -> impl Iterator<Item = Vec<f64>> + 'a {
    let width = features.first().map_or(0, |row| row.len());
    (0..width).map(|d| features.iter().map(|row| row[d]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_by_hand() {
        // Mean 2, population std sqrt(2/3); the second feature never varies.
        let rows: [&[f64]; 3] = [&[1.0, 5.0], &[2.0, 5.0], &[3.0, 5.0]];
        let s = (2.0f64 / 3.0).sqrt();
        assert_eq!(divide_by_std(&rows), [1.0, 1.0 / s, 5.0, 1.0, 2.0 / s, 5.0, 1.0, 3.0 / s, 5.0]);
        let expected = [1.0, -1.0 / s, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0 / s, 0.0];
        let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-7;
        assert!(standardise(&rows).iter().zip(&expected).all(close), "{:?}", standardise(&rows));
        assert_eq!(six_digits(-0.123_456_789), -0.123_457);
    }

    /// Class letters are read, and a rock counts as 1.
    #[test]
    fn the_loader_standardises_and_flips() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sonar.csv");
        let values = |i: usize, d: usize| ((i * 37 + d * 11) % 17) as f64;
        let row = |i: usize| {
            let features: Vec<String> = (0..60).map(|d| values(i, d).to_string()).collect();
            format!("{},{}\n", features.join(","), if i.is_multiple_of(3) { "M" } else { "R" })
        };
        std::fs::write(&path, (0..9).map(row).collect::<String>()).unwrap();

        let (design, found) = SONAR.read(&path).unwrap();
        let rows: Vec<Vec<f64>> = (0..9).map(|i| (0..60).map(|d| values(i, d)).collect()).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let labels: Vec<f64> = (0..9usize).map(|i| if i.is_multiple_of(3) { 0.0 } else { 1.0 }).collect();
        assert_eq!(design, standardise(&rows));
        assert_eq!(found, labels);
    }

    #[test]
    fn a_third_class_is_refused() {
        let error = zero_one(Path::new("t.csv"), &[0.0, 1.0, 0.5]).unwrap_err().to_string();
        assert!(error.contains("t.csv") && error.contains("row 3"), "{error}");
        assert_eq!(zero_one(Path::new("t.csv"), &[2.0, 1.0]).unwrap(), [1.0, 0.0]);
    }
}
