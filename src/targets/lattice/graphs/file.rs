//! Graphs from text files.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use super::{Graph, MOST_NODES};
use crate::bad_input;
use crate::io::text::read_text;

/// Largest file: the largest Gset instance has 400 kB.
const MOST_BYTES: u64 = 256 << 20;

/// Lines `i j` or `i j weight`, nodes from 0. Empty lines and those that begin with # are passed over.
pub fn edge_list(path: &Path) -> Result<Graph> {
    let text = read_text(path, MOST_BYTES, "lines 'i j' or 'i j weight'")?;
    let mut edges = Edges::new(path, 0);
    for (line, fields) in lines(&text) {
        edges.push(line, &fields)?;
    }
    let nodes = edges.found.iter().map(|(i, j, _)| i.max(j) + 1).max().unwrap_or(0) as usize;
    if nodes == 0 {
        return Err(bad_input!("{}: holds no edges, expected lines 'i j' or 'i j weight'", path.display()));
    }
    Ok(Graph { nodes, edges: edges.found })
}

/// `nodes edges`, then so many lines `i j weight`, nodes from 1.
pub fn gset(path: &Path) -> Result<Graph> {
    let name = path.display();
    let text = read_text(path, MOST_BYTES, "the format of the Gset")?;
    let mut lines = lines(&text);
    let header = lines.next().map(|(_, fields)| fields).unwrap_or_default();
    let numbers: Vec<i64> = header.iter().filter_map(|field| field.parse().ok()).collect();
    let (nodes, count) = match (numbers.as_slice(), header.len()) {
        ([nodes @ 1..=MOST_NODES, count @ 0..=i64::MAX], 2) => (*nodes, *count as usize),
        _ => return Err(bad_input!("{name}: line 1: found '{}', expected 'nodes edges'", header.join(" "))),
    };
    let mut edges = Edges::new(path, 1);
    for (line, fields) in lines {
        edges.push(line, &fields)?;
        if edges.found.last().is_some_and(|(i, j, _)| i64::from(*i.max(j)) >= nodes) {
            return Err(bad_input!("{name}: line {line}: an edge ends beyond node {nodes}, the last one"));
        }
    }
    if edges.found.len() != count {
        return Err(bad_input!("{name}: holds {} edges, line 1 says {count}", edges.found.len()));
    }
    Ok(Graph { nodes: nodes as usize, edges: edges.found })
}

/// Numbered lines with something in them, split at white space.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    numbered
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(i, line)| (i, line.split_whitespace().collect()))
}

struct Edges<'a> {
    path: &'a Path,
    /// Number of the first node.
    first: i64,
    found: Vec<(u32, u32, f64)>,
    seen: HashSet<(u32, u32)>,
}

impl<'a> Edges<'a> {
    fn new(path: &'a Path, first: i64) -> Self {
        Self { path, first, found: Vec::new(), seen: HashSet::new() }
    }

    fn push(&mut self, line: usize, fields: &[&str]) -> Result<()> {
        let wrong = |what: &str| {
            let found = fields.join(" ").chars().take(60).collect::<String>();
            bad_input!("{}: line {line}: found '{found}', expected {what}", self.path.display())
        };
        let nodes = self.first..=self.first + MOST_NODES - 1;
        let node =
            |field: &str| field.parse::<i64>().ok().filter(|n| nodes.contains(n)).map(|n| (n - self.first) as u32);
        let (i, j, weight) = match fields {
            [i, j] => (node(i), node(j), Some(1.0)),
            [i, j, w] => (node(i), node(j), w.parse::<f64>().ok().filter(|w| w.is_finite())),
            _ => return Err(wrong("'i j' or 'i j weight'")),
        };
        let (Some(i), Some(j)) = (i, j) else { return Err(wrong(&format!("nodes from {} on", self.first))) };
        let Some(weight) = weight else { return Err(wrong("a number as weight")) };
        if i == j {
            return Err(wrong("two different nodes"));
        }
        if !self.seen.insert((i.min(j), i.max(j))) {
            return Err(wrong("an edge that is not there yet"));
        }
        self.found.push((i, j, weight));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, reader: fn(&Path) -> Result<Graph>) -> Result<Graph> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.txt");
        std::fs::write(&path, text).unwrap();
        reader(&path)
    }

    #[test]
    fn both_formats_are_read() {
        let list = read("# two edges\n0 2\n\n2 1 -0.5\n", edge_list).unwrap();
        assert_eq!(list, Graph { nodes: 3, edges: vec![(0, 2, 1.0), (2, 1, -0.5)] });
        let gset = read("4 2 \n1 3 1\n3 2 -1\n", gset).unwrap();
        assert_eq!(gset, Graph { nodes: 4, edges: vec![(0, 2, 1.0), (2, 1, -1.0)] });
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        for (text, reader, part) in [
            ("0 1\n1 x\n", edge_list as fn(&Path) -> _, "line 2: found '1 x'"),
            ("0 1 2 3\n", edge_list, "'i j weight'"),
            ("0 1 nan\n", edge_list, "a number as weight"),
            ("1 1\n", edge_list, "two different"),
            ("0 1\n1 0\n", edge_list, "not there yet"),
            ("# nothing\n", edge_list, "no edges"),
            ("-1 0\n", edge_list, "nodes from 0"),
            ("3\n", gset, "'nodes edges'"),
            ("3 1\n1 4 1\n", gset, "beyond node 3"),
            ("3 2\n1 2 1\n", gset, "line 1 says 2"),
            ("3 1\n0 2 1\n", gset, "nodes from 1"),
        ] {
            let message = read(text, reader).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("graph.txt"), "{message}");
        }
    }
}
