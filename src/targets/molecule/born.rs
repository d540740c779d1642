//! Generalised Born models as parameters: HCT, OBC1, OBC2, GBn and GBn2, from OpenMM's own force or from the custom
//! force whose expressions OpenMM writes for them.
//!
//! For every ordered pair, with offset radius `o`, scaled radius `s`, `U = r + s_j` and `L = max(o_i, |r - s_j|)`,
//!
//! `I_ij = 1/2 [1/L - 1/U + 1/4 (r - s_j^2/r)(1/U^2 - 1/L^2) + 1/2 ln(L/U)/r]` where `U >= o_i`, and
//!
//! `1/B_i = 1/o_i - tanh(alpha psi - beta psi^2 + gamma psi^3) / R_i`, `psi = o_i sum_j I_ij`
//! (Hawkins, Cramer and Truhlar, J. Phys. Chem. 100, 1996; Onufriev, Bashford and Case, Proteins 55, 2004).

use super::born_text::{self, Text};
use super::nonbonded::COULOMB;
use super::system::{CustomGb, Obc, Sum, Table};

/// Radii less this (nm) enter the integrals of the OBC models.
pub const OBC_OFFSET: f64 = 0.009;

/// A model with all its numbers.
#[derive(Debug, Clone)]
pub struct Born {
    pub charges: Vec<f64>,
    /// Offset radii `o`, nm.
    pub inner: Vec<f64>,
    /// Scaled radii `s`, nm.
    pub scaled: Vec<f64>,
    /// Radii `R`, nm.
    pub outer: Vec<f64>,
    pub growth: Growth,
    /// Whether an atom inside another's scaled sphere gets `1/o_i - 1/L` as well.
    pub engulfed: bool,
    pub neck: Option<Neck>,
    /// `k (1/eps_in - 1/eps_out)`, kJ/mol nm / e^2.
    pub coulomb: f64,
    /// Energy of `(R + 0.14 nm)^2 (R/B)^6`, kJ/mol/nm^2.
    pub surface: f64,
    pub cutoff: Option<f64>,
    /// Subtracted from `1/f` of every pair, 1/nm.
    pub shift: f64,
}

/// How the sum of integrals becomes a Born radius.
#[derive(Debug, Clone)]
pub enum Growth {
    /// `1/B = 1/o - I` (HCT).
    Plain,
    /// alpha, beta, gamma of each atom.
    Tanh(Vec<[f64; 3]>),
}

/// The correction for the gap between two spheres: `I_ij += m / (1 + 100 (r - d)^2 + 3e5 (r - d)^6)` where
/// `r <= reach` (Mongan, Simmerling, McCammon, Case and Onufriev, J. Chem. Theory Comput. 3, 2007).
#[derive(Debug, Clone)]
pub struct Neck {
    /// `d`, one an ordered pair `i A + j`.
    pub distance: Vec<f64>,
    /// `m`, with the model's factor.
    pub depth: Vec<f64>,
    pub reach: Vec<f64>,
}

impl Born {
    pub fn atoms(&self) -> usize {
        self.charges.len()
    }

    /// OpenMM's GBSAOBCForce, which is OBC2.
    pub fn from_obc(force: &Obc) -> Self {
        let outer: Vec<f64> = force.particles.iter().map(|p| p.radius).collect();
        let inner: Vec<f64> = outer.iter().map(|radius| radius - OBC_OFFSET).collect();
        Self {
            charges: force.particles.iter().map(|p| p.charge).collect(),
            scaled: force.particles.iter().zip(&inner).map(|(p, inner)| p.scale * inner).collect(),
            growth: Growth::Tanh(vec![[1.0, 0.8, 4.85]; outer.len()]),
            engulfed: true,
            neck: None,
            coulomb: COULOMB * (1.0 / force.solute_dielectric - 1.0 / force.solvent_dielectric),
            surface: 4.0 * std::f64::consts::PI * force.surface_energy,
            cutoff: force.cutoff,
            shift: force.cutoff.map_or(0.0, f64::recip),
            inner,
            outer,
        }
    }

    /// The model that a custom force spells out, if it is one of those above; `None` sends it to the evaluator of
    /// expressions.
    pub fn recognise(force: &CustomGb) -> Option<Self> {
        let [(integral, Sum::PairsWithoutExclusions, text), (radius, Sum::Atoms, growth)] = force.values.as_slice()
        else {
            return None;
        };
        if integral != "I" || radius != "B" || !force.globals.is_empty() {
            return None;
        }
        let growth = Text::new(growth);
        let offset = growth.number("offset").or_else(|| growth.plain().then_some(0.0));
        let column = |name: &str| -> Option<Vec<f64>> {
            let k = force.parameters.iter().position(|parameter| parameter == name)?;
            Some(force.particles.iter().map(|row| row[k]).collect())
        };
        let (charges, inner, scaled) = (column("charge")?, column("or")?, column("sr")?);
        if inner.iter().any(|o| *o <= 0.0) || scaled.iter().any(|s| *s < 0.0) {
            return None;
        }
        let terms = born_text::Terms::read(&force.terms)?;
        let offset = terms.offset.or(offset)?;
        let outer: Vec<f64> = inner.iter().map(|o| o + offset).collect();
        Some(Self {
            neck: match Text::new(text).integral()? {
                born_text::Integral::Plain => None,
                born_text::Integral::Neck { scale, reach, .. } => {
                    Some(Neck::new(scale, reach, &outer, &column("radindex")?, &force.tables)?)
                }
            },
            growth: match growth.growth()? {
                born_text::Curve::Plain => Growth::Plain,
                born_text::Curve::Fixed(curve) => Growth::Tanh(vec![curve; charges.len()]),
                born_text::Curve::Columns => {
                    let (alpha, beta, gamma) = (column("alpha")?, column("beta")?, column("gamma")?);
                    Growth::Tanh((0..charges.len()).map(|i| [alpha[i], beta[i], gamma[i]]).collect())
                }
            },
            charges,
            inner,
            scaled,
            outer,
            engulfed: false,
            coulomb: terms.coulomb,
            surface: terms.surface,
            cutoff: force.cutoff,
            shift: terms.shift,
        })
    }
}

impl Neck {
    /// From the tables `getd0` and `getm0` over the atoms' kinds.
    fn new(scale: f64, reach: f64, outer: &[f64], kinds: &[f64], tables: &[Table]) -> Option<Self> {
        let table = |name: &str| tables.iter().find(|table| table.name == name);
        let (distance, depth) = (table("getd0")?, table("getm0")?);
        let fits = |kind: &f64| {
            let within = |table: &Table| *kind < table.width as f64 && *kind < table.height as f64;
            kind.fract() == 0.0 && *kind >= 0.0 && within(distance) && within(depth)
        };
        if !kinds.iter().all(fits) {
            return None;
        }
        let pairs = || kinds.iter().flat_map(|a| kinds.iter().map(move |b| (*a as usize, *b as usize)));
        let look_up = |table: &Table| pairs().map(|(a, b)| table.values[a + table.width * b]).collect::<Vec<_>>();
        Some(Self {
            distance: look_up(distance),
            depth: look_up(depth).into_iter().map(|m| scale * m).collect(),
            reach: outer.iter().flat_map(|a| outer.iter().map(move |b| a + b + reach)).collect(),
        })
    }
}
