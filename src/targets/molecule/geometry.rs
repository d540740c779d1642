//! Moving whole conformations: centres, rotations, mirror images. Coordinates are `[N, 3 A]`, atom by atom.

use tch::{Kind, Tensor};

use crate::targets::Options;

/// Mean position of the atoms, `[N, 3]`, each atom counting by its weight (masses, or ones for the geometric centre).
pub fn centre(x: &Tensor, weights: &[f64]) -> Tensor {
    let weights = Tensor::from_slice(weights).to_device(x.device()).to_kind(x.kind());
    let share = &weights / weights.sum(x.kind());
    (positions(x) * share.unsqueeze(-1)).sum_dim_intlist(1, false, None)
}

/// The conformations moved so that their [`centre`] is the origin.
pub fn centred(x: &Tensor, weights: &[f64]) -> Tensor {
    (positions(x) - centre(x, weights).unsqueeze(1)).reshape(x.size())
}

/// `n` rotations `[n, 3, 3]`, uniform over the rotation group, from libtorch's generator: normalised normal
/// quaternions (Shoemake, Graphics Gems III, 1992).
pub fn random_rotations(n: i64, options: Options) -> Tensor {
    let q = Tensor::randn([n, 4], (Kind::Double, options.1));
    let q = &q / q.norm_scalaropt_dim(2, [1].as_slice(), true);
    let [w, x, y, z] = [0, 1, 2, 3].map(|k| q.select(1, k));
    let twice = |a: &Tensor, b: &Tensor| a * b * 2.0;
    let diagonal = |a: &Tensor, b: &Tensor| (a.square() + b.square()) * -2.0 + 1.0;
    let entries = [
        diagonal(&y, &z),
        twice(&x, &y) - twice(&w, &z),
        twice(&x, &z) + twice(&w, &y),
        twice(&x, &y) + twice(&w, &z),
        diagonal(&x, &z),
        twice(&y, &z) - twice(&w, &x),
        twice(&x, &z) - twice(&w, &y),
        twice(&y, &z) + twice(&w, &x),
        diagonal(&x, &y),
    ];
    Tensor::stack(&entries, 1).view([n, 3, 3]).to_kind(options.0)
}

/// Every conformation turned about the origin by its rotation `[N, 3, 3]`.
pub fn rotated(x: &Tensor, rotations: &Tensor) -> Tensor {
    positions(x).matmul(&rotations.transpose(1, 2)).reshape(x.size())
}

/// The mirror images in the plane x = 0: every chiral centre changes hand, no distance changes.
pub fn mirrored(x: &Tensor) -> Tensor {
    let signs = Tensor::from_slice(&[-1.0, 1.0, 1.0]).to_device(x.device()).to_kind(x.kind());
    (positions(x) * signs).reshape(x.size())
}

/// `[N, 3 A]` -> `[N, A, 3]`.
pub fn positions(x: &Tensor) -> Tensor {
    x.reshape([x.size()[0], x.size()[1] / 3, 3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    const F64: Options = (Kind::Double, Device::Cpu);

    fn largest(t: &Tensor) -> f64 {
        t.abs().max().double_value(&[])
    }

    #[test]
    fn rotations_are_rotations_spread_evenly() {
        reseed(5, Stream::Data, 0);
        let r = random_rotations(20_000, F64);
        let unit = Tensor::eye(3, F64);
        assert!(largest(&(r.matmul(&r.transpose(1, 2)) - &unit)) < 1e-12);
        assert!(largest(&(Tensor::linalg_det(&r) - 1.0)) < 1e-12);
        // Every entry has mean 0 and variance 1/3; the trace has variance 1.
        let bound = 5.0 / (20_000f64).sqrt();
        assert!(largest(&r.mean_dim([0].as_slice(), false, None)) < bound);
        assert!(largest(&(r.square().mean_dim([0].as_slice(), false, None) - 1.0 / 3.0)) < bound);
    }

    #[test]
    fn moves_keep_distances_and_mirrors_are_their_own_inverse() {
        reseed(6, Stream::Data, 0);
        let x = Tensor::randn([4, 15], F64);
        let distances = |x: &Tensor| Tensor::cdist(&positions(x), &positions(x), 2.0, None);
        let turned = rotated(&x, &random_rotations(4, F64));
        assert!(largest(&(distances(&turned) - distances(&x))) < 1e-6);
        assert!(largest(&(distances(&mirrored(&x)) - distances(&x))) < 1e-12);
        assert!(mirrored(&mirrored(&x)).equal(&x) && !mirrored(&x).equal(&x));
    }

    #[test]
    fn the_centre_goes_to_the_origin_and_weighs() {
        let x = Tensor::from_slice(&[0.0, 0.0, 0.0, 3.0, 6.0, -3.0]).view([1, 6]);
        assert!(largest(&(centre(&x, &[2.0, 1.0]) - Tensor::from_slice(&[1.0, 2.0, -1.0]))) < 1e-15);
        let moved = centred(&x, &[2.0, 1.0]);
        assert!(largest(&centre(&moved, &[2.0, 1.0])) < 1e-15);
        assert!(largest(&centre(&moved, &[1.0, 1.0])) > 0.1);
    }
}
