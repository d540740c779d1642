//! A block of `L` conformations side by side: lane `l` of every array belongs to conformation `l`.

use super::model::Model;
use super::real::Real;

/// One number of every conformation.
pub type Lanes<T, const L: usize> = [T; L];

/// Coordinates, forces and what the passes over pairs hand to each other.
pub struct Block<T, const L: usize> {
    /// x, y, z of every atom.
    pub x: Vec<[Lanes<T, L>; 3]>,
    pub forces: Vec<[Lanes<T, L>; 3]>,
    /// Sums in f64, whatever the precision of their terms.
    pub energy: Lanes<f64, L>,
    pub pairs: Vec<PairLanes<T, L>>,
    pub born: Vec<BornLanes<T, L>>,
}

/// What is known of a pair after the first pass.
#[derive(Clone, Copy)]
pub struct PairLanes<T, const L: usize> {
    /// `dE/dr / r` at fixed Born radii.
    pub pull: Lanes<T, L>,
    /// `dI_ij/dr / r` and `dI_ji/dr / r`.
    pub slope: [Lanes<T, L>; 2],
}

/// The state of an atom's Born radius.
#[derive(Clone, Copy)]
pub struct BornLanes<T, const L: usize> {
    /// `I_i`.
    pub integral: Lanes<T, L>,
    /// `1/B_i`.
    pub inverse: Lanes<T, L>,
    /// `B_i`.
    pub radius: Lanes<T, L>,
    /// `dB_i/dI_i`.
    pub growth: Lanes<T, L>,
    /// `dE/dB_i`, and in the end `dE/dI_i`.
    pub slope: Lanes<T, L>,
}

impl<T: Real, const L: usize> Block<T, L> {
    pub fn new(model: &Model<T>) -> Self {
        let zero = [T::ZERO; L];
        let count = model.atoms * model.atoms.saturating_sub(1) / 2;
        let of_pairs = if model.born.is_some() || model.nonbonded.is_some() { count } else { 0 };
        let of_atoms = if model.born.is_some() { model.atoms } else { 0 };
        let born = BornLanes { integral: zero, inverse: zero, radius: zero, growth: zero, slope: zero };
        Self {
            x: vec![[zero; 3]; model.atoms],
            forces: vec![[zero; 3]; model.atoms],
            energy: [0.0; L],
            pairs: vec![PairLanes { pull: zero, slope: [zero; 2] }; of_pairs],
            born: vec![born; of_atoms],
        }
    }

    /// Takes up to `L` conformations of `3 A` numbers each; the last fills the lanes that are left.
    pub fn load(&mut self, rows: &[T]) {
        let width = 3 * self.x.len();
        let count = rows.len() / width;
        for l in 0..L {
            let row = &rows[l.min(count - 1) * width..][..width];
            for (atom, position) in self.x.iter_mut().zip(row.chunks_exact(3)) {
                for k in 0..3 {
                    atom[k][l] = position[k];
                }
            }
        }
        self.energy = [0.0; L];
        self.forces.fill([[T::ZERO; L]; 3]);
        for born in &mut self.born {
            born.integral = [T::ZERO; L];
            born.slope = [T::ZERO; L];
        }
    }

    /// Gives as many conformations back as `energy` has room for.
    pub fn store(&self, constant: f64, energy: &mut [T], forces: &mut [T]) {
        let width = 3 * self.x.len();
        for (l, (energy, row)) in energy.iter_mut().zip(forces.chunks_exact_mut(width)).enumerate() {
            *energy = T::of(self.energy[l] + constant);
            for (atom, force) in self.forces.iter().zip(row.chunks_exact_mut(3)) {
                for k in 0..3 {
                    force[k] = atom[k][l];
                }
            }
        }
    }

    /// Adds a row of energies.
    #[inline(always)]
    pub fn add_energy(&mut self, energy: &Lanes<T, L>) {
        for l in 0..L {
            self.energy[l] += energy[l].wide();
        }
    }

    /// Adds `strength * direction` to the force on an atom.
    #[inline(always)]
    pub fn push<const F: bool>(&mut self, atom: usize, direction: &[Lanes<T, L>; 3], strength: &Lanes<T, L>) {
        for k in 0..3 {
            let mut sum = self.forces[atom][k];
            for l in 0..L {
                sum[l] = direction[k][l].fma::<F>(strength[l], sum[l]);
            }
            self.forces[atom][k] = sum;
        }
    }

    /// `x_to - x_from`.
    #[inline(always)]
    pub fn arrow(&self, from: usize, to: usize) -> [Lanes<T, L>; 3] {
        let (a, b) = (&self.x[from], &self.x[to]);
        let mut arrow = [[T::ZERO; L]; 3];
        for k in 0..3 {
            for l in 0..L {
                arrow[k][l] = b[k][l] - a[k][l];
            }
        }
        arrow
    }
}
