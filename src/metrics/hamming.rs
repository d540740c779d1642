//! Maximum mean discrepancy of discrete states.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// Rows of one side whose distances are formed at once.
const BLOCK: i64 = 512;

/// Squared discrepancy of states `x` `[N, D]` and `y` `[M, D]` (whole numbers) under the kernel
/// `exp(-bandwidth * Hamming distance)`, without its diagonal (U-statistic; it may be negative). EB-GFN's tables (Zhang
/// et al., "Generative flow networks for discrete probabilistic modeling", 2022) have bandwidth 0.1.
pub fn exp_hamming_mmd2(x: &Tensor, y: &Tensor, bandwidth: f64) -> Result<f64> {
    let ((n, d), (m, other)) = (x.size2()?, y.size2()?);
    ensure!(d == other && n > 1 && m > 1, "MMD between states of shapes [{n}, {d}] and [{m}, {other}]");
    let states = x.max().int64_value(&[]).max(y.max().int64_value(&[])) + 1;
    let code = |x: &Tensor| x.to_kind(Kind::Int64).one_hot(states).to_kind(Kind::Float).flatten(1, 2);
    let (x, y) = (code(x), code(y));
    let own = |x: &Tensor, n: i64| (kernel_sum(x, x, d, bandwidth) - n as f64) / (n * (n - 1)) as f64;
    Ok(own(&x, n) + own(&y, m) - 2.0 * kernel_sum(&x, &y, d, bandwidth) / (n * m) as f64)
}

/// Rows are one-hot codes, so products count equal sites.
fn kernel_sum(x: &Tensor, y: &Tensor, sites: i64, bandwidth: f64) -> f64 {
    let rows = x.split(BLOCK, 0);
    let sum = |rows: &Tensor| {
        let distance = sites as f64 - rows.matmul(&y.tr()).to_kind(Kind::Double);
        (distance * -bandwidth).exp().sum(Kind::Double).double_value(&[])
    };
    rows.iter().map(sum).sum()
}
