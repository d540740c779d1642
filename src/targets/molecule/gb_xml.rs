//! The two forces of implicit solvent in a serialised System.

use anyhow::Result;

use super::system::{CustomGb, Obc, ObcParticle, Sum, Table};
use super::system_xml::{cutoff, per_atom};
use super::xml::{Element, brief};

/// OpenMM's own expressions have fewer than 600 characters.
const LONGEST_EXPRESSION: usize = 1 << 14;
/// Expressions, parameters and tables of a force: more than any model has.
const MOST_NAMES: usize = 64;

pub fn obc(element: &Element, atoms: usize) -> Result<Obc> {
    let [particles] = element.sections(["Particles"])?;
    let particle = |e: &Element| {
        let radius = e.positive("r")?;
        if radius <= super::born::OBC_OFFSET {
            return Err(e.error(format!("attribute 'r' is {radius}, expected more than the offset 0.009 nm")));
        }
        Ok(ObcParticle { charge: e.number("q")?, radius, scale: e.non_negative("scale")? })
    };
    Ok(Obc {
        particles: per_atom(element, particles, atoms)?.iter().map(particle).collect::<Result<Vec<_>>>()?,
        cutoff: cutoff(element)?,
        solute_dielectric: element.positive("soluteDielectric")?,
        solvent_dielectric: element.positive("solventDielectric")?,
        surface_energy: element.number("surfaceAreaEnergy")?,
    })
}

pub fn custom(element: &Element, atoms: usize) -> Result<CustomGb> {
    let [parameters, globals, derivatives, values, terms, particles, exclusions, functions] = element.sections([
        "PerParticleParameters",
        "GlobalParameters",
        "EnergyParameterDerivatives",
        "ComputedValues",
        "EnergyTerms",
        "Particles",
        "Exclusions",
        "Functions",
    ])?;
    // Derivatives with respect to parameters add nothing to the energy.
    list(derivatives, "Parameter")?;

    let parameters = list(parameters, "Parameter")?.iter().map(|e| name(e)).collect::<Result<Vec<_>>>()?;
    let global = |e: &Element| Ok((name(e)?, e.number("default")?));
    let globals = list(globals, "Parameter")?.iter().map(global).collect::<Result<Vec<_>>>()?;
    let value = |e: &Element| Ok((name(e)?, sum(e)?, expression(e)?));
    let values = list(values, "Value")?.iter().map(value).collect::<Result<Vec<_>>>()?;
    let term = |e: &Element| Ok((sum(e)?, expression(e)?));
    let terms = list(terms, "Term")?.iter().map(term).collect::<Result<Vec<_>>>()?;
    let tables = list(functions, "Function")?.iter().map(table).collect::<Result<Vec<_>>>()?;

    let row = |e: &Element| (1..=parameters.len()).map(|k| e.number(&format!("param{k}"))).collect::<Result<Vec<_>>>();
    let particles = per_atom(element, particles, atoms)?.iter().map(row).collect::<Result<Vec<_>>>()?;
    let exclusions = exclusions.map_or(Ok(Vec::new()), |list| list.list("Exclusion"))?;
    let exclusions = exclusions.iter().map(|e| e.atoms(["p1", "p2"], atoms)).collect::<Result<Vec<_>>>()?;
    let force =
        CustomGb { parameters, globals, values, terms, particles, exclusions, tables, cutoff: cutoff(element)? };
    // Expressions that cannot be evaluated are the file's fault, so they are refused here with its name and line.
    super::custom_gb::Programs::compile(&force).map_err(|error| element.error(error))?;
    Ok(force)
}

/// The rows of a section, which may be absent.
fn list<'a, 'i>(section: Option<Element<'a, 'i>>, tag: &str) -> Result<Vec<Element<'a, 'i>>> {
    let rows = section.map_or(Ok(Vec::new()), |section| section.list(tag))?;
    match rows.get(MOST_NAMES) {
        Some(surplus) => Err(surplus.error(format!("is one more than {MOST_NAMES}"))),
        None => Ok(rows),
    }
}

fn name(element: &Element) -> Result<String> {
    let name = element.text("name")?;
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !letters || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() || name.len() > 64 {
        return Err(element.error(format!("attribute 'name' is '{}', expected letters and digits", brief(name))));
    }
    Ok(name.to_string())
}

fn sum(element: &Element) -> Result<Sum> {
    Ok([Sum::Atoms, Sum::Pairs, Sum::PairsWithoutExclusions][element.count("type", 0, 2)?])
}

fn expression(element: &Element) -> Result<String> {
    let text = element.text("expression")?;
    if text.len() > LONGEST_EXPRESSION {
        return Err(element.error(format!("has an expression of {} characters, too long", text.len())));
    }
    Ok(text.to_string())
}

fn table(element: &Element) -> Result<Table> {
    let kind = element.text("type")?;
    let (width, height) = match kind {
        "Discrete1DFunction" => (0, 1),
        "Discrete2DFunction" => (element.count("xsize", 1, 10_000)?, element.count("ysize", 1, 10_000)?),
        _ => {
            let kind = brief(kind);
            return Err(element.error(format!("of type {kind} is not supported, only Discrete1D and Discrete2D are")));
        }
    };
    let [values] = element.sections(["Values"])?;
    let rows = values.map_or(Ok(Vec::new()), |values| values.list("Value"))?;
    let values = rows.iter().map(|row| row.number("v")).collect::<Result<Vec<_>>>()?;
    let width = if kind == "Discrete1DFunction" { values.len() } else { width };
    if values.is_empty() || values.len() != width * height {
        let found = values.len();
        return Err(element.error(format!("has {found} values, expected {width} x {height}")));
    }
    Ok(Table { name: name(element)?, width, height, values })
}
