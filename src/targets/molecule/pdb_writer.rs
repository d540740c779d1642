//! Conformations as a PDB file, model after model, for the usual viewers and tools (wwPDB format, version 3.3).

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, anyhow};
use tch::{Device, Kind, Tensor};

use super::topology::Topology;
use crate::io::atomic::write_atomic;
use crate::io::stream::Stream;

/// Coordinates have eight columns, three of which are decimals (Angstrom).
const RANGE: std::ops::Range<f64> = -999.999..9999.999;
const PER_NM: f64 = 10.0;

/// Appends models to a file that appears when it is finished; memory is that of one chunk.
pub struct PdbWriter {
    out: Stream,
    atoms: Vec<Columns>,
    frames: usize,
    left_out: usize,
}

/// What a finished file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub models: usize,
    /// Frames with coordinates that are not finite or do not fit into the format's columns.
    pub left_out: usize,
}

/// The columns of an ATOM record on either side of the coordinates.
struct Columns {
    before: String,
    after: String,
    /// A TER record follows.
    end: Option<String>,
}

impl PdbWriter {
    pub fn create(path: &Path, topology: &Topology) -> Result<Self> {
        Ok(Self { out: Stream::create(path)?, atoms: columns(topology), frames: 0, left_out: 0 })
    }

    /// Appends conformations in nm, `[N, A, 3]` or `[N, 3 A]` of any kind and device. A model's number is that of the
    /// frame, from 1; frames that cannot be written are counted and left out.
    pub fn append(&mut self, x: &Tensor) -> Result<()> {
        let (size, atoms) = (x.size(), self.atoms.len());
        let frames = size.first().copied().unwrap_or(0);
        if x.numel() != frames as usize * atoms * 3 {
            return Err(anyhow!("conformations {size:?} are not those of {atoms} atoms"));
        }
        for frame in x.reshape([frames, 3 * atoms as i64]).unbind(0) {
            self.frames += 1;
            let flat = Vec::<f64>::try_from(frame.to_kind(Kind::Double).to_device(Device::Cpu))?;
            if flat.iter().any(|nm| !RANGE.contains(&(nm * PER_NM))) {
                self.left_out += 1;
                continue;
            }
            let model = format!("MODEL {:>8}\n{}ENDMDL\n", self.frames, records(&self.atoms, &flat));
            self.out.append(model.as_bytes())?;
        }
        Ok(())
    }

    /// Closes the file and gives it its name.
    pub fn finish(mut self) -> Result<Written> {
        self.out.append(b"END\n")?;
        self.out.finish()?;
        Ok(Written { models: self.frames - self.left_out, left_out: self.left_out })
    }
}

/// Writes a topology with its own conformation, without MODEL records.
pub fn write_topology(path: &Path, topology: &Topology) -> Result<()> {
    let flat: Vec<f64> = topology.positions.iter().flatten().copied().collect();
    if flat.iter().any(|nm| !RANGE.contains(&(nm * PER_NM))) {
        return Err(anyhow!("{}: coordinates do not fit into the columns of a PDB file", path.display()));
    }
    write_atomic(path, format!("{}END\n", records(&columns(topology), &flat)).as_bytes())
}

fn records(atoms: &[Columns], flat: &[f64]) -> String {
    let mut text = String::with_capacity(81 * (atoms.len() + 1));
    for (atom, x) in atoms.iter().zip(flat.chunks_exact(3)) {
        // Rounded first, and without the sign of zero.
        let [x, y, z] = [0, 1, 2].map(|k| (x[k] * PER_NM * 1e3).round() / 1e3 + 0.0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{x:8.3}{y:8.3}{z:8.3}{}", atom.before, atom.after);
        text.extend(atom.end.iter().map(String::as_str));
    }
    text
}

fn columns(topology: &Topology) -> Vec<Columns> {
    let last = topology.atoms.len().saturating_sub(1);
    let chain = |atom: usize| topology.residues[topology.atoms[atom].residue].chain;
    let mut serial = 0;
    let one = |(i, atom): (usize, &super::topology::Atom)| {
        serial += 1;
        let residue = &topology.residues[atom.residue];
        let place = format!("{:>3} {}{}", residue.name, letter(residue.chain), numbered(&residue.number));
        let name = four_columns(&atom.name, &atom.element);
        let before = format!("ATOM  {:>5} {name} {place}   ", serial % 100_000);
        let after = format!("  1.00  0.00          {:>2}", atom.element.to_uppercase());
        let end = (i == last || chain(i) != chain(i + 1)).then(|| {
            serial += 1;
            format!("TER   {:>5}      {}\n", serial % 100_000, place.trim_end())
        });
        Columns { before, after, end }
    };
    topology.atoms.iter().enumerate().map(one).collect()
}

/// Elements of one letter stand in the second column, unless the name needs all four.
fn four_columns(name: &str, element: &str) -> String {
    if name.len() < 4 && element.len() < 2 { format!(" {name:<3}") } else { format!("{name:<4}") }
}

fn letter(chain: usize) -> char {
    char::from(b'A' + (chain % 26) as u8)
}

/// Residue number and insertion code, columns 23 to 27.
fn numbered(number: &str) -> String {
    if number.ends_with(|c: char| c.is_ascii_alphabetic()) { format!("{number:>5}") } else { format!("{number:>4} ") }
}
