//! Sinkhorn's iterations over the two half-steps: from zero, from a good start, and the symmetric one of a set with
//! itself. Potentials include the weights: the plan is `exp((f_i + g_j - c_ij) / ε)`, its marginals 1/N and 1/M.

use tch::{Kind, Tensor};

use super::kernel::Kernel;
use super::soft_max::Lists;
use crate::metrics::assignment;

/// The two half-steps for uniform weights.
pub(super) trait HalfSteps {
    /// The `f` `[N]` for which, with `g` `[M]`, every row of the plan has mass 1/N.
    fn rows(&mut self, g: &[f64], epsilon: f64) -> Vec<f64>;

    /// The `g` `[M]` for which, with `f` `[N]`, every column of the plan has mass 1/M.
    fn columns(&mut self, f: &[f64], epsilon: f64) -> Vec<f64>;

    /// `Σ_ij plan_ij c_ij`.
    fn transport_cost(&self, f: &[f64], g: &[f64], epsilon: f64) -> f64;
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// L1 distance of the plan's marginals from the weights.
    pub threshold: f64,
    pub max_iterations: usize,
    /// The error is looked at every so many iterations, and at the last.
    pub check_every: usize,
}

/// One entropic transport problem, solved as far as [`Stop`] allowed.
pub(super) struct Solution {
    pub f: Vec<f64>,
    /// The dual objective: `⟨P, C⟩ + ε KL(P | a⊗b)` at the optimum, a lower bound of it before.
    pub dual: f64,
    pub iterations: usize,
    pub marginal_error: f64,
    pub converged: bool,
}

/// Below this fraction of the mean cost, candidate lists beat the dense kernel (measured at N = 2000).
const SPARSE_BELOW: f64 = 5e-4;

fn mean(cost: &Tensor) -> f64 {
    cost.mean(Kind::Double).double_value(&[])
}

/// The faster of the two exact ways to take half-steps on `cost` `[N, M]`.
pub(super) fn half_steps(cost: &Tensor, epsilon: f64) -> anyhow::Result<Box<dyn HalfSteps>> {
    Ok(if epsilon < SPARSE_BELOW * mean(cost) { Box::new(Lists::new(cost)?) } else { Box::new(Kernel::new(cost)) })
}

/// Alternating updates of `g`, then `f`, from the given `f`.
pub(super) fn alternate(steps: &mut dyn HalfSteps, mut f: Vec<f64>, epsilon: f64, stop: Stop) -> Solution {
    let mut g = steps.columns(&f, epsilon);
    let mut iterations = 0;
    loop {
        f = steps.rows(&g, epsilon);
        iterations += 1;

        // The rows are exact now. What the next update would change in g tells how wrong the columns are.
        let next = steps.columns(&f, epsilon);
        if iterations % stop.check_every == 0 || iterations == stop.max_iterations {
            let (marginal_error, _) = column_masses(&g, &next, epsilon);
            let converged = marginal_error < stop.threshold;
            if converged || !marginal_error.is_finite() || iterations >= stop.max_iterations {
                let dual = dual(&f, &g, epsilon, 1.0);
                return Solution { f, dual, iterations, marginal_error, converged };
            }
        }
        g = next;
    }
}

/// A set against itself: `f = g`, averaged with its update (Feydy et al. 2019, eq. 25).
pub(super) fn symmetric(steps: &mut dyn HalfSteps, points: usize, epsilon: f64, stop: Stop) -> Solution {
    let mut f = vec![0.0; points];
    let mut next = steps.rows(&f, epsilon);
    let mut iterations = 0;
    loop {
        f.iter_mut().zip(&next).for_each(|(f, next)| *f = 0.5 * (*f + next));
        next = steps.rows(&f, epsilon);
        iterations += 1;

        if iterations % stop.check_every == 0 || iterations == stop.max_iterations {
            let (error, mass) = column_masses(&f, &next, epsilon);
            let marginal_error = 2.0 * error; // both marginals are off by the same
            let converged = marginal_error < stop.threshold;
            if converged || !marginal_error.is_finite() || iterations >= stop.max_iterations {
                let dual = dual(&f, &f, epsilon, mass);
                return Solution { f, dual, iterations, marginal_error, converged };
            }
        }
    }
}

/// L1 error and total of the masses `w exp((old - next) / ε)`, where `next` is what would make each equal to `w`.
fn column_masses(old: &[f64], next: &[f64], epsilon: f64) -> (f64, f64) {
    let (mut error, mut total) = (0.0, 0.0);
    for (old, next) in old.iter().zip(next) {
        let ratio = ((old - next) / epsilon).exp();
        error += (ratio - 1.0).abs();
        total += ratio;
    }
    (error / old.len() as f64, total / old.len() as f64)
}

/// `⟨f - ε log a, a⟩ + ⟨g - ε log b, b⟩ + ε (1 - Σ P)` (Peyré & Cuturi 2019, eq. 4.30, for KL relative to a⊗b).
fn dual(f: &[f64], g: &[f64], epsilon: f64, mass: f64) -> f64 {
    let part = |p: &[f64]| p.iter().sum::<f64>() / p.len() as f64 + epsilon * (p.len() as f64).ln();
    part(f) + part(g) + epsilon * (1.0 - mass)
}

/// A start from which few iterations remain: the dual of the optimal assignment where both sets have one size (the
/// entropic potentials' limit at ε = 0); otherwise ε-scaling, solving loosely from the costs' scale down to ε.
pub(super) fn good_start(cost: &Tensor, epsilon: f64) -> anyhow::Result<Vec<f64>> {
    let (n, m) = cost.size2()?;
    if n == m {
        let values: Vec<f64> = Vec::try_from(cost.flatten(0, -1))?;
        return Ok(assignment::solve(&values, n as usize).row_dual);
    }
    let loose = Stop { threshold: 1e-2, max_iterations: 300, check_every: 1 };
    let mut f = vec![0.0; n as usize];
    let mut level = 0.5 * mean(cost);
    while level > epsilon {
        f = alternate(half_steps(cost, level)?.as_mut(), f, level, loose).f;
        level *= 0.5;
    }
    Ok(f)
}

/// Rows first, until no potential moves by the threshold any more: returns `⟨P, C⟩` and the solution.
pub(super) fn until_still(steps: &mut dyn HalfSteps, columns: usize, epsilon: f64, stop: Stop) -> (f64, Solution) {
    let moved = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    let mut g = vec![-epsilon * (columns as f64).ln(); columns];
    let mut f: Vec<f64> = Vec::new();
    let (mut iterations, mut converged) = (0, false);
    while iterations < stop.max_iterations && !converged {
        let new_f = steps.rows(&g, epsilon);
        let new_g = steps.columns(&new_f, epsilon);
        iterations += 1;
        let still = |old: &[f64], new: &[f64]| moved(old, new) < stop.threshold;
        converged = !f.is_empty() && still(&f, &new_f) && still(&g, &new_g);
        (f, g) = (new_f, new_g);
    }
    let next = steps.rows(&g, epsilon);
    let (marginal_error, _) = column_masses(&f, &next, epsilon);
    let cost = steps.transport_cost(&f, &g, epsilon);
    (cost, Solution { dual: dual(&f, &g, epsilon, 1.0), f, iterations, marginal_error, converged })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::pairwise::squared_distances;

    /// Two overlapping lattices of points in the plane.
    fn cost(n: i64, m: i64) -> Tensor {
        let points = |k: i64, step: f64| {
            let index = Tensor::arange(k, (Kind::Double, tch::Device::Cpu));
            Tensor::stack(&[(&index * step).sin() * 3.0, (&index * (step + 0.7)).cos() * 2.0], 1)
        };
        squared_distances(&points(n, 1.3), &points(m, 2.1))
    }

    #[test]
    fn candidate_lists_and_kernel_take_the_same_steps() -> anyhow::Result<()> {
        let cost = cost(70, 45);
        let stop = Stop { threshold: 1e-12, max_iterations: 60, check_every: 10 };
        for epsilon in [1e-3, 0.02, 0.5, 10.0] {
            let lists = alternate(&mut Lists::new(&cost)?, vec![0.0; 70], epsilon, stop);
            let kernel = alternate(&mut Kernel::new(&cost), vec![0.0; 70], epsilon, stop);
            assert_eq!(lists.iterations, kernel.iterations);
            assert!((lists.dual - kernel.dual).abs() < 1e-10, "ε = {epsilon}: {} {}", lists.dual, kernel.dual);
            let worst = lists.f.iter().zip(&kernel.f).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
            assert!(worst < 1e-9, "ε = {epsilon}: potentials differ by {worst}");
        }
        Ok(())
    }

    #[test]
    fn the_dual_bounds_the_optimum_from_below_and_rises() -> anyhow::Result<()> {
        let cost = cost(50, 50);
        let mut before = f64::NEG_INFINITY;
        for max_iterations in [1, 5, 25, 125] {
            let stop = Stop { threshold: 0.0, max_iterations, check_every: 1 };
            let dual = alternate(&mut Lists::new(&cost)?, vec![0.0; 50], 0.01, stop).dual;
            assert!(dual >= before - 1e-12);
            before = dual;
        }
        let values: Vec<f64> = Vec::try_from(cost.flatten(0, -1))?;
        let exact = assignment::solve(&values, 50).mean_cost;
        assert!(before <= exact + 0.01 * 50.0_f64.ln());
        Ok(())
    }
}
