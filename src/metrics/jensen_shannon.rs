//! Jensen-Shannon divergences of point sets, discretised by clusters of the reference or by a histogram.

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

use super::pairwise::squared_distances;

/// Added to every count, so that an empty cell is no infinity.
const EPSILON: f64 = 1e-10;

/// Jensen-Shannon divergence in bits of two histograms over the same cells, between 0 and 1: the square of the
/// Jensen-Shannon distance.
pub fn divergence(a: &[u64], b: &[u64]) -> f64 {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let total = counts.iter().sum::<u64>() as f64 + counts.len() as f64 * EPSILON;
        counts.iter().map(|c| (*c as f64 + EPSILON) / total).collect()
    };
    let (a, b) = (shares(a), shares(b));
    let half = |p: f64, q: f64| 0.5 * p * (2.0 * p / (p + q)).log2();
    a.iter().zip(&b).map(|(p, q)| half(*p, *q) + half(*q, *p)).sum::<f64>().max(0.0)
}

/// Divergence of points `x` `[N, D]` from a reference `[M, D]`, by which of `clusters` of the reference they belong to;
/// NaN where a coordinate is not finite. With sines and cosines of torsions this is the "torus JSD", with two TICA
/// components the "TICA JSD"; 20 clusters in both.
pub fn clustered(x: &Tensor, reference: &Tensor, clusters: usize, seed: u64) -> Result<f64> {
    let ((n, d), (m, other)) = (x.size2()?, reference.size2()?);
    ensure!(d == other && n > 0 && m > 0 && clusters > 0, "clusters of points of shapes [{n}, {d}] and [{m}, {other}]");
    let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
    if !finite(x) || !finite(reference) {
        return Ok(f64::NAN);
    }
    let means = KMeans::fit(reference, clusters, seed)?;
    Ok(divergence(&means.counts(x)?, &means.counts(reference)?))
}

/// Divergence by a histogram of `bins` cells along each of D axes (D at most 3) between `low` and `high`; points outside
/// are counted in the outermost cells.
pub fn histogram(x: &Tensor, reference: &Tensor, bins: i64, low: f64, high: f64) -> Result<f64> {
    let ((n, d), (m, other)) = (x.size2()?, reference.size2()?);
    ensure!(d == other && (1..=3).contains(&d) && n > 0 && m > 0, "histogram of [{n}, {d}] and [{m}, {other}]");
    ensure!(bins >= 1 && low < high, "a histogram of {bins} bins from {low} to {high}");
    let counts = |points: &Tensor| -> Result<Vec<u64>> {
        let cell = ((double(points) - low) * (bins as f64 / (high - low))).floor().clamp(0.0, bins as f64 - 1.0);
        let strides: Vec<f64> = (0..d).map(|k| bins.pow(k as u32) as f64).collect();
        let index = (cell * Tensor::from_slice(&strides)).sum_dim_intlist(-1, false, Kind::Double); // [N]
        tally(&index.to_kind(Kind::Int64), bins.pow(d as u32))
    };
    if double(x).isnan().any().int64_value(&[]) == 1 || double(reference).isnan().any().int64_value(&[]) == 1 {
        return Ok(f64::NAN);
    }
    Ok(divergence(&counts(x)?, &counts(reference)?))
}

/// Centres of clusters.
#[derive(Debug)]
pub struct KMeans {
    /// `[K, D]` f64.
    pub centers: Tensor,
    /// Sum of squared distances to the nearest centre.
    pub inertia: f64,
}

impl KMeans {
    /// Lloyd's iteration from greedy k-means++ centres (Arthur and Vassilvitskii, SODA 2007), to its fixed point or 300
    /// rounds.
    ///
    /// The recipe is scikit-learn's, its random numbers are not: `random_state` cannot be reproduced, and a divergence
    /// differs from published ones by as much as it differs between seeds.
    pub fn fit(points: &Tensor, clusters: usize, seed: u64) -> Result<Self> {
        let points = double(points);
        let mut centers = plus_plus(&points, clusters, &mut Uniforms(seed))?;
        let (mut labels, mut inertia) = nearest(&points, &centers);
        for _ in 0..300 {
            let sums = centers.zeros_like().index_add(0, &labels, &points); // [K, D]
            let sizes = labels.bincount::<Tensor>(None, clusters as i64).to_kind(Kind::Double).unsqueeze(1);
            // An empty cluster stays where it is.
            centers = (sums / sizes.clamp_min(1.0)).where_self(&sizes.gt(0.0), &centers);
            let (next, sum) = nearest(&points, &centers);
            let settled = next.equal(&labels);
            (labels, inertia) = (next, sum);
            if settled {
                break;
            }
        }
        Ok(Self { centers, inertia })
    }

    /// The cluster of each point: `[N]` i64.
    pub fn predict(&self, points: &Tensor) -> Tensor {
        nearest(&double(points), &self.centers).0
    }

    /// Points in each cluster.
    pub fn counts(&self, points: &Tensor) -> Result<Vec<u64>> {
        tally(&self.predict(points), self.centers.size()[0])
    }
}

/// Nearest centres `[N]` and the sum of squared distances to them.
fn nearest(points: &Tensor, centers: &Tensor) -> (Tensor, f64) {
    let (distances, labels) = squared_distances(points, centers).min_dim(1, false);
    (labels, distances.sum(Kind::Double).double_value(&[]))
}

/// Each new centre is the best of a few drawn in proportion to the squared distance from those there are.
fn plus_plus(points: &Tensor, clusters: usize, uniforms: &mut Uniforms) -> Result<Tensor> {
    let count = points.size()[0];
    let trials = 2 + (clusters as f64).ln() as usize;
    let row = |i: i64| points.narrow(0, i, 1); // [1, D]
    let first = (uniforms.next() * count as f64) as i64;
    let mut centers = vec![row(first)];
    let mut closest = squared_distances(points, &row(first)).squeeze_dim(1); // [N]
    while centers.len() < clusters {
        let cumulated = Vec::<f64>::try_from(closest.cumsum(0, Kind::Double))?;
        let total = cumulated[count as usize - 1];
        let mut best: Option<(f64, Tensor, Tensor)> = None;
        for _ in 0..trials {
            let u = uniforms.next() * total;
            let drawn = (cumulated.partition_point(|c| *c <= u) as i64).min(count - 1);
            let distances = squared_distances(points, &row(drawn)).squeeze_dim(1).minimum(&closest);
            let sum = distances.sum(Kind::Double).double_value(&[]);
            if best.as_ref().is_none_or(|best| sum < best.0) {
                best = Some((sum, distances, row(drawn)));
            }
        }
        if let Some((_, distances, center)) = best {
            closest = distances;
            centers.push(center);
        }
    }
    Ok(Tensor::cat(&centers, 0))
}

/// A stream of uniform numbers of its own (SplitMix64), so that a metric leaves libtorch's generator alone.
struct Uniforms(u64);

impl Uniforms {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn tally(cells: &Tensor, count: i64) -> Result<Vec<u64>> {
    let counts = Vec::<i64>::try_from(cells.bincount::<Tensor>(None, count))?;
    Ok(counts.into_iter().map(|c| c as u64).collect())
}

fn double(t: &Tensor) -> Tensor {
    t.detach().to_device(Device::Cpu).to_kind(Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: i64, phase: f64) -> Tensor {
        let index = Tensor::arange(n * 2, (Kind::Double, Device::Cpu));
        ((index * 12.9898 + phase).sin() * 43758.5453).frac().view([n, 2])
    }

    #[test]
    fn divergences_by_hand() {
        assert!((divergence(&[5, 0], &[0, 9]) - 1.0).abs() < 1e-8);
        assert!(divergence(&[3, 4], &[6, 8]) < 1e-15);
        // The small number added to an empty cell shows, and no more.
        assert!(divergence(&[3, 4, 0], &[6, 8, 0]) < EPSILON);
        // (3/4, 1/4) against (1/4, 3/4): 1 - H(1/4) in bits.
        let entropy = -(0.25_f64 * 0.25_f64.log2() + 0.75 * 0.75_f64.log2());
        assert!((divergence(&[3, 1], &[1, 3]) - (1.0 - entropy)).abs() < 1e-9);
    }

    #[test]
    fn clusters_find_separate_clouds_for_every_seed() {
        let corners = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]];
        let parts: Vec<Tensor> = corners
            .iter()
            .enumerate()
            .map(|(k, c)| cloud(50 * (k as i64 + 1), k as f64) + Tensor::from_slice(c))
            .collect();
        let points = Tensor::cat(&parts, 0);
        for seed in 0..5 {
            let found = KMeans::fit(&points, 4, seed).unwrap();
            let mut counts = found.counts(&points).unwrap();
            counts.sort_unstable();
            assert_eq!(counts, [50, 100, 150, 200], "{seed}");
            // Half of the first corner's points and none of the others.
            let one = clustered(&parts[0], &points, 4, seed).unwrap();
            let expected = {
                let (p, m) = (1.0_f64, 0.55_f64);
                0.5 * p * (p / m).log2() + 0.5 * (0.1 * (0.1 / m).log2() + 0.9)
            };
            assert!((one - expected).abs() < 1e-7, "{one} {expected}");
        }
        assert!(clustered(&points, &points, 4, 1).unwrap() < 1e-15);
        assert!(KMeans::fit(&points.narrow(0, 0, 3), 5, 0).unwrap().inertia < 1e-20);
    }

    #[test]
    fn histograms_count_every_point() {
        let x = Tensor::from_slice2(&[[-9.0, 0.1], [0.9, 0.9], [0.1, 0.9], [0.6, 0.2]]);
        let y = Tensor::from_slice2(&[[0.1, 0.1], [0.9, 9.0], [0.1, 0.9], [0.6, 0.2]]);
        assert!(histogram(&x, &y, 2, 0.0, 1.0).unwrap() < 1e-15);
        assert!((histogram(&x.narrow(0, 0, 1), &x.narrow(0, 1, 1), 2, 0.0, 1.0).unwrap() - 1.0).abs() < 1e-8);
        assert!(histogram(&(&x * f64::NAN), &y, 2, 0.0, 1.0).unwrap().is_nan());
        assert!(clustered(&(&x * f64::NAN), &y, 2, 0).unwrap().is_nan());
    }
}
