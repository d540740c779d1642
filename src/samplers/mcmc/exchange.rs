//! Parallel tempering: replicas at neighbouring temperatures exchange their conformations.

use tch::{Device, Kind, Tensor};

use super::{Mechanics, State};
use crate::targets::Target;

/// Temperatures, and independent chains at each: row `rung * chains + chain` of a state.
#[derive(Debug, Clone)]
pub struct Ladder {
    /// kT of each rung, kJ/mol, the coldest first.
    pub kts: Vec<f64>,
    pub chains: i64,
}

/// What a sweep of exchanges did.
#[derive(Debug, Clone, PartialEq)]
pub struct Swaps {
    /// Which row's conformation each row has now, `N` entries.
    pub from: Vec<i64>,
    /// Exchanges attempted and accepted between each rung and the next.
    pub counts: Vec<(u64, u64)>,
}

impl Ladder {
    pub fn rungs(&self) -> i64 {
        self.kts.len() as i64
    }

    /// Number of rows, `N`.
    pub fn replicas(&self) -> i64 {
        self.rungs() * self.chains
    }

    /// kT of every row, `N` entries.
    pub fn row_kts(&self) -> Vec<f64> {
        self.kts.iter().flat_map(|kt| vec![*kt; self.chains as usize]).collect()
    }

    /// Decides the exchanges of one sweep, within each chain between rungs `(0, 1), (2, 3), …` or, where `odd`,
    /// `(1, 2), (3, 4), …`.
    ///
    /// `energies` (kJ/mol) and `uniforms` (in [0, 1)) have an entry a row; of a pair's two uniforms the colder rung's
    /// counts. A pair exchanges with probability `min(1, exp((1/kT_a - 1/kT_b)(E_a - E_b)))`, which leaves the product
    /// of the canonical distributions as it is (Sugita and Okamoto, Chem. Phys. Lett. 314 (1999) 141).
    /// A pair with an energy that is not finite stays as it is.
    pub fn sweep(&self, energies: &[f64], uniforms: &[f64], odd: bool) -> Swaps {
        let mut from: Vec<i64> = (0..self.replicas()).collect();
        let mut counts = vec![(0, 0); self.kts.len().saturating_sub(1)];
        for (rung, count) in counts.iter_mut().enumerate().skip(usize::from(odd)).step_by(2) {
            let beta_gap = 1.0 / self.kts[rung] - 1.0 / self.kts[rung + 1];
            for chain in 0..self.chains as usize {
                let cold = rung * self.chains as usize + chain;
                let hot = cold + self.chains as usize;
                let log_ratio = beta_gap * (energies[cold] - energies[hot]);
                count.0 += 1;
                if log_ratio.is_finite() && uniforms[cold] < log_ratio.exp() {
                    from.swap(cold, hot);
                    count.1 += 1;
                }
            }
        }
        Swaps { from, counts }
    }

    /// The state after the exchanges. Velocities go with their positions, scaled to the new temperature.
    ///
    /// Where velocities lag by `lag` ps (a leap-frog's half step) they are correlated with the positions through the
    /// last half kick, which must not be scaled: it is added before and taken off after. Evaluates the score.
    pub fn apply(&self, swaps: &Swaps, state: &State, target: &dyn Target, mechanics: &Mechanics, lag: f64) -> State {
        let _guard = tch::no_grad_guard();
        let (kind, device) = (state.x.kind(), state.x.device());
        let from = Tensor::from_slice(&swaps.from).to_device(device);
        let kts = self.row_kts();
        let scale: Vec<f64> = kts.iter().zip(&swaps.from).map(|(kt, from)| (kt / kts[*from as usize]).sqrt()).collect();
        let scale = Tensor::from_slice(&scale).to_kind(kind).to_device(device).unsqueeze(1); // [N, 1]

        let x = state.x.index_select(0, &from);
        let half_kick = target.score(&x) * mechanics.acceleration_of_score() * lag;
        let v = (state.v.index_select(0, &from) + &half_kick) * scale - half_kick;
        // Rows that stay do so to the bit.
        let moved: Vec<bool> = swaps.from.iter().enumerate().map(|(row, from)| row as i64 != *from).collect();
        let moved = Tensor::from_slice(&moved).to_device(device).unsqueeze(1);
        State { x, v: v.where_self(&moved, &state.v) }
    }
}

/// Energies of a state's rows in kJ/mol, `N` entries.
pub fn energies(target: &dyn Target, x: &Tensor, kt: f64) -> Vec<f64> {
    let energy = tch::no_grad(|| target.log_prob(x)).to_device(Device::Cpu).to_kind(Kind::Double) * -kt;
    let mut values = vec![0.0; energy.numel()];
    energy.contiguous().copy_data(&mut values, energy.numel());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three levels at three temperatures, swept with every uniform of a fine grid at once: the rates between all
    /// joint states, from the code itself, balance under the product of the canonical distributions.
    #[test]
    fn exchanges_are_in_detailed_balance() {
        const GRID: usize = 4000;
        let levels: [f64; 3] = [0.0, 1.3, 2.9];
        let ladder = Ladder { kts: vec![1.0, 1.7, 2.4], chains: GRID as i64 };
        let uniforms: Vec<f64> = (0..3 * GRID).map(|i| ((i % GRID) as f64 + 0.5) / GRID as f64).collect();
        let log_weight = |s: [usize; 3]| -> f64 { (0..3).map(|rung| -levels[s[rung]] / ladder.kts[rung]).sum() };

        let mut balanced = 0;
        for odd in [false, true] {
            let rung = usize::from(odd);
            for code in 0..27usize {
                let joint = [code % 3, code / 3 % 3, code / 9];
                let mut swapped = joint;
                swapped.swap(rung, rung + 1);
                let rate = |s: [usize; 3]| {
                    let energies: Vec<f64> = s.iter().flat_map(|level| vec![levels[*level]; GRID]).collect();
                    let counts = ladder.sweep(&energies, &uniforms, odd).counts;
                    assert_eq!((counts[rung].0, counts[1 - rung]), (GRID as u64, (0, 0)));
                    counts[rung].1 as f64 / GRID as f64
                };
                let (there, back) = (log_weight(joint).exp() * rate(joint), log_weight(swapped).exp() * rate(swapped));
                assert!((there - back).abs() < 1.0 / GRID as f64, "{joint:?}: {there} against {back}");
                balanced += usize::from(there > 0.01 && rate(joint) < 1.0);
            }
        }
        assert!(balanced >= 6, "only {balanced} pairs were more than trivially balanced");
    }

    #[test]
    fn rows_stay_in_their_chains_and_bad_energies_stay_put() {
        let ladder = Ladder { kts: vec![1.0, 2.0, 3.0, 4.0], chains: 2 };
        assert_eq!(ladder.row_kts(), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        // Chain 0 swaps at once (the colder is higher in energy); chain 1's cold pair has no energy.
        let energies = [5.0, f64::NAN, 1.0, 1.0, 5.0, 0.0, 1.0, 9.0];
        let swaps = ladder.sweep(&energies, &[0.99; 8], false);
        assert_eq!(swaps.from, [2, 1, 0, 3, 6, 5, 4, 7]);
        assert_eq!(swaps.counts, [(2, 1), (0, 0), (2, 1)]);
    }
}
