//! A peptide's conformation from ideal geometry: a left-handed, stretched helix (polyproline II), which suits every
//! residue, with the staggered side chains that keep furthest from the rest.

use std::collections::BTreeMap;

use super::amino_acids::AminoAcid;
use super::hydrogens::Centre;
use super::side_chains::{heavy_atoms, outer_torsions};
use super::vector::{Point, dot, place, sub};
use crate::targets::molecule::residues::Template;

/// Torsions of the backbone in degrees; prolines need this phi, and residues before them this psi.
const PHI: f64 = -70.0;
const PSI: f64 = 145.0;
/// The three staggered positions of a side chain, most frequent first.
const CHI1: [f64; 3] = [-65.0, 180.0, 62.0];

/// Coordinates of a residue's atoms by name, nm.
pub type Places = BTreeMap<&'static str, Point>;

/// A residue under construction.
struct Draft {
    acid: &'static AminoAcid,
    /// All atoms it is to have.
    names: Vec<&'static str>,
    /// C of the residue before.
    carbonyl: Option<Point>,
    places: Places,
}

/// Coordinates of all atoms, residue by residue.
pub fn conformation(acids: &[&'static AminoAcid]) -> Vec<Places> {
    let mut residues = backbone(acids);
    for residue in &mut residues {
        // All hydrogens of proline, whose ring is a part of the backbone.
        let rigid = |name: &str| ["N", "CA"].contains(&name) || residue.acid.letter == 'P';
        let added = residue.hydrogens(&residue.places, rigid);
        residue.places.extend(added);
    }
    for k in 0..residues.len() {
        let trials = CHI1.map(|chi1| residues[k].side_chain(chi1)).into_iter();
        let weighed = trials.map(|trial| (crowding(&trial, k, &residues), trial));
        let best = weighed.min_by(|a, b| a.0.total_cmp(&b.0));
        residues[k].places.extend(best.into_iter().flat_map(|(_, trial)| trial));
    }
    residues.into_iter().map(|residue| residue.places).collect()
}

/// N, CA, C, O, CB, the OXT of the last residue and the ring of proline, by the equilibrium values of Amber's force
/// fields.
fn backbone(acids: &[&'static AminoAcid]) -> Vec<Draft> {
    let mut residues: Vec<Draft> = Vec::new();
    for (k, acid) in acids.iter().enumerate() {
        let (n, ca, c) = match residues.last().map(|before| &before.places) {
            None => {
                let (n, ca) = ([0.0; 3], [0.1449, 0.0, 0.0]);
                (n, ca, place([[0.0, 1.0, 0.0], n, ca], 0.1522, 110.1, 180.0))
            }
            Some(before) => {
                let n = place([before["N"], before["CA"], before["C"]], 0.1335, 116.6, PSI);
                let ca = place([before["CA"], before["C"], n], 0.1449, 121.9, 180.0);
                (n, ca, place([before["C"], n, ca], 0.1522, 110.1, PHI))
            }
        };
        let mut draft = Draft {
            acid,
            names: acid.atoms(k == 0, k + 1 == acids.len()),
            carbonyl: residues.last().map(|before| before.places["C"]),
            places: Places::from([("N", n), ("CA", ca), ("C", c)]),
        };
        draft.add_branches(k + 1 == acids.len());
        residues.push(draft);
    }
    residues
}

impl Draft {
    /// What hangs on N, CA and C.
    fn add_branches(&mut self, last: bool) {
        let [n, ca, c] = ["N", "CA", "C"].map(|name| self.places[name]);
        let (length, angle) = if last { (0.1250, 117.0) } else { (0.1229, 120.4) };
        self.places.insert("O", place([n, ca, c], length, angle, PSI + 180.0));
        if last {
            self.places.insert("OXT", place([n, ca, c], length, angle, PSI));
        }
        // The hand of L amino acids. The ring of proline is narrower.
        let (angle, torsion) = if self.acid.letter == 'P' { (103.5, -120.0) } else { (109.7, -122.5) };
        if self.acid.letter != 'G' {
            self.places.insert("CB", place([c, n, ca], 0.1526, angle, torsion));
        }
        if self.acid.letter == 'P' {
            add_heavy(self.acid, &mut self.places, 0.0);
        }
    }

    /// A side chain with its hydrogens; nothing where all of it is there already.
    fn side_chain(&self, chi1: f64) -> Places {
        let mut places = self.places.clone();
        if self.acid.letter != 'P' {
            add_heavy(self.acid, &mut places, chi1);
            let added = self.hydrogens(&places, |name| !["N", "CA"].contains(&name));
            places.extend(added);
        }
        places.retain(|name, _| !self.places.contains_key(name));
        places
    }

    /// The hydrogens on those of the heavy atoms that `on` picks.
    fn hydrogens(&self, places: &Places, on: impl Fn(&str) -> bool) -> Vec<(&'static str, Point)> {
        let heavy = places.keys().filter(|name| !name.starts_with('H') && on(name));
        heavy.flat_map(|centre| self.hydrogens_of(centre, places)).collect()
    }

    fn hydrogens_of(&self, centre: &str, places: &Places) -> Vec<(&'static str, Point)> {
        let (light, heavy): (Vec<_>, Vec<_>) =
            neighbours(self.acid, centre).into_iter().partition(|name| name.starts_with('H'));
        let mut light: Vec<&str> = light.into_iter().filter(|name| self.names.contains(name)).collect();
        light.sort_unstable();

        let heavy: Vec<&str> = heavy.into_iter().filter(|name| places.contains_key(name)).collect();
        let beyond = heavy.first().map(|first| neighbours(self.acid, first)).unwrap_or_default();
        let beyond = beyond.into_iter().find(|name| *name != centre && places.contains_key(name));
        let before = self.carbonyl.filter(|_| centre == "N");
        let centre = Centre {
            name: centre,
            at: places[centre],
            heavy: &before.into_iter().chain(heavy.iter().map(|name| places[name])).collect::<Vec<_>>(),
            beyond: beyond.map_or([0.0; 3], |name| places[name]),
            hydrogens: light.len(),
        };
        light.into_iter().zip(centre.place()).collect()
    }
}

/// Atoms bonded to one of the same residue, the one nearer the main chain (or N) first.
fn neighbours(acid: &AminoAcid, atom: &str) -> Vec<&'static str> {
    let bonds = Template::named(acid.name).into_iter().flat_map(Template::bonds);
    bonds.filter_map(|(a, b)| if a == atom { Some(b) } else { Some(a).filter(|_| b == atom) }).collect()
}

fn add_heavy(acid: &AminoAcid, places: &mut Places, chi1: f64) {
    let [chi2, chi3, chi4] = outer_torsions(acid.name);
    let chi = [chi1, chi2, chi3, chi4];
    for atom in heavy_atoms(acid.name) {
        let torsion = atom.chi.map_or(0.0, |k| chi[k]) + atom.offset;
        places.insert(atom.name, place(atom.from.map(|name| places[name]), atom.length, atom.angle, torsion));
    }
}

/// Sum of the inverse twelfth powers of the distances between the atoms of a trial that move with it and all others
/// that are there.
fn crowding(trial: &Places, residue: usize, residues: &[Draft]) -> f64 {
    let moving: Vec<Point> = trial.iter().filter(|(name, _)| !name.starts_with("HB")).map(|(_, at)| *at).collect();
    let mut sum = 0.0;
    for (k, Draft { places, .. }) in residues.iter().enumerate() {
        for (_, other) in places.iter().filter(|(name, _)| k != residue || **name != "CB") {
            let apart = moving.iter().map(|at| sub(*at, *other));
            sum += apart.map(|d| dot(d, d).powi(-6)).sum::<f64>();
        }
    }
    sum
}
