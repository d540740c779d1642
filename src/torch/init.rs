//! Initialisations as the reference code has them: libtorch's binding widens PyTorch's linear layers by √6 and zeroes
//! convolution biases, and flax's defaults are truncated normals.

use tch::{Device, Kind, Tensor};

const F32_CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// How a weight matrix `[out, in]` starts. Drawn on the CPU in f32, so that seeds give one network on any device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// PyTorch's `nn.Linear`: uniform within 1/√fan_in, weights and biases alike.
    PyTorch,
    /// flax's `lecun_normal`: truncated normal of variance 1/fan_in.
    LecunNormal,
    /// flax's `he_normal`: truncated normal of variance 2/fan_in.
    HeNormal,
    Constant(f64),
}

impl Init {
    /// Weights of a linear layer, `[out, in]`.
    pub fn weight(self, out: i64, fan_in: i64) -> Tensor {
        let size = [out, fan_in];
        match self {
            Init::PyTorch => uniform(&size, 1.0 / (fan_in as f64).sqrt()),
            Init::LecunNormal => truncated_normal(&size, (1.0 / fan_in as f64).sqrt()),
            Init::HeNormal => truncated_normal(&size, (2.0 / fan_in as f64).sqrt()),
            Init::Constant(value) => Tensor::full(size, value, F32_CPU),
        }
    }

    /// Biases of a linear layer, `[out]`: uniform as PyTorch's, otherwise zero as flax's.
    pub fn bias(self, out: i64, fan_in: i64) -> Tensor {
        match self {
            Init::PyTorch => uniform(&[out], 1.0 / (fan_in as f64).sqrt()),
            _ => Tensor::zeros([out], F32_CPU),
        }
    }
}

fn uniform(size: &[i64], bound: f64) -> Tensor {
    (Tensor::rand(size, F32_CPU) * 2.0 - 1.0) * bound
}

/// A normal truncated at two standard deviations, rescaled so that `std` is the deviation of the result (flax).
fn truncated_normal(size: &[i64], std: f64) -> Tensor {
    // Deviation of a standard normal cut at ±2, and erf(2/√2), the mass within.
    const CUT_STD: f64 = 0.879_625_661_034_239_8;
    const MASS: f64 = 0.954_499_736_103_641_6;
    let u = (Tensor::rand(size, (Kind::Double, Device::Cpu)) * 2.0 - 1.0) * MASS;
    let normal = u.erfinv() * std::f64::consts::SQRT_2;
    (normal * (std / CUT_STD)).to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::seed::{Stream, reseed};

    #[test]
    fn deviations_and_bounds_are_the_published_ones() {
        reseed(0, Stream::Init, 0);
        let fan_in = 100;
        let pytorch = Init::PyTorch.weight(2000, fan_in);
        assert!((pytorch.abs().max().double_value(&[]) - 0.1).abs() < 1e-4);
        for (init, variance) in [(Init::LecunNormal, 0.01), (Init::HeNormal, 0.02)] {
            let w = init.weight(2000, fan_in);
            let measured = w.var(true).double_value(&[]);
            assert!((measured / variance - 1.0).abs() < 0.02, "{init:?}: {measured}");
            let cut = 2.0 * f64::sqrt(variance) / 0.8796;
            assert!(w.abs().max().double_value(&[]) <= cut * 1.0001);
        }
    }
}
