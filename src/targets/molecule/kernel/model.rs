//! A force field's numbers in the kernel's precision and order.

use super::real::Real;
use crate::targets::molecule::bonded::{Series, series};
use crate::targets::molecule::born::{Born, Growth};
use crate::targets::molecule::born_term::PROBE;
use crate::targets::molecule::cmap::Patches;
use crate::targets::molecule::nonbonded::{COULOMB, PairTable, Screening, active};
use crate::targets::molecule::system::{Cmap, CmapTorsion, Force, Nonbonded, System};

/// Everything the kernel evaluates.
pub struct Model<T> {
    pub atoms: usize,
    /// Atoms, length, k.
    pub bonds: Vec<([usize; 2], T, T)>,
    /// Atoms, angle, k.
    pub angles: Vec<([usize; 3], T, T)>,
    /// Atoms, and cosine and sine coefficients by periodicity.
    pub torsions: Vec<([usize; 4], Vec<[T; 2]>)>,
    /// What torsions add whatever the conformation.
    pub constant: f64,
    pub cmap: Option<(Vec<Patches>, Vec<CmapTorsion>)>,
    /// Atoms, charge product, sigma^2, 4 epsilon.
    pub exceptions: Vec<([usize; 2], [T; 3])>,
    pub nonbonded: Option<NonbondedModel<T>>,
    pub born: Option<BornModel<T>>,
}

pub struct NonbondedModel<T> {
    /// Charge product, sigma^2, 4 epsilon of every pair `i < j`.
    pub pairs: Vec<[T; 3]>,
    pub quadratic: T,
    pub shift: T,
    pub cutoff2: T,
}

pub struct BornModel<T> {
    /// `C q_i q_j` of every pair `i < j`.
    pub charges: Vec<T>,
    pub atoms: Vec<BornAtom<T>>,
    /// Distance, depth and reach of the neck for `i <- j` and for `j <- i`.
    pub neck: Option<Vec<[[T; 3]; 2]>>,
    /// 1 where an engulfed atom gets its extra integral, else 0.
    pub engulfed: T,
    pub plain: bool,
    pub shift: T,
    pub cutoff2: T,
}

#[derive(Clone, Copy)]
pub struct BornAtom<T> {
    pub inner: T,
    pub scaled: T,
    pub over_inner: T,
    pub over_outer: T,
    /// alpha, beta, gamma.
    pub curve: [T; 3],
    /// `C q^2 / 2`.
    pub charge: T,
    /// `A (R + 0.14)^2 R^6`.
    pub surface: T,
}

/// The pairs `i < j` in the order of the kernel's loops.
fn pairs(atoms: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..atoms).flat_map(move |i| (i + 1..atoms).map(move |j| (i, j)))
}

impl<T: Real> Model<T> {
    /// `None` where a force has no vectorised form: expressions that are none of the known models, or two forces of a
    /// sort that usually stands once.
    pub fn new(system: &System) -> Option<Self> {
        let mut model = Self {
            atoms: system.atoms(),
            bonds: Vec::new(),
            angles: Vec::new(),
            torsions: Vec::new(),
            constant: 0.0,
            cmap: None,
            exceptions: Vec::new(),
            nonbonded: None,
            born: None,
        };
        for named in &system.forces {
            match &named.force {
                Force::Bonds(bonds) => model.bonds.extend(bonds.iter().map(|b| (b.atoms, T::of(b.length), T::of(b.k)))),
                Force::Angles(angles) => {
                    model.angles.extend(angles.iter().map(|a| (a.atoms, T::of(a.angle), T::of(a.k))));
                }
                Force::Torsions(torsions) => model.add_torsions(&series(torsions)),
                Force::Cmap(cmap) => model.add_cmap(cmap)?,
                Force::Nonbonded(force) if model.nonbonded.is_none() => model.add_nonbonded(force),
                Force::Obc(force) if model.born.is_none() => model.born = Some(BornModel::new(&Born::from_obc(force))),
                Force::CustomGb(force) if model.born.is_none() => {
                    model.born = Some(BornModel::new(&Born::recognise(force)?));
                }
                Force::MotionRemover => {}
                Force::Nonbonded(_) | Force::Obc(_) | Force::CustomGb(_) => return None,
            }
        }
        // The passes over pairs begin with the interactions.
        (model.nonbonded.is_some() || model.born.is_none()).then_some(model)
    }

    fn add_torsions(&mut self, series: &[Series]) {
        for one in series {
            let highest = (0..one.cosine.len()).rev().find(|n| one.cosine[*n] != 0.0 || one.sine[*n] != 0.0);
            let used = highest.map_or(0, |n| n + 1);
            let rows = (0..used).map(|n| [T::of(one.cosine[n]), T::of(one.sine[n])]);
            self.torsions.push((one.atoms, rows.collect()));
            self.constant += one.constant;
        }
    }

    fn add_cmap(&mut self, cmap: &Cmap) -> Option<()> {
        if self.cmap.is_some() {
            return None;
        }
        self.cmap = Some((cmap.maps.iter().map(Patches::new).collect(), cmap.torsions.clone()));
        Some(())
    }

    fn add_nonbonded(&mut self, force: &Nonbonded) {
        let table = PairTable::new(force);
        let row = |(i, j): (usize, usize)| {
            let p = i * self.atoms + j;
            [T::of(table.charges[p]), T::of(table.sigma2[p]), T::of(table.epsilon4[p])]
        };
        let Screening { quadratic, shift, cutoff2 } = Screening::new(force);
        self.nonbonded = Some(NonbondedModel {
            pairs: pairs(self.atoms).map(row).collect(),
            quadratic: T::of(quadratic),
            shift: T::of(shift),
            cutoff2: T::of(cutoff2),
        });
        self.exceptions = active(&force.exceptions)
            .iter()
            .map(|e| {
                let numbers = [COULOMB * e.charge_product, e.sigma * e.sigma, 4.0 * e.epsilon];
                (e.atoms, numbers.map(T::of))
            })
            .collect();
    }
}

impl<T: Real> BornModel<T> {
    fn new(born: &Born) -> Self {
        let count = born.atoms();
        let atom = |i: usize| {
            let (charge, outer) = (born.charges[i], born.outer[i]);
            let curve = match &born.growth {
                Growth::Plain => [0.0; 3],
                Growth::Tanh(curves) => curves[i],
            };
            BornAtom {
                inner: T::of(born.inner[i]),
                scaled: T::of(born.scaled[i]),
                over_inner: T::of(1.0 / born.inner[i]),
                over_outer: T::of(1.0 / outer),
                curve: curve.map(T::of),
                charge: T::of(0.5 * born.coulomb * charge * charge),
                surface: T::of(born.surface * (outer + PROBE).powi(2) * outer.powi(6)),
            }
        };
        let neck = born.neck.as_ref().map(|neck| {
            let row = |p: usize| [neck.distance[p], neck.depth[p], neck.reach[p]].map(T::of);
            pairs(count).map(|(i, j)| [row(i * count + j), row(j * count + i)]).collect()
        });
        Self {
            charges: pairs(count).map(|(i, j)| T::of(born.coulomb * born.charges[i] * born.charges[j])).collect(),
            atoms: (0..count).map(atom).collect(),
            neck,
            engulfed: T::of(f64::from(u8::from(born.engulfed))),
            plain: matches!(born.growth, Growth::Plain),
            shift: T::of(born.shift),
            cutoff2: T::of(born.cutoff.map_or(f64::INFINITY, |cutoff| cutoff * cutoff)),
        }
    }
}
