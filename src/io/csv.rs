//! Comma-separated text with a header (RFC 4180): fields may be quoted and hold commas, quotes and line ends.

use std::path::Path;

use anyhow::Result;

use crate::bad_input;

/// Rows of text fields, each with the number of the line that it begins on.
#[derive(Debug, Clone, PartialEq)]
pub struct Csv {
    pub header: Vec<String>,
    pub rows: Vec<(usize, Vec<String>)>,
}

/// Parses `text`; `path` is named in errors. Every row is as wide as the header; blank lines are skipped.
pub fn parse(path: &Path, text: &str) -> Result<Csv> {
    let shown = path.display();
    let mut rows = split(text.trim_start_matches('\u{feff}'))
        .map_err(|line| bad_input!("{shown}: line {line}: a quoted field is not closed"))?
        .into_iter();
    let Some((_, header)) = rows.next() else {
        return Err(bad_input!("{shown}: is empty; expected a header and rows"));
    };
    let rows: Vec<_> = rows.collect();
    if let Some((line, fields)) = rows.iter().find(|(_, fields)| fields.len() != header.len()) {
        let (found, expected) = (fields.len(), header.len());
        return Err(bad_input!("{shown}: line {line}: found {found} fields, expected {expected} as in the header"));
    }
    Ok(Csv { header, rows })
}

/// Rows with the lines they begin on; the line of a quote that stays open otherwise.
fn split(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), Field::default());
    let (mut line, mut begun, mut opened) = (1, 1, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if field.open && chars.peek() == Some(&'"') => field.text.extend(chars.next()),
            '"' if field.open => field.open = false,
            '"' if field.text.trim().is_empty() => {
                (field.open, field.quoted, opened) = (true, true, line);
                field.text.clear();
            }
            ',' if !field.open => row.push(std::mem::take(&mut field).finish()),
            '\n' if !field.open => {
                row.push(std::mem::take(&mut field).finish());
                rows.push((begun, std::mem::take(&mut row)));
                begun = line + 1;
            }
            c => field.text.push(c),
        }
        line += usize::from(c == '\n');
    }
    if field.open {
        return Err(opened);
    }
    row.push(field.finish());
    rows.push((begun, row));
    rows.retain(|(_, row)| row.iter().any(|field| !field.is_empty()));
    Ok(rows)
}

#[derive(Default)]
struct Field {
    text: String,
    open: bool,
    quoted: bool,
}

impl Field {
    fn finish(self) -> String {
        if self.quoted { self.text } else { self.text.trim().to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_line_ends() {
        let csv = parse(Path::new("a.csv"), "\u{feff}a, b\r\n\"x, \"\"y\"\"\",2\n\n\"two\nlines\",\n").unwrap();
        assert_eq!(csv.header, ["a", "b"]);
        let rows: Vec<(usize, Vec<&str>)> =
            csv.rows.iter().map(|(line, row)| (*line, row.iter().map(String::as_str).collect())).collect();
        assert_eq!(rows, [(2, vec!["x, \"y\"", "2"]), (4, vec!["two\nlines", ""])]);
    }

    #[test]
    fn faults_name_their_line() {
        let message = |text: &str| parse(Path::new("a.csv"), text).unwrap_err().to_string();
        assert!(message("a,b\n1,2\n3\n").contains("line 3: found 1 fields, expected 2"));
        assert!(message("a\n\"open\n\n").contains("line 2"));
        assert!(message("").contains("empty"));
    }
}
