//! Maximum mean discrepancy between two sets of points, in the two forms that this field's tables use.

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::metrics::pairwise::{BLOCK, for_each_block, squared_distances};

/// Which kernel and estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MmdKernel {
    /// `exp(-|x-y|² / 2m²)` with m the median distance of the pooled set, the zero diagonal included; sums over all
    /// pairs, the diagonal included, divided by N(N-1). That is biased by about 2/N, and kept, for it is what Beyond
    /// ELBOs, UDB and SCLD report (after Schrab et al. 2023).
    #[default]
    MedianGaussian,
    /// The sum of ten kernels `exp(-|x-y|² / b)`, b = 100 · 2^(i-5), i = 0..9, all means biased (V-statistic), as in
    /// the code of the rKL-LD paper. Note that b has the unit of squared coordinates: compare within one target only.
    TenGaussians,
}

/// The square root of the estimated squared discrepancy of `x` `[N, D]` and `y` `[M, D]`; any float kind and device.
///
/// Computed in f64 over blocks, so memory does not grow with N·M. NaN where a point is not finite.
pub fn mmd(x: &Tensor, y: &Tensor, kernel: MmdKernel) -> anyhow::Result<f64> {
    let ((n, d), (m, other)) = (x.size2()?, y.size2()?);
    ensure!(d == other && n > 1 && m > 1, "MMD between point sets of shapes [{n}, {d}] and [{m}, {other}]");
    let (x, y) = (points(x), points(y));
    let pooled = Tensor::cat(&[&x, &y], 0);
    if pooled.isfinite().all().int64_value(&[]) == 0 {
        return Ok(f64::NAN);
    }

    let (nf, mf) = (n as f64, m as f64);
    let squared = match kernel {
        MmdKernel::MedianGaussian => {
            let median = median_distance(&pooled)?;
            let sum = |a, b| kernel_sum(a, b, |d| (d * (-0.5 / (median * median))).exp_());
            sum(&x, &x) / (nf * (nf - 1.0)) + sum(&y, &y) / (mf * (mf - 1.0)) - 2.0 * sum(&x, &y) / (nf * mf)
        }
        MmdKernel::TenGaussians => {
            let sum = |a, b| kernel_sum(a, b, ten_gaussians);
            sum(&x, &x) / (nf * nf) + sum(&y, &y) / (mf * mf) - 2.0 * sum(&x, &y) / (nf * mf)
        }
    };
    Ok(squared.max(1e-20).sqrt())
}

fn points(x: &Tensor) -> Tensor {
    x.detach().to_device(Device::Cpu).to_kind(Kind::Double)
}

fn kernel_sum(x: &Tensor, y: &Tensor, kernel: impl Fn(Tensor) -> Tensor) -> f64 {
    let mut total = 0.0;
    for_each_block(x, y, |squared| total += kernel(squared).sum(Kind::Double).double_value(&[]));
    total
}

/// Each kernel is the square of the next wider one, so ten cost one exponential.
fn ten_gaussians(squared: Tensor) -> Tensor {
    let mut kernel = (squared * (-1.0 / 1600.0)).exp_(); // b = 100 · 2⁴
    let mut total = kernel.copy();
    for _ in 0..9 {
        kernel = kernel.square_();
        total += &kernel;
    }
    total
}

/// Median of the distances between pairs i ≤ j of the rows of `z` `[P, D]`, so with P zeros among them; the mean of the
/// two middle ones where their number is even.
///
/// Exact in bounded memory: a histogram of the squared distances finds the bins around the middle, and a second pass
/// sorts what lies in them.
fn median_distance(z: &Tensor) -> anyhow::Result<f64> {
    const BINS: i64 = 4096;
    let mut largest = 0.0_f64;
    for_each_pair_block(z, |squared| largest = largest.max(squared.max().double_value(&[])));
    let bin_of = |squared: &Tensor| (squared * (BINS as f64 / largest)).to_kind(Kind::Int64).clamp_max(BINS - 1);

    let histogram = Tensor::zeros([BINS], (Kind::Int64, Device::Cpu));
    for_each_pair_block(z, |squared| {
        let _ = histogram.shallow_clone().g_add_(&bin_of(&squared).bincount::<Tensor>(None, BINS));
    });
    let cumulative: Vec<i64> = Vec::try_from(histogram.cumsum(0, Kind::Int64))?;
    let pairs = cumulative[BINS as usize - 1];
    let (lower, upper) = ((pairs - 1) / 2, pairs / 2); // ranks from zero
    let bin = |rank: i64| cumulative.partition_point(|count| *count <= rank);
    let (first, last) = (bin(lower), bin(upper));

    let mut candidates: Vec<Tensor> = Vec::new();
    for_each_pair_block(z, |squared| {
        let bins = bin_of(&squared);
        let inside = bins.ge(first as i64).logical_and(&bins.le(last as i64));
        candidates.push(squared.masked_select(&inside));
    });
    let candidates: Vec<f64> = Vec::try_from(Tensor::cat(&candidates, 0).sort(0, false).0)?;
    let before = if first == 0 { 0 } else { cumulative[first - 1] };
    let distance = |rank: i64| candidates[(rank - before) as usize].sqrt();
    Ok(0.5 * (distance(lower) + distance(upper)))
}

/// Squared distances of all pairs i ≤ j of rows, in flat blocks.
fn for_each_pair_block(z: &Tensor, mut f: impl FnMut(Tensor)) {
    let points = z.size()[0];
    let rows = (BLOCK / points.max(1)).max(1);
    let mut start = 0;
    while start < points {
        let rest = z.narrow(0, start, points - start);
        let block = rest.narrow(0, 0, rows.min(points - start));
        let squared = squared_distances(&block, &rest); // [rows, P - start]
        f(squared.masked_select(&squared.ones_like().triu(0).to_kind(Kind::Bool)));
        start += rows;
    }
}
