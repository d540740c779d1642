//! The records of a PDB file that a topology needs, by their columns (wwPDB format, version 3.3).

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Result;

use super::topology::{Atom, Residue};
use crate::bad_input;

/// The energy looks at all pairs of atoms; larger systems are not what this is for.
const MOST_ATOMS: usize = 10_000;

/// What the records say before chemistry is applied.
#[derive(Default)]
pub struct Records {
    pub atoms: Vec<Atom>,
    pub residues: Vec<Residue>,
    /// nm.
    pub positions: Vec<[f64; 3]>,
    /// CONECT records, pairs `i < j`.
    pub bonds: BTreeSet<(usize, usize)>,
}

/// Where in the file a message points.
struct Place<'a> {
    source: &'a str,
    line: usize,
}

impl Place<'_> {
    fn error(&self, text: impl std::fmt::Display) -> anyhow::Error {
        bad_input!("{}:{}: {text}", self.source, self.line)
    }
}

#[derive(Default)]
struct Reader {
    records: Records,
    serials: HashMap<i64, usize>,
    /// Residues already left, as chain, number and name: an atom of one of these comes too late.
    left: HashSet<(String, String)>,
    current: Option<(String, String)>,
    chain: usize,
    conect: Vec<(usize, i64, i64)>,
}

/// Reads the first model.
pub fn parse(text: &str, source: &str) -> Result<Records> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let place = Place { source, line: index + 1 };
        // Columns are bytes; what is not ASCII stands only in remarks.
        let record = line.get(..6).unwrap_or(line).trim_end();
        match record {
            "ATOM" | "HETATM" => reader.atom(line, &place)?,
            "TER" => reader.end_chain(),
            "CONECT" => reader.conect(line, &place)?,
            "ENDMDL" => break,
            _ => {}
        }
    }
    if reader.records.atoms.is_empty() {
        return Err(bad_input!("{source}: no ATOM or HETATM records, expected a PDB file"));
    }
    reader.resolve_conect(source)?;
    Ok(reader.records)
}

impl Reader {
    fn atom(&mut self, line: &str, place: &Place) -> Result<()> {
        if !line.is_ascii() || line.len() < 54 {
            return Err(place.error("an ATOM record of fewer than 54 ASCII columns; expected coordinates in 31-54"));
        }
        let field = |range: std::ops::Range<usize>| line.get(range).unwrap_or("").trim();
        if self.records.atoms.len() >= MOST_ATOMS {
            return Err(place.error(format!("more than {MOST_ATOMS} atoms, expected a peptide")));
        }
        if !field(16..17).is_empty() {
            let location = field(16..17);
            return Err(place.error(format!(
                "alternate location '{location}' of atom {}; keep one location and clear column 17",
                field(12..16)
            )));
        }
        let (name, residue_name) = (field(12..16), field(17..20));
        if name.is_empty() || residue_name.is_empty() {
            return Err(place.error("no atom name in columns 13-16 or no residue name in 18-20"));
        }

        let residue = self.residue(residue_name, field(22..27), line, place)?;
        self.refuse_twin(name, residue, place)?;
        self.serials.insert(serial(field(6..11), self.records.atoms.len()), self.records.atoms.len());
        self.records.positions.push(position(line, place)?);
        let element = element(field(76..78), name);
        self.records.atoms.push(Atom { name: name.to_string(), element, residue, line: place.line });
        self.records.residues[residue].atoms.end = self.records.atoms.len();
        Ok(())
    }

    /// Index of the atom's residue, which begins with this atom if it is not the current one.
    fn residue(&mut self, name: &str, number: &str, line: &str, place: &Place) -> Result<usize> {
        let key = (format!("{} {}", self.chain, line.get(21..22).unwrap_or("")), number.to_string());
        if self.current.as_ref() != Some(&key) {
            if let Some((chain, _)) = &self.current
                && *chain != key.0
            {
                // A new letter begins a chain even without a TER record.
                self.chain += 1;
            }
            self.left.extend(self.current.take());
            let key = (format!("{} {}", self.chain, line.get(21..22).unwrap_or("")), number.to_string());
            if self.left.contains(&key) {
                return Err(place.error(format!(
                    "atoms of residue {name} {number} do not follow each other; put them in the order of system.xml"
                )));
            }
            let start = self.records.atoms.len();
            let (name, number) = (name.to_string(), number.to_string());
            self.records.residues.push(Residue { name, number, chain: self.chain, atoms: start..start });
            self.current = Some(key);
        }
        let index = self.records.residues.len() - 1;
        let first = &self.records.residues[index];
        if first.name != name {
            return Err(place.error(format!("residue {number} is {} and {name} at once", first.name)));
        }
        Ok(index)
    }

    fn refuse_twin(&self, name: &str, residue: usize, place: &Place) -> Result<()> {
        let Residue { name: residue_name, number, atoms, .. } = &self.records.residues[residue];
        match self.records.atoms[atoms.clone()].iter().find(|atom| atom.name == name) {
            Some(twin) => Err(place
                .error(format!("atom {name} of residue {residue_name} {number} stands in line {} already", twin.line))),
            None => Ok(()),
        }
    }

    fn end_chain(&mut self) {
        self.chain += 1;
        self.left.extend(self.current.take());
    }

    fn conect(&mut self, line: &str, place: &Place) -> Result<()> {
        let number = |k: usize| line.get(6 + 5 * k..(11 + 5 * k).min(line.len())).map(str::trim);
        let serials: Vec<&str> = (0..5).map_while(number).filter(|field| !field.is_empty()).collect();
        let parsed: Option<Vec<i64>> = serials.iter().map(|field| field.parse().ok()).collect();
        let Some(serials) = parsed else {
            return Err(place.error("a CONECT record that is not made of atom serial numbers in 5 columns each"));
        };
        let Some((first, others)) = serials.split_first() else { return Ok(()) };
        self.conect.extend(others.iter().map(|other| (place.line, *first, *other)));
        Ok(())
    }

    fn resolve_conect(&mut self, source: &str) -> Result<()> {
        for (line, a, b) in std::mem::take(&mut self.conect) {
            let (Some(i), Some(j)) = (self.serials.get(&a), self.serials.get(&b)) else {
                let serial = if self.serials.contains_key(&a) { b } else { a };
                return Err(bad_input!("{source}:{line}: CONECT names atom {serial}, which is not in the file"));
            };
            if i != j {
                self.records.bonds.insert((*i.min(j), *i.max(j)));
            }
        }
        Ok(())
    }
}

/// The serial number; files of more than 99 999 atoms write stars, and those are counted.
fn serial(field: &str, index: usize) -> i64 {
    field.parse().unwrap_or(-1 - index as i64)
}

/// Coordinates in nm from Angstrom.
fn position(line: &str, place: &Place) -> Result<[f64; 3]> {
    let mut position = [0.0; 3];
    for (k, value) in position.iter_mut().enumerate() {
        let field = line.get(30 + 8 * k..38 + 8 * k).unwrap_or("").trim();
        match field.parse::<f64>() {
            Ok(number) if number.is_finite() => *value = number * 0.1,
            _ => {
                let axis = ["x", "y", "z"][k];
                return Err(place.error(format!("coordinate {axis} is '{field}', expected a number in Angstrom")));
            }
        }
    }
    Ok(position)
}

/// The element column, or where it is blank the first letter of the atom's name.
fn element(field: &str, name: &str) -> String {
    let letters = if field.is_empty() {
        name.trim_start_matches(|c: char| c.is_ascii_digit()).get(..1).unwrap_or("").to_string()
    } else {
        field.to_string()
    };
    let mut letters = letters.chars();
    let head: String = letters.next().map(|c| c.to_ascii_uppercase()).into_iter().collect();
    head + &letters.as_str().to_ascii_lowercase()
}
