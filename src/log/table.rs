//! Tables of figures: aligned for the terminal, Markdown for reports, CSV for other programs.

/// Rows of cells under a header. A short row counts as ending in empty cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Columns padded with spaces under a ruled header, figures to the right. No line ends in blanks.
    pub fn to_text(&self) -> String {
        let widths = self.widths();
        let line = |row: &[String]| {
            let cells = (0..widths.len()).map(|j| self.padded(cell(row, j), j, widths[j]));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
        };

        let rule = widths.iter().map(|w| "─".repeat(*w)).collect::<Vec<_>>().join("  ");
        let mut text = vec![line(&self.header), rule];
        text.extend(self.rows.iter().map(|row| line(row)));
        text.join("\n") + "\n"
    }

    /// A Markdown table, with padding so that its source is legible too.
    pub fn to_markdown(&self) -> String {
        let escaped = self.map_cells(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let widths: Vec<usize> = escaped.widths().into_iter().map(|w| w.max(3)).collect();
        let line = |row: &[String]| {
            let cells = (0..widths.len()).map(|j| escaped.padded(cell(row, j), j, widths[j]));
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };

        let rule = |j: usize| {
            let dashes = "-".repeat(widths[j] - 1);
            if escaped.is_numeric(j) { format!("{dashes}:") } else { format!("{dashes}-") }
        };
        let rules: Vec<String> = (0..widths.len()).map(rule).collect();
        let mut text = vec![line(&escaped.header), format!("| {} |", rules.join(" | "))];
        text.extend(escaped.rows.iter().map(|row| line(row)));
        text.join("\n") + "\n"
    }

    /// Comma-separated values (RFC 4180, with plain line feeds).
    pub fn to_csv(&self) -> String {
        let quoted = self.map_cells(|cell| {
            let plain = !cell.contains([',', '"', '\n', '\r']);
            if plain { cell.to_string() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
        });
        let line = |row: &[String]| {
            let cells = (0..quoted.header.len()).map(|j| cell(row, j));
            cells.collect::<Vec<_>>().join(",") + "\n"
        };
        std::iter::once(&quoted.header).chain(&quoted.rows).map(|row| line(row)).collect()
    }

    fn map_cells(&self, f: impl Fn(&str) -> String) -> Table {
        let all = |row: &Vec<String>| row.iter().map(|cell| f(cell)).collect();
        Table { header: all(&self.header), rows: self.rows.iter().map(all).collect() }
    }

    /// Width of each column in characters.
    fn widths(&self) -> Vec<usize> {
        let rows = || std::iter::once(&self.header).chain(&self.rows);
        let width = |j| rows().map(|row| cell(row, j).chars().count()).max().unwrap_or(0);
        (0..self.header.len()).map(width).collect()
    }

    fn padded(&self, cell: &str, column: usize, width: usize) -> String {
        if self.is_numeric(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    }

    /// Whether a column holds figures: every filled cell begins like a number (`1.2 ± 0.1`, `-3e-4`, `NaN`).
    fn is_numeric(&self, column: usize) -> bool {
        let figure = |cell: &str| {
            let first = cell.split_whitespace().next().unwrap_or("");
            first.trim_end_matches(['%', 's']).replace('−', "-").parse::<f64>().is_ok()
        };
        let mut filled =
            self.rows.iter().map(|row| cell(row, column)).filter(|c| !c.is_empty() && *c != "–").peekable();
        filled.peek().is_some() && filled.all(figure)
    }
}

fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

/// A number with `digits` significant digits, in plain notation where that is short: `0.001234`, `1234`, `1.23e-7`.
pub fn figure(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return (value + 0.0).to_string(); // no "-0"
    }
    // The exponent after rounding: 9.996 with three digits is 10.0.
    let scientific = format!("{value:.*e}", digits.max(1) - 1);
    let exponent: i32 = scientific.split('e').nth(1).and_then(|e| e.parse().ok()).unwrap_or(0);
    if !(-4..7).contains(&exponent) {
        return scientific;
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    format!("{value:.decimals$}")
}

/// `mean ± deviation`, both to the decimal place of the deviation's second significant digit.
pub fn mean_std(mean: f64, deviation: f64) -> String {
    if !(deviation > 0.0 && deviation.is_finite() && mean.is_finite()) {
        return format!("{} ± {}", figure(mean, 4), figure(deviation, 2));
    }
    let place = 1 - deviation.log10().floor() as i32;
    if !(0..=7).contains(&place) || mean.abs() >= 1e7 {
        return format!("{} ± {}", figure(mean, 4), figure(deviation, 2));
    }
    let decimals = place as usize;
    format!("{mean:.decimals$} ± {deviation:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table::new(["target", "ELBO", "note"]);
        table.row(["funnel", "-0.12 ± 0.03", "a|b"]);
        table.row(["gmm40", "NaN", "x, \"y\""]);
        table.row(["lj13"]);
        table
    }

    #[test]
    fn text_is_aligned() {
        let expected = "\
target          ELBO  note
──────  ────────────  ──────
funnel  -0.12 ± 0.03  a|b
gmm40            NaN  x, \"y\"
lj13
";
        assert_eq!(example().to_text(), expected);
    }

    #[test]
    fn markdown_escapes_bars() {
        let expected = "\
| target |         ELBO | note   |
| ------ | -----------: | ------ |
| funnel | -0.12 ± 0.03 | a\\|b   |
| gmm40  |          NaN | x, \"y\" |
| lj13   |              |        |
";
        assert_eq!(example().to_markdown(), expected);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let expected = "target,ELBO,note\nfunnel,-0.12 ± 0.03,a|b\ngmm40,NaN,\"x, \"\"y\"\"\"\nlj13,,\n";
        assert_eq!(example().to_csv(), expected);
    }

    #[test]
    fn figures_have_the_digits_asked_for() {
        let cases = [
            (0.0012341, "0.00123"),
            (9.996, "10.0"),
            (-1234567.0, "-1234567"),
            (1.5e-7, "1.50e-7"),
            (2e9, "2.00e9"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value, 3), text);
        }
        assert_eq!(mean_std(-0.12345, 0.0312), "-0.123 ± 0.031");
        assert_eq!(mean_std(123.4, 56.0), "123 ± 56");
        assert_eq!(mean_std(1.5, 0.0), "1.500 ± 0");
    }
}
