//! The score by Monte Carlo: of the noised empirical law of sample points.

use tch::Tensor;

use super::{Linearization, ScoreModel};
use crate::targets::support::LN_2PI;

/// With points `θ_i` of the data, `p_t(x) ≈ (1/M) Σ_i N(x; e^{-t/2} θ_i, (1 - e^{-t}) I)`, and score and Hessian from the
/// ratios of the sums of kernels, their gradients and their second derivatives (Yu and Yu, section 5).
///
/// Exact for the M points, and for the data only while the kernel is wide enough to hold many of them: as `t` falls to
/// 0 the score becomes that of the nearest point, with stiffness `1/t`. Needs about `24 N M` bytes.
pub struct PointsScore {
    points: Tensor,  // [M, D]
    squares: Tensor, // [M], squared lengths
    sample: Box<dyn Fn(i64) -> Tensor + Send>,
}

impl PointsScore {
    /// `points` `[M, D]`; `sample` draws fresh samples of the data.
    pub fn new(points: Tensor, sample: Box<dyn Fn(i64) -> Tensor + Send>) -> Self {
        let squares = points.square().sum_dim_intlist(-1, false, None);
        Self { points, squares, sample }
    }

    /// `e^{-t/2}` and `1 - e^{-t}`, `[N, 1]`, and the exponents of the kernels but for the term in x alone, `[N, M]`.
    fn exponents(&self, t: &Tensor, x: &Tensor) -> (Tensor, Tensor, Tensor) {
        let (kept, variance) = ((t * -0.5).exp(), -(-t).expm1());
        let products = x.matmul(&self.points.tr()) * (&kept / &variance);
        let exponents = products - &self.squares * (kept.square() * 0.5 / &variance);
        (kept, variance, exponents)
    }
}

impl ScoreModel for PointsScore {
    fn dim(&self) -> i64 {
        self.points.size()[1]
    }

    fn score(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let (kept, variance, exponents) = self.exponents(t, x);
        let mean = exponents.softmax(-1, x.kind()).matmul(&self.points); // [N, D]
        (mean * kept - x) / variance
    }

    /// `H v = (α²/σ⁴) Cov(θ) v - v/σ²`, the covariance under the weights of the kernels.
    fn linearize<'a>(&'a self, t: &Tensor, x: &Tensor) -> Linearization<'a> {
        let (kept, variance, exponents) = self.exponents(t, x);
        let weights = exponents.softmax(-1, x.kind()); // [N, M]
        let mean = weights.matmul(&self.points); // [N, D]
        let score = (&mean * &kept - x) / &variance;
        let product = move |v: &Tensor| {
            let along = v.matmul(&self.points.tr()); // [N, M]
            let spread = (&weights * along).matmul(&self.points) - &mean * (&mean * v).sum_dim_intlist(-1, true, None);
            spread * (&kept / &variance).square() - v / &variance
        };
        Linearization { score, product: Box::new(product) }
    }

    fn hessian(&self, t: &Tensor, x: &Tensor) -> Tensor {
        let (kept, variance, exponents) = self.exponents(t, x);
        let weights = exponents.softmax(-1, x.kind());
        let dim = self.dim();
        let outer = (self.points.unsqueeze(-1) * self.points.unsqueeze(1)).view([-1, dim * dim]); // [M, D D]
        let mean = weights.matmul(&self.points);
        let second = weights.matmul(&outer).view([-1, dim, dim]); // [N, D, D]
        let covariance = second - mean.unsqueeze(-1) * mean.unsqueeze(1);
        let unit = Tensor::eye(dim, (x.kind(), x.device()));
        covariance * (&kept / &variance).square().unsqueeze(-1) - unit * variance.reciprocal().unsqueeze(-1)
    }

    fn log_prob(&self, t: &Tensor, x: &Tensor) -> Option<Tensor> {
        let (_, variance, exponents) = self.exponents(t, x);
        let own = (x.square().sum_dim_intlist(-1, true, None) / &variance
            + (variance.log() + LN_2PI) * self.dim() as f64)
            * -0.5; // [N, 1]
        let points = self.points.size()[0] as f64;
        Some((exponents + own).logsumexp(-1, false) - points.ln())
    }

    fn sample(&self, n: i64) -> Option<Tensor> {
        Some((self.sample)(n))
    }
}
