//! Elements of an XML file with their lines, for a reader that refuses what it does not know.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::Result;
use roxmltree::{Document, Node, ParsingOptions};

use crate::bad_input;

/// A System of a few hundred atoms has some ten thousand elements and as many line ends.
const MOST_NODES: u32 = 2_000_000;

/// Parses a text. Document type definitions, and with them entities, are refused.
pub fn parse<'a>(text: &'a str, source: &str) -> Result<Document<'a>> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => {
            bad_input!("{source}: more than {MOST_NODES} XML nodes, expected a System")
        }
        error => bad_input!("{source}:{}: not well-formed XML ({error})", error.pos().row),
    })
}

/// An element and the file it is of.
#[derive(Clone, Copy)]
pub struct Element<'a, 'i> {
    node: Node<'a, 'i>,
    source: &'a str,
}

impl<'a, 'i> Element<'a, 'i> {
    pub fn root(document: &'a Document<'i>, source: &'a str) -> Self {
        Self { node: document.root_element(), source }
    }

    pub fn tag(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// `file:line: <tag> what`.
    pub fn error(&self, what: impl Display) -> anyhow::Error {
        let line = self.node.document().text_pos_at(self.node.range().start).row;
        bad_input!("{}:{line}: <{}> {what}", self.source, self.tag())
    }

    /// Child elements; text that is not blank is refused.
    pub fn children(&self) -> Result<Vec<Self>> {
        let stray = |node: &Node| node.is_text() && node.text().is_some_and(|text| !text.trim().is_empty());
        if self.node.children().any(|node| stray(&node)) {
            return Err(self.error("holds text, expected elements only"));
        }
        Ok(self.node.children().filter(Node::is_element).map(|node| Self { node, source: self.source }).collect())
    }

    /// Children that must all be of one tag.
    pub fn list(&self, tag: &str) -> Result<Vec<Self>> {
        let children = self.children()?;
        match children.iter().find(|child| child.tag() != tag) {
            Some(other) => Err(other.error(format!("is not expected in <{}>, which holds <{tag}> only", self.tag()))),
            None => Ok(children),
        }
    }

    /// The one child of each tag (an empty one may be absent); children of other tags are refused.
    pub fn sections<const N: usize>(&self, tags: [&str; N]) -> Result<[Option<Self>; N]> {
        let mut found = [None; N];
        for child in self.children()? {
            match tags.iter().position(|tag| *tag == child.tag()) {
                Some(k) if found[k].is_none() => found[k] = Some(child),
                Some(_) => return Err(child.error("stands here twice")),
                None => {
                    let known = tags.join(", ");
                    return Err(child.error(format!("is not supported in <{}>, only {known} are", self.tag())));
                }
            }
        }
        Ok(found)
    }

    /// Fails if there is anything in the element; `why` says what is not supported.
    pub fn must_be_empty(&self, why: &str) -> Result<()> {
        match self.children()?.first() {
            Some(child) => Err(child.error(format!("in <{}>: {why}", self.tag()))),
            None => Ok(()),
        }
    }

    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.node.attribute(name)
    }

    pub fn text(&self, name: &str) -> Result<&'a str> {
        self.attribute(name).ok_or_else(|| self.error(format!("has no attribute '{name}'")))
    }

    fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<T> {
        let text = self.text(name)?;
        text.trim()
            .parse()
            .map_err(|_| self.error(format!("attribute '{name}' is '{}', expected {expected}", brief(text))))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<f64> {
        let value: f64 = self.parsed(name, "a number")?;
        if !value.is_finite() {
            return Err(self.error(format!("attribute '{name}' is {value}, expected a finite number")));
        }
        Ok(value)
    }

    /// A finite number, 0 or larger.
    pub fn non_negative(&self, name: &str) -> Result<f64> {
        let value = self.number(name)?;
        if value < 0.0 {
            return Err(self.error(format!("attribute '{name}' is {value}, expected 0 or a positive number")));
        }
        Ok(value)
    }

    /// A finite number larger than 0.
    pub fn positive(&self, name: &str) -> Result<f64> {
        let value = self.number(name)?;
        if value <= 0.0 {
            return Err(self.error(format!("attribute '{name}' is {value}, expected a positive number")));
        }
        Ok(value)
    }

    /// A whole number in `[least, most]`.
    pub fn count(&self, name: &str, least: usize, most: usize) -> Result<usize> {
        let value: usize = self.parsed(name, "a whole number")?;
        if !(least..=most).contains(&value) {
            return Err(self.error(format!("attribute '{name}' is {value}, expected {least} to {most}")));
        }
        Ok(value)
    }

    /// Different atoms of a system of `atoms`.
    pub fn atoms<const N: usize>(&self, names: [&str; N], atoms: usize) -> Result<[usize; N]> {
        let mut found = [0; N];
        for k in 0..N {
            let value: usize = self.parsed(names[k], "the index of an atom")?;
            if value >= atoms {
                let name = names[k];
                return Err(self.error(format!("attribute '{name}' is {value}, but the system has {atoms} atoms")));
            }
            if found[..k].contains(&value) {
                return Err(self.error(format!("names atom {value} twice")));
            }
            found[k] = value;
        }
        Ok(found)
    }

    /// Fails unless the attribute is absent or 0.
    pub fn must_be_off(&self, name: &str, what: &str) -> Result<()> {
        match self.attribute(name) {
            None | Some("0") => Ok(()),
            Some(found) => {
                Err(self.error(format!("{what} is not supported ({name}=\"{}\"), expected 0", brief(found))))
            }
        }
    }
}

/// A text in a length that a message can take, as one line.
pub fn brief(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match flat.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat,
    }
}
