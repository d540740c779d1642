//! Reads the XML that OpenMM's `XmlSerializer` writes for a System. What is not understood is refused, never skipped.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;

use super::gb_xml;
use super::system::*;
use super::xml::{self, Element, brief};
use crate::bad_input;
use crate::io::text::read_text;

/// A System of 138 atoms has 0.15 MiB, CMAP tables 0.2 MiB.
const MOST_BYTES: u64 = 16 << 20;
/// The energy looks at all pairs of atoms.
const MOST_ATOMS: usize = 10_000;
/// Force fields use up to 6; OpenMM sets no limit.
const MOST_PERIODICITY: usize = 12;
const SUPPORTED: &str = "HarmonicBondForce, HarmonicAngleForce, PeriodicTorsionForce, CMAPTorsionForce, NonbondedForce, \
                         GBSAOBCForce, CustomGBForce and CMMotionRemover";

impl System {
    /// Reads a file; errors name file, line and element.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_BYTES, "a System serialised by OpenMM (XmlSerializer)")?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The same from a text; `source` stands for the file's name in messages.
    pub fn parse(text: &str, source: &str) -> Result<Self> {
        let document = xml::parse(text, source)?;
        let root = Element::root(&document, source);
        if root.tag() != "System" || root.attribute("type").is_some_and(|kind| kind != "System") {
            return Err(root.error("found, expected <System type=\"System\">"));
        }
        let [_, particles, constraints, forces] =
            root.sections(["PeriodicBoxVectors", "Particles", "Constraints", "Forces"])?;
        let missing = |tag| root.error(format!("has no <{tag}>"));
        let masses = masses(&particles.ok_or_else(|| missing("Particles"))?)?;
        if let Some(constraints) = constraints {
            constraints.must_be_empty("constraints are not supported; make the System with constraints=None")?;
        }
        let forces = forces.ok_or_else(|| missing("Forces"))?.list("Force")?;
        let forces = forces.iter().map(|element| named_force(element, masses.len())).collect::<Result<Vec<_>>>()?;
        if forces.is_empty() {
            return Err(bad_input!("{source}: the System has no forces"));
        }
        Ok(Self { masses, forces, source: source.to_string() })
    }
}

fn masses(particles: &Element) -> Result<Vec<f64>> {
    let rows = particles.list("Particle")?;
    if let Some(surplus) = rows.get(MOST_ATOMS) {
        return Err(surplus.error(format!("is one more than {MOST_ATOMS}, expected a peptide")));
    }
    let mass = |particle: &Element| {
        particle.must_be_empty("virtual sites are not supported")?;
        particle.positive("mass")
    };
    let masses = rows.iter().map(mass).collect::<Result<Vec<_>>>()?;
    if masses.is_empty() { Err(particles.error("is empty, expected the atoms of a molecule")) } else { Ok(masses) }
}

fn named_force(element: &Element, atoms: usize) -> Result<NamedForce> {
    let kind = element.text("type")?;
    element.must_be_off("usesPeriodic", "a periodic box")?;
    let force = match kind {
        "HarmonicBondForce" => Force::Bonds(rows(element, "Bonds", "Bond", |e| bond(e, atoms))?),
        "HarmonicAngleForce" => Force::Angles(rows(element, "Angles", "Angle", |e| angle(e, atoms))?),
        "PeriodicTorsionForce" => Force::Torsions(rows(element, "Torsions", "Torsion", |e| torsion(e, atoms))?),
        "CMAPTorsionForce" => Force::Cmap(cmap(element, atoms)?),
        "NonbondedForce" => Force::Nonbonded(nonbonded(element, atoms)?),
        "GBSAOBCForce" => Force::Obc(gb_xml::obc(element, atoms)?),
        "CustomGBForce" => Force::CustomGb(gb_xml::custom(element, atoms)?),
        "CMMotionRemover" => Force::MotionRemover,
        other => return Err(element.error(format!("of type {} is not supported, only {SUPPORTED} are", brief(other)))),
    };
    let name = element.attribute("name").filter(|name| !name.is_empty()).unwrap_or(kind);
    Ok(NamedForce { name: brief(name), force })
}

/// The rows of the one list that a force holds.
fn rows<T>(element: &Element, list: &str, tag: &str, row: impl Fn(&Element) -> Result<T>) -> Result<Vec<T>> {
    let [found] = element.sections([list])?;
    let Some(found) = found else { return Err(element.error(format!("has no <{list}>"))) };
    found.list(tag)?.iter().map(row).collect()
}

fn bond(element: &Element, atoms: usize) -> Result<Bond> {
    let (length, k) = (element.non_negative("d")?, element.number("k")?);
    Ok(Bond { atoms: element.atoms(["p1", "p2"], atoms)?, length, k })
}

fn angle(element: &Element, atoms: usize) -> Result<Angle> {
    let (angle, k) = (element.number("a")?, element.number("k")?);
    Ok(Angle { atoms: element.atoms(["p1", "p2", "p3"], atoms)?, angle, k })
}

fn torsion(element: &Element, atoms: usize) -> Result<PeriodicTorsion> {
    Ok(PeriodicTorsion {
        atoms: element.atoms(["p1", "p2", "p3", "p4"], atoms)?,
        periodicity: element.count("periodicity", 1, MOST_PERIODICITY)?,
        phase: element.number("phase")?,
        k: element.number("k")?,
    })
}

fn cmap(element: &Element, atoms: usize) -> Result<Cmap> {
    let [maps, torsions] = element.sections(["Maps", "Torsions"])?;
    let maps = maps.map_or(Ok(Vec::new()), |maps| maps.list("Map"))?;
    let maps = maps.iter().map(cmap_grid).collect::<Result<Vec<_>>>()?;
    let torsions = torsions.map_or(Ok(Vec::new()), |torsions| torsions.list("Torsion"))?;
    let torsion = |element: &Element| {
        if maps.is_empty() {
            return Err(element.error("stands in a force without maps"));
        }
        Ok(CmapTorsion {
            map: element.count("map", 0, maps.len() - 1)?,
            a: element.atoms(["a1", "a2", "a3", "a4"], atoms)?,
            b: element.atoms(["b1", "b2", "b3", "b4"], atoms)?,
        })
    };
    let torsions = torsions.iter().map(torsion).collect::<Result<Vec<_>>>()?;
    Ok(Cmap { maps, torsions })
}

fn cmap_grid(map: &Element) -> Result<CmapGrid> {
    // A periodic cubic spline needs three nodes; published maps have 24.
    let size = map.count("size", 3, 360)?;
    let energies = map.list("Energy")?.iter().map(|e| e.number("e")).collect::<Result<Vec<_>>>()?;
    if energies.len() != size * size {
        let found = energies.len();
        return Err(map.error(format!("of size {size} has {found} energies, expected {}", size * size)));
    }
    Ok(CmapGrid { size, energies })
}

fn nonbonded(element: &Element, atoms: usize) -> Result<Nonbonded> {
    element.must_be_off("useSwitchingFunction", "a switching function")?;
    element.must_be_off("exceptionsUsePeriodic", "a periodic box")?;
    let cutoff = match cutoff(element)? {
        None => None,
        Some(distance) => Some(ReactionField { distance, dielectric: element.positive("rfDielectric")? }),
    };
    let [_, particle_offsets, exception_offsets, particles, exceptions] =
        element.sections(["GlobalParameters", "ParticleOffsets", "ExceptionOffsets", "Particles", "Exceptions"])?;
    for offsets in [particle_offsets, exception_offsets].into_iter().flatten() {
        offsets.must_be_empty("parameter offsets are not supported")?;
    }

    let charged = |e: &Element| {
        Ok(Charged { charge: e.number("q")?, sigma: e.non_negative("sig")?, epsilon: e.non_negative("eps")? })
    };
    let particles = per_atom(element, particles, atoms)?.iter().map(charged).collect::<Result<Vec<_>>>()?;
    let exceptions = exceptions.map_or(Ok(Vec::new()), |list| list.list("Exception"))?;
    let mut seen = HashSet::new();
    let mut exception = |e: &Element| {
        let pair = e.atoms(["p1", "p2"], atoms)?;
        if !seen.insert([pair[0].min(pair[1]), pair[0].max(pair[1])]) {
            return Err(e.error(format!("names the pair {} {} a second time", pair[0], pair[1])));
        }
        let (sigma, epsilon) = (e.non_negative("sig")?, e.non_negative("eps")?);
        Ok(Exception { atoms: pair, charge_product: e.number("q")?, sigma, epsilon })
    };
    let exceptions = exceptions.iter().map(&mut exception).collect::<Result<Vec<_>>>()?;
    Ok(Nonbonded { particles, exceptions, cutoff })
}

/// The cut-off distance of a force's method: NoCutoff (0) or CutoffNonPeriodic (1).
pub fn cutoff(element: &Element) -> Result<Option<f64>> {
    match element.text("method")? {
        "0" => Ok(None),
        "1" => element.positive("cutoff").map(Some),
        other => Err(element.error(format!(
            "method {} (a periodic box) is not supported, only NoCutoff (0) and CutoffNonPeriodic (1) are",
            brief(other)
        ))),
    }
}

/// The rows `<Particle>`, one an atom.
pub fn per_atom<'a, 'i>(
    force: &Element<'a, 'i>,
    particles: Option<Element<'a, 'i>>,
    atoms: usize,
) -> Result<Vec<Element<'a, 'i>>> {
    let rows = particles.map_or(Ok(Vec::new()), |particles| particles.list("Particle"))?;
    if rows.len() != atoms {
        return Err(force.error(format!("has {} particles, but the System has {atoms}", rows.len())));
    }
    Ok(rows)
}
