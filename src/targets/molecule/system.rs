//! An OpenMM System as numbers: masses, and the terms of each force in the file's order.
//!
//! Units are OpenMM's: nm, kJ/mol, radians, elementary charges, amu.

/// What `system.xml` says.
#[derive(Debug, Clone)]
pub struct System {
    /// amu, one an atom.
    pub masses: Vec<f64>,
    /// Forces in the file's order.
    pub forces: Vec<NamedForce>,
    /// The file's path, for messages.
    pub source: String,
}

/// A force under the name the file gives it.
#[derive(Debug, Clone)]
pub struct NamedForce {
    pub name: String,
    pub force: Force,
}

/// The forces that are understood.
#[derive(Debug, Clone)]
pub enum Force {
    Bonds(Vec<Bond>),
    Angles(Vec<Angle>),
    Torsions(Vec<PeriodicTorsion>),
    Cmap(Cmap),
    Nonbonded(Nonbonded),
    Obc(Obc),
    CustomGb(CustomGb),
    /// Changes velocities in a simulation; has no energy.
    MotionRemover,
}

/// `k / 2 (r - length)^2`.
#[derive(Debug, Clone, Copy)]
pub struct Bond {
    pub atoms: [usize; 2],
    pub length: f64,
    pub k: f64,
}

/// `k / 2 (theta - angle)^2`, the second atom being the vertex.
#[derive(Debug, Clone, Copy)]
pub struct Angle {
    pub atoms: [usize; 3],
    pub angle: f64,
    pub k: f64,
}

/// `k (1 + cos(periodicity phi - phase))`.
#[derive(Debug, Clone, Copy)]
pub struct PeriodicTorsion {
    pub atoms: [usize; 4],
    pub periodicity: usize,
    pub phase: f64,
    pub k: f64,
}

/// Energies on periodic grids of two torsions.
#[derive(Debug, Clone)]
pub struct Cmap {
    pub maps: Vec<CmapGrid>,
    pub torsions: Vec<CmapTorsion>,
}

/// `energies[i + size j]` at the angles `2 pi i / size`, `2 pi j / size`.
#[derive(Debug, Clone)]
pub struct CmapGrid {
    pub size: usize,
    pub energies: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
pub struct CmapTorsion {
    pub map: usize,
    pub a: [usize; 4],
    pub b: [usize; 4],
}

/// Lennard-Jones and Coulomb between all pairs but the exceptions.
#[derive(Debug, Clone)]
pub struct Nonbonded {
    pub particles: Vec<Charged>,
    pub exceptions: Vec<Exception>,
    pub cutoff: Option<ReactionField>,
}

/// Charge, Lennard-Jones radius and depth.
#[derive(Debug, Clone, Copy)]
pub struct Charged {
    pub charge: f64,
    pub sigma: f64,
    pub epsilon: f64,
}

/// A pair with parameters of its own; `charge_product` replaces the product of charges.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    pub atoms: [usize; 2],
    pub charge_product: f64,
    pub sigma: f64,
    pub epsilon: f64,
}

/// CutoffNonPeriodic.
#[derive(Debug, Clone, Copy)]
pub struct ReactionField {
    pub distance: f64,
    pub dielectric: f64,
}

/// GBSAOBCForce.
#[derive(Debug, Clone)]
pub struct Obc {
    pub particles: Vec<ObcParticle>,
    pub cutoff: Option<f64>,
    pub solute_dielectric: f64,
    pub solvent_dielectric: f64,
    pub surface_energy: f64,
}

#[derive(Debug, Clone, Copy)]
pub struct ObcParticle {
    pub charge: f64,
    pub radius: f64,
    pub scale: f64,
}

/// CustomGBForce: expressions and the parameters they speak of.
#[derive(Debug, Clone)]
pub struct CustomGb {
    pub parameters: Vec<String>,
    pub globals: Vec<(String, f64)>,
    /// Computed values, in order; each may use those before it.
    pub values: Vec<(String, Sum, String)>,
    pub terms: Vec<(Sum, String)>,
    /// One row of parameters an atom.
    pub particles: Vec<Vec<f64>>,
    pub exclusions: Vec<[usize; 2]>,
    pub tables: Vec<Table>,
    pub cutoff: Option<f64>,
}

/// What an expression is summed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    Atoms,
    Pairs,
    PairsWithoutExclusions,
}

/// A tabulated function of two whole numbers: `values[x + width y]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub name: String,
    pub width: usize,
    pub height: usize,
    pub values: Vec<f64>,
}

impl System {
    pub fn atoms(&self) -> usize {
        self.masses.len()
    }

    /// Pairs `i < j` with a harmonic bond, sorted.
    pub fn bonds(&self) -> Vec<(usize, usize)> {
        let bonds = self.forces.iter().filter_map(|named| match &named.force {
            Force::Bonds(bonds) => Some(bonds),
            _ => None,
        });
        let mut pairs: Vec<_> =
            bonds.flatten().map(|b| (b.atoms[0].min(b.atoms[1]), b.atoms[0].max(b.atoms[1]))).collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }
}
