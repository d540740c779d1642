//! Small tables of numbers in text files: comma or white space, with or without a header, letters for classes.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::bad_input;

/// Where a table comes from when it is not there, and how its class letters read.
#[derive(Debug, Clone, Copy)]
pub struct TableSource {
    /// Public origin, for the message about a missing file.
    pub origin: &'static str,
    /// Fields that are not numbers and the numbers they stand for, such as `("M", 1.0)`.
    pub words: &'static [(&'static str, f64)],
}

/// Reads a table of numbers, row by row; every row has one of the `widths`, all rows the same.
///
/// Fields are separated by commas or white space and may be quoted. A first line with a field that is neither a number
/// nor one of the source's words is a header. Blank lines are skipped.
pub fn read_table(path: &Path, source: TableSource, widths: &[usize]) -> Result<Vec<Vec<f64>>> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => bad_input!(
            "{name}: file not found; it holds {}; run `make data`, put it there, or set target.data to its path",
            source.origin
        ),
        _ => bad_input!("{name}: cannot be read as text ({error}); expected {}", source.origin),
    })?;

    let mut rows: Vec<Vec<f64>> = Vec::new();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (order, (number, line)) in lines.enumerate() {
        let fields = split_fields(line);
        let values: Result<Vec<f64>, &str> = fields.iter().map(|f| parse_field(f, source)).collect();
        match values {
            Ok(values) => rows.push(values),
            // The first line may be a header, any other must be numbers.
            Err(_) if order == 0 => continue,
            Err(field) => return Err(bad_input!("{name}: line {}: found '{field}', expected a number", number + 1)),
        }
        check_width(path, number + 1, &rows, widths)?;
    }
    if rows.is_empty() {
        return Err(bad_input!("{name}: holds no rows of numbers, expected {}", source.origin));
    }
    Ok(rows)
}

fn split_fields(line: &str) -> Vec<&str> {
    let fields: Vec<&str> =
        if line.contains(',') { line.split(',').collect() } else { line.split_whitespace().collect() };
    fields.into_iter().map(|f| f.trim().trim_matches('"')).collect()
}

fn parse_field(field: &str, source: TableSource) -> Result<f64, &str> {
    if let Some((_, value)) = source.words.iter().find(|(word, _)| *word == field) {
        return Ok(*value);
    }
    field.parse().ok().filter(|v: &f64| v.is_finite()).ok_or(field)
}

/// The newest row must be of an accepted width and as wide as the first.
fn check_width(path: &Path, line: usize, rows: &[Vec<f64>], widths: &[usize]) -> Result<()> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    if last.len() != first.len() || !widths.contains(&last.len()) {
        let accepted: Vec<String> = widths.iter().map(usize::to_string).collect();
        let (found, expected) = (last.len(), accepted.join(" or "));
        return Err(bad_input!(
            "{}: line {line}: found {found} columns, expected {expected} in every row",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: TableSource = TableSource { origin: "a test", words: &[("M", 1.0), ("R", 0.0)] };

    fn read(text: &str, widths: &[usize]) -> Result<Vec<Vec<f64>>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read_table(file.path(), SOURCE, widths)
    }

    #[test]
    fn headers_quotes_words_and_blanks_are_understood() {
        let expected = vec![vec![1.5, 0.0], vec![-2e-3, 1.0]];
        assert_eq!(read("a,y\n1.5,R\n\n-2e-3,M\n", &[2]).unwrap(), expected);
        assert_eq!(read("  1.5   R \n -2E-03 M\n", &[2]).unwrap(), expected);
        assert_eq!(read("\"1.5\",\"R\"\r\n\"-0.002\",M\r\n", &[2, 3]).unwrap(), expected);
    }

    #[test]
    fn errors_name_line_and_finding() {
        let message = |text: &str| read(text, &[2]).unwrap_err().to_string();
        assert!(message("1,2\n3,x\n").contains("line 2: found 'x'"), "{}", message("1,2\n3,x\n"));
        assert!(message("1,2\n3\n").contains("line 2: found 1 columns"));
        assert!(message("1,nan\n3,nan\n").contains("'nan'"));
        assert!(message("only,words\n").contains("no rows"));
    }

    #[test]
    fn a_missing_file_names_origin_and_remedy() {
        let error = read_table(Path::new("nowhere/table.csv"), SOURCE, &[2]).unwrap_err().to_string();
        assert!(error.contains("nowhere/table.csv") && error.contains("a test") && error.contains("make data"));
        assert!(!error.contains('\n'));
    }
}
