//! Figures and the documents that state them.

use std::collections::BTreeMap;

use super::claim::{Assertion, Claim};

/// Figures that do not stand where the claim says that they do, a sentence each.
pub fn missing(claim: &Claim) -> Vec<String> {
    let Assertion::Figures { figures } = &claim.assertion else { return Vec::new() };
    let mut found = Vec::new();
    let mut texts: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for figure in figures.iter().filter(|figure| !figure.quote.is_empty()) {
        let file = figure.file();
        let text = texts.entry(file).or_insert_with(|| std::fs::read_to_string(file).ok());
        match text {
            Some(text) if spaced(text).contains(&spaced(&figure.quote)) => {}
            Some(_) => found.push(format!("{}: {file} does not say '{}'", figure.name, figure.quote)),
            None => found.push(format!("{}: '{file}', which states it, cannot be read from here", figure.name)),
        }
    }
    found
}

/// Words with one space between them, however lines are broken.
pub fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::claim::tests::{SMALL, parse};
    use super::*;

    #[test]
    fn figures_must_stand_where_they_are_said_to() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "The error is\n0.5 in all.").unwrap();
        let figure = |quote: &str, stated: &str| {
            let figure = format!(
                "{{name: f, setting: one, metric: m, expected: 1, tolerance: 0, stated: \"{stated}\", quote: {quote}}}"
            );
            let assertion = format!("assertion: {{type: figures, figures: [{figure}]}}");
            missing(&parse(&SMALL.replace("assertion: {type: superiority, quantifier: all}", &assertion)).unwrap())
        };
        let stated = format!("{}, a section", file.path().display());
        assert_eq!(figure("error is 0.5", &stated), Vec::<String>::new());
        assert!(figure("error is 0.6", &stated)[0].contains("does not say 'error is 0.6'"));
        assert!(figure("error is 0.5", "no/such/file.md")[0].contains("cannot be read"));
    }
}
