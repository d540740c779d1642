//! How far energies and forces are from OpenMM's: every molecule that has both files and reference values.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::bad_input;
use crate::io::tensors::read_tensors;
use crate::log::table::{Table, figure};
use crate::targets::molecule::force_field::ForceField;
use crate::targets::molecule::system::System;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder that holds the molecules, NAME/system.xml
    #[arg(long, default_value = "assets/molecules")]
    pub folder: PathBuf,
    /// Folder of OpenMM's values, NAME.safetensors with `positions` [N, atoms, 3] (nm), `energy` [N] (kJ/mol) and
    /// `forces` [N, atoms, 3] (kJ/mol/nm), all f64
    #[arg(long, default_value = "tests/fixtures/molecular")]
    pub references: PathBuf,
    /// Print a JSON object and nothing else: the largest errors, and `rows` of every molecule's
    #[arg(long)]
    pub json: bool,
}

/// Largest errors of one molecule's conformations.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub molecule: String,
    pub atoms: usize,
    pub conformations: i64,
    /// `|found - reference| / max(1, |reference|)`, in f64.
    pub energy_error: f64,
    /// Norm of the difference over the norm of the reference, all forces of a conformation.
    pub force_error: f64,
}

/// All of them.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    pub molecules: usize,
    pub conformations: i64,
    pub energy_error: f64,
    pub force_error: f64,
    pub rows: Vec<Row>,
}

/// The verb.
pub fn check(args: &CheckArgs) -> Result<()> {
    let found = measure(&args.folder, &args.references)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
        return Ok(());
    }
    let mut table = Table::new(["molecule", "atoms", "conformations", "energies", "forces"]);
    for row in &found.rows {
        let errors = [row.energy_error, row.force_error].map(|e| figure(e, 2));
        let counts = [row.atoms.to_string(), row.conformations.to_string()];
        table.row([row.molecule.clone()].into_iter().chain(counts).chain(errors));
    }
    println!("Largest relative deviations from the reference values, f64.");
    print!("{}", table.to_text());
    Ok(())
}

/// Every molecule of `folder` of which `references` has values.
pub fn measure(folder: &Path, references: &Path) -> Result<Checked> {
    let entries = std::fs::read_dir(references).with_context(|| format!("{}: cannot be read", references.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "safetensors"));
    files.sort();
    if files.is_empty() {
        return Err(bad_input!("{}: no .safetensors files; expected one a molecule", references.display()));
    }
    let rows = files.iter().map(|file| one(folder, file)).collect::<Result<Vec<_>>>()?;
    let largest = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
    Ok(Checked {
        molecules: rows.len(),
        conformations: rows.iter().map(|row| row.conformations).sum(),
        energy_error: largest(|row| row.energy_error),
        force_error: largest(|row| row.force_error),
        rows,
    })
}

fn one(folder: &Path, file: &Path) -> Result<Row> {
    let molecule = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let system = System::read(&folder.join(&molecule).join("system.xml"))?;
    let field = ForceField::new(&system, (Kind::Double, Device::Cpu))?;
    let tensors = read_tensors(file)?;
    let atoms = field.atoms() as i64;
    let tensor = |key: &str, shape: &[i64]| {
        let found = tensors.get(key).map(|t| t.to_kind(Kind::Double));
        let fits = |t: &Tensor| t.dim() == shape.len() && t.size()[1..] == shape[1..];
        found.filter(fits).ok_or_else(|| bad_input!("{}: expected '{key}' of shape {shape:?}", file.display()))
    };
    let x = tensor("positions", &[-1, atoms, 3])?.flatten(1, 2); // [N, 3 A]
    let (energy, forces) = (tensor("energy", &[-1])?, tensor("forces", &[-1, atoms, 3])?.flatten(1, 2));

    let found = field.energy_and_forces(&x);
    let norm = |t: &Tensor| t.square().sum_dim_intlist(1, false, None).sqrt(); // [N]
    Ok(Row {
        molecule,
        atoms: field.atoms(),
        conformations: x.size()[0],
        energy_error: worst(&((found.0 - &energy).abs() / energy.abs().clamp_min(1.0))),
        force_error: worst(&(norm(&(found.1 - &forces)) / norm(&forces))),
    })
}

/// The largest, infinite if any is no number.
fn worst(errors: &Tensor) -> f64 {
    let worst = errors.max().double_value(&[]);
    if worst.is_nan() { f64::INFINITY } else { worst }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::tensors::write_tensors;

    fn here(folder: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
    }

    #[test]
    fn a_wrong_reference_is_seen_and_a_misshapen_one_is_named() {
        let (molecules, name) = (here("assets/molecules"), "aldp_ff96_vacuum.safetensors");
        let values = read_tensors(&here("tests/fixtures/molecular").join(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |energy: &Tensor| {
            let tensors = [("positions", &values["positions"]), ("energy", energy), ("forces", &values["forces"])];
            write_tensors(&folder.path().join(name), &tensors, &Default::default()).unwrap();
            measure(&molecules, folder.path())
        };
        let found = write(&values["energy"]).unwrap();
        assert_eq!((found.molecules, found.conformations, found.rows[0].atoms), (1, 32, 22));
        assert!(found.energy_error < 1e-12 && found.force_error < 1e-12, "{found:?}");
        let found = write(&(&values["energy"] * 1.001)).unwrap();
        assert!((found.energy_error - 1e-3).abs() < 1e-5, "{found:?}");
        let error = write(&values["energy"].unsqueeze(1)).unwrap_err().to_string();
        assert!(error.contains("expected 'energy'"), "{error}");
    }
}
