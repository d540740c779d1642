//! The real Fourier transform that is its own inverse.

use tch::{Kind, Tensor};

/// The orthonormal Hartley transform over the last `axes` axes (1 or 2): `Re F - Im F` of the unitary Fourier
/// transform F. Symmetric and its own inverse; a convolution with a symmetric kernel is diagonal after it (Bracewell,
/// "The fast Hartley transform", Proc. IEEE 72 (1984), 1010).
pub fn hartley(x: &Tensor, axes: i64) -> Tensor {
    let dims: Vec<i64> = (-axes..0).collect();
    let transformed = x.fft_fftn(None::<&[i64]>, dims.as_slice(), "ortho");
    (transformed.real() - transformed.imag()).to_kind(Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};
    use tch::Device;

    #[test]
    fn twice_is_the_identity_and_norms_are_kept() {
        reseed(1, Stream::Data, 0);
        for (shape, axes) in [(&[2i64, 7][..], 1), (&[2, 6, 5], 2), (&[3, 8, 8], 2)] {
            let x = Tensor::randn(shape, (Kind::Double, Device::Cpu));
            let y = hartley(&x, axes);
            assert!((hartley(&y, axes) - &x).abs().max().double_value(&[]) < 1e-13);
            assert!((y.norm() - x.norm()).abs().double_value(&[]) < 1e-12);
        }
    }
}
