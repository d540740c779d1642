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
        threads::each(rows.collect(), |((x, energy), forces)| self.evaluate_share(x, energy, forces), || ());
    }

    fn evaluate_share(&self, x: &[T], energy: &mut [T], forces: &mut [T]) {
        let width = 3 * self.model.atoms;
        let mut block = Block::<T, L>::new(&self.model);
        let rows = x.chunks(L * width).zip(energy.chunks_mut(L)).zip(forces.chunks_mut(L * width));
        for ((x, energy), forces) in rows {
            block.load(x);
            dispatch(&self.model, &mut block);
            block.store(self.model.constant, energy, forces);
        }
    }
}

/// Runs the passes as compiled for the widest instructions at hand.
fn dispatch<T: Real, const L: usize>(model: &Model<T>, block: &mut Block<T, L>) {
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

        let fma = is_x86_feature_detected!("fma");
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        // SAFETY: each is called only where its instructions were found.
        if fma && wide {
            return unsafe { avx512(model, block) };
        }
        if fma && is_x86_feature_detected!("avx2") {
            return unsafe { avx2(model, block) };
        }
    }
    passes::<T, L, false>(model, block);
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
