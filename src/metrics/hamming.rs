//! Maximum mean discrepancy of discrete states.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// Rows of one side whose distances are formed at once.
const BLOCK: i64 = 512;

/// Squared discrepancy of states `x` `[N, D]` and `y` `[M, D]` (whole numbers) under the kernel
/// `exp(-bandwidth * Hamming distance)`, without its diagonal (U-statistic; it may be negative). EB-GFN's tables (Zhang
/// et al., "Generative flow networks for discrete probabilistic modeling", 2022) have bandwidth 0.1.
pub fn exp_hamming_mmd2(x: &Tensor, y: &Tensor, bandwidth: f64) -> Result<f64> {
    weighted_exp_hamming_mmd2(x, y, &Tensor::ones([y.size2()?.0], (Kind::Double, y.device())), bandwidth)
}

/// The same where `y` has weights `[M]` of any sum. Rows drawn in proportion to them would repeat, and every pair of
/// equal ones would add to the discrepancy.
pub fn weighted_exp_hamming_mmd2(x: &Tensor, y: &Tensor, weights: &Tensor, bandwidth: f64) -> Result<f64> {
    let ((n, d), (m, other)) = (x.size2()?, y.size2()?);
    ensure!(d == other && n > 1 && m > 1, "MMD between states of shapes [{n}, {d}] and [{m}, {other}]");
    ensure!(weights.size() == [m], "{m} states, but weights of shape {:?}", weights.size());
    let states = x.max().int64_value(&[]).max(y.max().int64_value(&[])) + 1;
    let code = |x: &Tensor| x.to_kind(Kind::Int64).one_hot(states).to_kind(Kind::Float).flatten(1, 2);
    let share = |w: Tensor| &w / w.sum(Kind::Double);
    let x = (code(x), share(Tensor::ones([n], (Kind::Double, x.device()))));
    let y = (code(y), share(weights.to_kind(Kind::Double)));
    // A state's kernel with itself is 1.
    let own = |set: &(Tensor, Tensor)| {
        let itself = set.1.square().sum(Kind::Double).double_value(&[]);
        (mean_kernel(set, set, d, bandwidth) - itself) / (1.0 - itself)
    };
    Ok(own(&x) + own(&y) - 2.0 * mean_kernel(&x, &y, d, bandwidth))
}

/// Rows are one-hot codes, so products count equal sites; their shares add up to 1.
fn mean_kernel(x: &(Tensor, Tensor), y: &(Tensor, Tensor), sites: i64, bandwidth: f64) -> f64 {
    let rows = x.0.split(BLOCK, 0).into_iter().zip(x.1.split(BLOCK, 0));
    let sum = |(rows, shares): (Tensor, Tensor)| {
        let distance = sites as f64 - rows.matmul(&y.0.tr()); // [block, M] f32, of whole numbers
        let kernel = (distance * -bandwidth).exp().to_kind(Kind::Double);
        kernel.matmul(&y.1).dot(&shares).double_value(&[])
    };
    rows.map(sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn weights_leave_out_and_count_alike() {
        let draw = |n: i64| Tensor::randint(2, [n, 9], (Kind::Int64, Device::Cpu));
        let (x, y) = (draw(30), draw(20));
        // Weights of 0 leave rows out.
        let weights = Tensor::cat(
            &[Tensor::full([12], 0.7, (Kind::Double, Device::Cpu)), Tensor::zeros([8], (Kind::Double, Device::Cpu))],
            0,
        );
        let found = weighted_exp_hamming_mmd2(&x, &y, &weights, 0.3).unwrap();
        let expected = exp_hamming_mmd2(&x, &y.narrow(0, 0, 12), 0.3).unwrap();
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");

        // By the definition, one pair after the other.
        let weights: Vec<f64> = (0..20).map(|i| 1.0 + f64::from(i)).collect();
        let total: f64 = weights.iter().sum();
        let kernel = |a: &Tensor, i: i64, b: &Tensor, j: i64| {
            let distance = a.get(i).ne_tensor(&b.get(j)).sum(Kind::Int64).int64_value(&[]);
            (-0.3 * distance as f64).exp()
        };
        let (mut own, mut pairs, mut cross, mut first) = (0.0, 0.0, 0.0, 0.0);
        for i in 0..20 {
            let w = weights[i as usize] / total;
            for j in (0..20).filter(|j| *j != i) {
                let both = w * weights[j as usize] / total;
                (own, pairs) = (own + both * kernel(&y, i, &y, j), pairs + both);
            }
            cross += (0..30).map(|j| w * kernel(&y, i, &x, j) / 30.0).sum::<f64>();
        }
        for i in 0..30 {
            first += (0..30).filter(|j| *j != i).map(|j| kernel(&x, i, &x, j) / 870.0).sum::<f64>();
        }
        let found = weighted_exp_hamming_mmd2(&x, &y, &Tensor::from_slice(&weights), 0.3).unwrap();
        let expected = first + own / pairs - 2.0 * cross;
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}
