//! What is read off a trajectory: energies, torsion angles, where they lie.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use tch::{Kind, Tensor};

use super::config::{AnalysisConfig, Region};
use super::trajectory::Trajectory;
use crate::bad_input;
use crate::config::check;
use crate::targets::molecule::features::dihedrals;

/// One observable along every chain, all equally long.
pub type Chains = Vec<Vec<f64>>;

/// Observables of the coldest temperature.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Time of each frame, ps.
    pub time: Vec<f64>,
    /// kJ/mol
    pub energy: Chains,
    /// Radians, by name.
    pub torsions: BTreeMap<String, Chains>,
}

impl Series {
    /// Reads a run's trajectory, file by file; the first `chains` rows are those of the coldest temperature.
    pub fn read(run: &Path, analysis: &AnalysisConfig, chains: i64) -> Result<Self> {
        let mut series = Self::default();
        for chunk in Trajectory::of(run).chunks() {
            let chunk = chunk?;
            let rows = |t: &Tensor| t.narrow(1, 0, chains.min(t.size()[1]));
            series.time.extend(crate::log::values(&chunk.time));
            append(&mut series.energy, &rows(&chunk.energy));
            for (name, atoms) in &analysis.torsions {
                let angles = torsion(name, &rows(&chunk.positions), *atoms)?;
                append(series.torsions.entry(name.clone()).or_default(), &angles);
            }
        }
        if series.time.is_empty() {
            return Err(bad_input!("{}: holds no trajectory yet; expected trajectory/chunk_000000", run.display()));
        }
        Ok(series)
    }

    /// Observables of points `[M, D]` with energies `[M]`, as one chain.
    pub fn of_points(x: &Tensor, energy: Option<&Tensor>, analysis: &AnalysisConfig) -> Result<Self> {
        let mut series = Self { energy: energy.map(crate::log::values).into_iter().collect(), ..Self::default() };
        for (name, atoms) in &analysis.torsions {
            let angles = crate::log::values(&torsion(name, x, *atoms)?);
            series.torsions.insert(name.clone(), vec![angles]);
        }
        Ok(series)
    }

    /// 1 where a frame lies in the region, 0 where it does not.
    pub fn inside(&self, region: &Region) -> Result<Chains> {
        let mut indicator: Option<Chains> = None;
        for (name, [low, high]) in &region.bounds {
            let angles = self.torsions.get(name).ok_or_else(|| unknown_torsion(region, name, &self.torsions))?;
            let within = |angle: &f64| f64::from(u8::from(*low < *angle && *angle < *high));
            let here: Chains = angles.iter().map(|chain| chain.iter().map(within).collect()).collect();
            indicator = Some(match indicator {
                None => here,
                Some(before) => product(&before, &here),
            });
        }
        indicator.ok_or_else(|| bad_input!("'analysis.regions': the bounds of '{}' name no torsion", region.name))
    }

    /// Names of `phi…` and `psi…` torsions that belong together, with their ending.
    pub fn pairs(&self) -> Vec<(String, String, String)> {
        let endings = self.torsions.keys().filter_map(|name| name.strip_prefix("phi"));
        let both = endings.filter(|ending| self.torsions.contains_key(&format!("psi{ending}")));
        both.map(|ending| (format!("phi{ending}"), format!("psi{ending}"), ending.to_string())).collect()
    }
}

fn unknown_torsion(region: &Region, name: &str, torsions: &BTreeMap<String, Chains>) -> anyhow::Error {
    let known: Vec<&str> = torsions.keys().map(String::as_str).collect();
    bad_input!("'analysis.regions': '{}' asks for the torsion '{name}'; there are {}", region.name, known.join(", "))
}

fn product(a: &Chains, b: &Chains) -> Chains {
    let chain = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a * b).collect();
    a.iter().zip(b).map(chain).collect()
}

/// Appends the columns of `[F, R]` to the chains.
fn append(chains: &mut Chains, values: &Tensor) {
    let rows = values.size()[1];
    chains.resize(rows as usize, Vec::new());
    for (row, chain) in (0..rows).zip(chains) {
        chain.extend(crate::log::values(&values.select(1, row)));
    }
}

/// The torsion angle of four atoms in positions `[…, D]`, `[…]` f64 in (-pi, pi]; trans is pi.
fn torsion(name: &str, positions: &Tensor, atoms: [i64; 4]) -> Result<Tensor> {
    let size = positions.size();
    let (dim, rows) = size.split_last().map_or((0, &[][..]), |(dim, rows)| (*dim, rows));
    for (i, atom) in atoms.iter().enumerate() {
        check::in_range(&format!("analysis.torsions.{name}.{i}"), *atom, 0, dim / 3 - 1)?;
    }
    let flat = positions.reshape([-1, dim]).to_kind(Kind::Double);
    Ok(dihedrals(&flat, &[atoms.map(|atom| atom as usize)]).view(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torsions_keep_the_shape_and_know_their_atoms() {
        let angles = [-3.0f64, -1.2, -1e-5, 0.4, 1.6, 3.1];
        let atoms = |angle: &f64| [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.2, angle.cos(), angle.sin()];
        let x: Vec<f64> = angles.iter().flat_map(atoms).collect();
        let found = torsion("phi", &Tensor::from_slice(&x).view([2, 3, 12]), [0, 1, 2, 3]).unwrap();
        assert_eq!(found.size(), [2, 3]);
        assert!(crate::log::values(&found).iter().zip(angles).all(|(found, angle)| (found - angle).abs() < 1e-12));
        let error = torsion("phi", &Tensor::zeros([1, 12], tch::kind::DOUBLE_CPU), [0, 1, 2, 4]).unwrap_err();
        assert!(error.to_string().contains("'analysis.torsions.phi.3'"), "{error}");
    }

    #[test]
    fn regions_are_boxes() {
        let chains = |a: &[f64]| vec![a.to_vec()];
        let torsions = BTreeMap::from([
            ("phi".to_string(), chains(&[0.5, 0.5, -1.0, 3.0])),
            ("psi".to_string(), chains(&[0.0, 2.0, 0.0, 0.0])),
        ]);
        let series = Series { torsions, ..Series::default() };
        let bounds = |pairs: &[(&str, [f64; 2])]| pairs.iter().map(|(n, b)| (n.to_string(), *b)).collect();
        let region = |b| Region { name: "r".into(), bounds: bounds(b), published: None };
        assert_eq!(series.inside(&region(&[("phi", [0.0, 2.2])])).unwrap(), [[1.0, 1.0, 0.0, 0.0]]);
        let both = [("phi", [0.0, 2.2]), ("psi", [-1.0, 1.0])];
        assert_eq!(series.inside(&region(&both)).unwrap(), [[1.0, 0.0, 0.0, 0.0]]);
        assert_eq!(series.pairs(), [("phi".to_string(), "psi".to_string(), String::new())]);
        let error = series.inside(&region(&[("chi", [0.0, 1.0])])).unwrap_err().to_string();
        assert!(error.contains("torsion 'chi'") && error.contains("phi, psi"), "{error}");
    }
}
