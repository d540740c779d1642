//! Energies and forces of many conformations at once on the CPU, without tensors.
//!
//! Conformations stand side by side, one a lane, and every line of arithmetic runs over all lanes: plain loops, which
//! the compiler turns into vector instructions for the widest unit at hand (as in [`gelu`](crate::torch::gelu)).
//! Energy and forces come from one pass, so neither graph nor memory for one is needed; the Born integrals' slopes are
//! kept from the pass that computes the integrals, so that each pair costs two logarithms and one exponential.

// Indexed loops over lanes are the form that vectorises.
#![allow(clippy::needless_range_loop)]

mod block;
mod bonded;
mod model;
mod pairs;
mod real;

use std::sync::OnceLock;

use block::Block;
use model::Model;
pub use real::Real;

use super::system::System;
use crate::torch::threads;

/// Conformations a block: one AVX-512 register, or two of AVX2.
pub const LANES_F32: usize = 16;
pub const LANES_F64: usize = 8;

/// A force field in one precision.
pub struct Kernel<T, const L: usize> {
    model: Model<T>,
}

impl<T: Real, const L: usize> Kernel<T, L> {
    /// `None` where a force has no vectorised form.
    pub fn new(system: &System) -> Option<Self> {
        Model::new(system).map(|model| Self { model })
    }

    /// Energies in kJ/mol and forces in kJ/mol/nm of conformations `x` (`3 A` numbers each, nm), shared among the
    /// CPU's workers.
    pub fn evaluate(&self, x: &[T], energy: &mut [T], forces: &mut [T]) {
        let width = 3 * self.model.atoms;
        let blocks = energy.len().div_ceil(L);
        let share = blocks.div_ceil(threads::workers()).max(1) * L;
        let rows = x.chunks(share * width).zip(energy.chunks_mut(share)).zip(forces.chunks_mut(share * width));
        threads::each(
            rows.collect(),
            |((x, energy), forces)| self.evaluate_share(Unit::widest(), x, energy, forces),
            || (),
        );
    }

    fn evaluate_share(&self, unit: Unit, x: &[T], energy: &mut [T], forces: &mut [T]) {
        let width = 3 * self.model.atoms;
        let mut block = Block::<T, L>::new(&self.model);
        let rows = x.chunks(L * width).zip(energy.chunks_mut(L)).zip(forces.chunks_mut(L * width));
        for ((x, energy), forces) in rows {
            block.load(x);
            unit.run(&self.model, &mut block);
            block.store(self.model.constant, energy, forces);
        }
    }
}

/// Instructions that the passes are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Unit {
    /// What this processor has, the widest last.
    fn here() -> Vec<Self> {
        let mut units = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("fma") && is_x86_feature_detected!("avx2") {
            units.push(Self::Avx2);
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            units.extend(wide.then_some(Self::Avx512));
        }
        units
    }

    fn widest() -> Self {
        static WIDEST: OnceLock<Unit> = OnceLock::new();
        *WIDEST.get_or_init(|| Self::here().pop().unwrap_or(Self::Portable))
    }

    /// Runs the passes; `self` is one of [`Unit::here`].
    fn run<T: Real, const L: usize>(self, model: &Model<T>, block: &mut Block<T, L>) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
            fn avx512<T: Real, const L: usize>(model: &Model<T>, block: &mut Block<T, L>) {
                passes::<T, L, true>(model, block);
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2<T: Real, const L: usize>(model: &Model<T>, block: &mut Block<T, L>) {
                passes::<T, L, true>(model, block);
            }
            // SAFETY: only `here` makes these values, and only where the instructions were found.
            match self {
                Self::Avx512 => return unsafe { avx512(model, block) },
                Self::Avx2 => return unsafe { avx2(model, block) },
                Self::Portable => {}
            }
        }
        passes::<T, L, false>(model, block);
    }
}

#[inline(always)]
fn passes<T: Real, const L: usize, const F: bool>(model: &Model<T>, block: &mut Block<T, L>) {
    bonded::bonds::<T, L, F>(model, block);
    bonded::angles::<T, L, F>(model, block);
    bonded::torsions::<T, L, F>(model, block);
    bonded::cmap::<T, L, F>(model, block);
    bonded::exceptions::<T, L, F>(model, block);
    let Some(force) = &model.nonbonded else { return };
    let Some(born) = &model.born else {
        pairs::interactions::<T, L, F, false>(model, force, block);
        return pairs::forces::<T, L, F, false>(block);
    };
    pairs::interactions::<T, L, F, true>(model, force, block);
    pairs::necks::<T, L, F>(born, block);
    pairs::radii::<T, L, F>(born, block);
    pairs::solvent::<T, L, F>(born, block);
    pairs::forces::<T, L, F, true>(block);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::molecule::topology::Topology;
    use std::path::Path;

    /// Largest difference of energies and forces between this unit and the widest, in units of the largest force.
    fn difference<T: Real, const L: usize>(name: &str, unit: Unit) -> f64 {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/molecules").join(name);
        let kernel = Kernel::<T, L>::new(&System::read(&folder.join("system.xml")).unwrap()).unwrap();
        let topology = Topology::read(&folder.join("topology.pdb")).unwrap();
        let frame = topology.positions.iter().flatten();
        // Shaken differently in each conformation; the last block is not full.
        let n = L + 3;
        let shake = |(i, v): (usize, f64)| T::of(v + 0.004 * (i as f64 * 1.7).sin());
        let x: Vec<T> = (0..n).flat_map(|_| frame.clone().copied()).enumerate().map(shake).collect();
        let run = |unit| {
            let (mut energy, mut forces) = (vec![T::ZERO; n], vec![T::ZERO; x.len()]);
            kernel.evaluate_share(unit, &x, &mut energy, &mut forces);
            energy.into_iter().chain(forces).map(T::wide).collect::<Vec<f64>>()
        };
        let (found, expected) = (run(unit), run(Unit::widest()));
        let scale = expected.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
        found.iter().zip(&expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale
    }

    #[test]
    fn all_units_of_this_processor_agree() {
        for unit in Unit::here() {
            for name in ["aldp_ff99sbildn_obc", "aldp_amber14_gbn2", "AAAA_ff19SB_obc2", "CAVQ_amber14_obc1"] {
                let (wide, narrow) =
                    (difference::<f64, LANES_F64>(name, unit), difference::<f32, LANES_F32>(name, unit));
                assert!(wide < 1e-13 && narrow < 2e-5, "{name} on {unit:?}: {wide:.1e}, {narrow:.1e}");
            }
        }
    }
}
