//! The energy of a batch of conformations, force by force.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::bonded::{Angles, Bonds, Torsions};
use super::born::Born;
use super::born_term::BornTerm;
use super::cmap::CmapTerm;
use super::custom_gb::CustomGbTerm;
use super::distances::Batch;
use super::kernel::{Kernel, LANES_F32, LANES_F64};
use super::nonbonded::NonbondedTerm;
use super::system::{Force, System};
use crate::bad_input;
use crate::targets::Options;
use crate::torch::autograd;

/// Numbers in one tensor over all pairs of a chunk of conformations, which bounds memory and keeps caches warm.
const CHUNK_ON_CPU: i64 = 1 << 19;
const CHUNK_ON_GPU: i64 = 1 << 25;

/// A force field in nm and kJ/mol.
pub struct ForceField {
    terms: Vec<(String, Term)>,
    kernel: Option<Compiled>,
    masses: Vec<f64>,
    options: Options,
}

enum Term {
    Bonds(Bonds),
    Angles(Angles),
    Torsions(Torsions),
    Cmap(CmapTerm),
    Nonbonded(NonbondedTerm),
    Born(Box<BornTerm>),
    CustomGb(CustomGbTerm),
    Nothing,
}

impl Term {
    fn new(force: &Force, atoms: usize, options: Options) -> Result<Self, String> {
        Ok(match force {
            Force::Bonds(bonds) => Self::Bonds(Bonds::new(bonds, atoms, options)),
            Force::Angles(angles) => Self::Angles(Angles::new(angles, atoms, options)),
            Force::Torsions(torsions) => Self::Torsions(Torsions::new(torsions, atoms, options)),
            Force::Cmap(cmap) if cmap.torsions.is_empty() => Self::Nothing,
            Force::Cmap(cmap) => Self::Cmap(CmapTerm::new(cmap, atoms, options)),
            Force::Nonbonded(force) => Self::Nonbonded(NonbondedTerm::new(force, options)),
            Force::Obc(force) => Self::Born(Box::new(BornTerm::new(Born::from_obc(force), options))),
            Force::CustomGb(force) => match Born::recognise(force) {
                Some(born) => Self::Born(Box::new(BornTerm::new(born, options))),
                None => Self::CustomGb(CustomGbTerm::new(force, options)?),
            },
            Force::MotionRemover => Self::Nothing,
        })
    }

    fn energy(&self, batch: &Batch) -> Option<Tensor> {
        Some(match self {
            Self::Bonds(term) => term.energy(batch),
            Self::Angles(term) => term.energy(batch),
            Self::Torsions(term) => term.energy(batch),
            Self::Cmap(term) => term.energy(batch),
            Self::Nonbonded(term) => term.energy(batch),
            Self::Born(term) => term.energy(batch),
            Self::CustomGb(term) => term.energy(batch),
            Self::Nothing => return None,
        })
    }
}

/// The kernel in the precision of the force field, where it is on the CPU and every force has a vectorised form.
enum Compiled {
    Single(Kernel<f32, LANES_F32>),
    Double(Kernel<f64, LANES_F64>),
}

impl Compiled {
    fn new(system: &System, options: Options) -> Option<Self> {
        match options {
            (Kind::Float, Device::Cpu) => Kernel::new(system).map(Self::Single),
            (Kind::Double, Device::Cpu) => Kernel::new(system).map(Self::Double),
            _ => None,
        }
    }

    /// Energies `[N]` and forces `[N, 3 A]`.
    fn energy_and_forces(&self, x: &Tensor) -> (Tensor, Tensor) {
        match self {
            Self::Single(kernel) => run(x, 0f32, |x, energy, forces| kernel.evaluate(x, energy, forces)),
            Self::Double(kernel) => run(x, 0f64, |x, energy, forces| kernel.evaluate(x, energy, forces)),
        }
    }
}

/// Hands a kernel the numbers of a tensor and makes tensors of what it gives.
fn run<T: tch::kind::Element + Clone>(
    x: &Tensor,
    zero: T,
    evaluate: impl FnOnce(&[T], &mut [T], &mut [T]),
) -> (Tensor, Tensor) {
    let mut points = vec![zero.clone(); x.numel()];
    x.detach().contiguous().copy_data(&mut points, x.numel());
    let mut energy = vec![zero.clone(); x.size()[0] as usize];
    let mut forces = vec![zero; x.numel()];
    evaluate(&points, &mut energy, &mut forces);
    (Tensor::from_slice(&energy), Tensor::from_slice(&forces).view_as(x))
}

impl ForceField {
    pub fn new(system: &System, options: Options) -> Result<Self> {
        let atoms = system.atoms();
        let term = |named: &super::system::NamedForce| {
            let term = Term::new(&named.force, atoms, options)
                .map_err(|why| bad_input!("{}: force {}: {why}", system.source, named.name))?;
            Ok((named.name.clone(), term))
        };
        let terms = system.forces.iter().map(term).collect::<Result<Vec<_>>>()?;
        Ok(Self { terms, kernel: Compiled::new(system, options), masses: system.masses.clone(), options })
    }

    pub fn atoms(&self) -> usize {
        self.masses.len()
    }

    /// amu.
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }

    /// Whether energies come from the vectorised kernel, rather than from tensor operations.
    pub fn has_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Names of the forces, in the file's order.
    pub fn names(&self) -> Vec<&str> {
        self.terms.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Energy in kJ/mol of conformations in nm, `[N, 3 A]` -> `[N]`, differentiable to any order.
    pub fn energy(&self, x: &Tensor) -> Tensor {
        match &self.kernel {
            Some(kernel) if !x.requires_grad() => kernel.energy_and_forces(x).0,
            _ => self.energy_by_tensors(x),
        }
    }

    /// The same value with a gradient from the pass that computes it, several times faster than a graph on the CPU.
    ///
    /// Differentiable *once*: its second derivatives are NaN, so that none is taken unnoticed.
    pub fn energy_first_order(&self, x: &Tensor) -> Tensor {
        if !x.requires_grad() {
            return self.energy(x);
        }
        let (energy, forces) = self.energy_and_forces(x);
        // A difference of zero with slope one carries the forces; its power 3/2 has slope 0 and no curvature.
        let change = x - x.detach();
        let poison = change.abs().pow_tensor_scalar(1.5);
        energy + (poison - change * forces).sum_dim_intlist(-1, false, None)
    }

    /// Energy by tensor operations, as on any device and for any order of derivatives.
    pub fn energy_by_tensors(&self, x: &Tensor) -> Tensor {
        let energies = self.differentiable(x);
        energies.sum_dim_intlist(1, false, None).to_kind(x.kind())
    }

    /// Energy of each force, `[N, 3 A]` -> `[N, F]` in f64; forces without energy (CMMotionRemover) are 0.
    pub fn energy_terms(&self, x: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let parts: Vec<Tensor> = self.chunks(x).iter().map(|rows| self.differentiable(rows)).collect();
        Tensor::cat(&parts, 0)
    }

    /// Energies `[N]` and forces `[N, 3 A]` in kJ/mol/nm, without graph.
    pub fn energy_and_forces(&self, x: &Tensor) -> (Tensor, Tensor) {
        if let Some(kernel) = &self.kernel {
            return kernel.energy_and_forces(x);
        }
        let one = |rows: &Tensor| autograd::value_and_grad(&rows.detach(), |x| self.energy_by_tensors(x));
        let (energies, slopes): (Vec<Tensor>, Vec<Tensor>) = self.chunks(x).iter().map(one).unzip();
        (Tensor::cat(&energies, 0), Tensor::cat(&slopes, 0).neg())
    }

    fn differentiable(&self, x: &Tensor) -> Tensor {
        let batch = Batch::new(x);
        let nothing = || Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
        let energies = self.terms.iter().map(|(_, term)| term.energy(&batch).unwrap_or_else(nothing));
        Tensor::stack(&energies.collect::<Vec<_>>(), 1) // [N, F]
    }

    /// At least one piece, so that no conformations give empty tensors of the right shapes.
    fn chunks(&self, x: &Tensor) -> Vec<Tensor> {
        let limit = if self.options.1.is_cuda() { CHUNK_ON_GPU } else { CHUNK_ON_CPU };
        let rows = (limit / (self.atoms() * self.atoms()) as i64).max(1);
        x.split(rows, 0)
    }
}
