//! Conjugate gradients for many right-hand sides at once.

use tch::{Kind, Tensor};

/// Solves `K x = rhs` for the rows of `rhs` `[N, D]`, K symmetric and positive definite, until every residual is below
/// `tolerance` times its right-hand side (Hestenes and Stiefel, 1952). The second part is the number of products.
///
/// In coordinates whitened by the prior K is the identity plus a trace-class operator, so that the number of products does not
/// grow with the resolution.
pub fn solve(product: impl Fn(&Tensor) -> Tensor, rhs: &Tensor, tolerance: f64, most: usize) -> (Tensor, usize) {
    let dot = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist(-1, true, Kind::Double); // [N, 1]
    let mut x = rhs.zeros_like();
    let (mut residual, mut direction) = (rhs.copy(), rhs.copy());
    let mut square = dot(&residual, &residual);
    let goal = &square * (tolerance * tolerance);
    for count in 0..most {
        if bool::try_from(square.le_tensor(&goal).all()).unwrap_or(true) {
            return (x, count);
        }
        let image = product(&direction);
        // A row that has arrived has no direction left.
        let step = (&square / dot(&direction, &image)).nan_to_num(0.0, 0.0, 0.0);
        x += &direction * &step;
        residual -= image * step;
        let next = dot(&residual, &residual);
        direction = &residual + direction * (&next / square).nan_to_num(0.0, 0.0, 0.0);
        square = next;
    }
    (x, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    #[test]
    fn a_dense_system_is_solved() {
        reseed(5, Stream::Data, 0);
        let options = (Kind::Double, Device::Cpu);
        let root = Tensor::randn([12, 12], options);
        let matrix = root.matmul(&root.tr()) + Tensor::eye(12, options);
        let rhs = Tensor::cat(&[Tensor::randn([3, 12], options), Tensor::zeros([1, 12], options)], 0);
        let (x, products) = solve(|v| v.matmul(&matrix), &rhs, 1e-12, 100);
        assert!((x.matmul(&matrix) - rhs).abs().max().double_value(&[]) < 1e-9 && products < 60, "{products}");
    }
}
