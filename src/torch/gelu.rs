//! tanh-GELU with its derivative in one pass on the CPU.
//!
//! libtorch evaluates flax's GELU through a tanh that costs as much as a 64 x 64 matrix product; half the time of a
//! bridge sampler's update would go there. Since `½(1 + tanh(w)) = sigmoid(2w)`, one exponential gives both the value
//! and the derivative, in plain loops that the compiler vectorises for the widest unit at hand.

use tch::{Device, Kind, Tensor};

use super::vector::dispatched;

/// 2 √(2/π), and that times 0.044715 (Hendrycks and Gimpel, 2016, the tanh form).
const LINEAR: f32 = 1.595_769;
const CUBIC: f32 = 0.071_354_82;

/// `x · sigmoid(LINEAR x + CUBIC x³)`, differentiable *once*: its second derivative would be silently zero.
///
/// For networks whose own derivatives are not differentiated again; anything but contiguous f32 on the CPU goes to
/// libtorch.
pub fn gelu_first_order(x: &Tensor) -> Tensor {
    if x.kind() != Kind::Float || x.device() != Device::Cpu || !x.is_contiguous() {
        return x.gelu("tanh");
    }
    let plain = x.detach();
    let mut value = plain.empty_like();
    if !x.requires_grad() {
        map(&plain, &mut value, None);
        return value;
    }
    let mut slope = plain.empty_like();
    map(&plain, &mut value, Some(&mut slope));
    // The added term is zero; it carries the derivative.
    value.addcmul(&(x - plain), &slope)
}

fn map(x: &Tensor, value: &mut Tensor, slope: Option<&mut Tensor>) {
    let count = x.numel();
    let view = |t: &Tensor| t.data_ptr() as *mut f32;
    // SAFETY: all three are contiguous f32 tensors of `count` elements on the CPU, the outputs freshly allocated and
    // not shared, and they outlive the slices.
    unsafe {
        let x = std::slice::from_raw_parts(view(x), count);
        let value = std::slice::from_raw_parts_mut(view(value), count);
        match slope {
            None => values(x, value),
            Some(slope) => values_and_slopes(x, value, std::slice::from_raw_parts_mut(view(slope), count)),
        }
    }
}

dispatched!(values, (x: &[f32], value: &mut [f32]), {
    for (x, value) in x.iter().zip(value) {
        *value = x * gate(*x);
    }
});

dispatched!(values_and_slopes, (x: &[f32], value: &mut [f32], slope: &mut [f32]), {
    for ((x, value), slope) in x.iter().zip(value).zip(slope) {
        let gate = gate(*x);
        *value = x * gate;
        // Beyond |x| = 100 the gate is flat; the bound keeps 0 · ∞ out.
        let steepness = LINEAR + 3.0 * CUBIC * (x * x).min(1e4);
        *slope = gate + *value * (1.0 - gate) * steepness;
    }
});

/// `sigmoid(LINEAR x + CUBIC x³)`.
#[inline(always)]
fn gate(x: f32) -> f32 {
    let z = x * (LINEAR + CUBIC * (x * x));
    1.0 / (1.0 + exp(-z))
}

/// exp to about 1e-7 relative, clamped to the finite range: two to an integer power times a polynomial on ±½ ln 2.
#[inline(always)]
fn exp(t: f32) -> f32 {
    /// 1.5 · 2^23: adding it rounds to an integer that stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let t = t.clamp(-87.0, 87.0);
    let shifted = t * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = t - n * LN2_HIGH - n * LN2_LOW;
    let tail = 0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))));
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    (1.0 + r + r * r * tail) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::autograd::grad;

    #[test]
    fn values_and_slopes_are_libtorchs() {
        let options = (Kind::Double, Device::Cpu);
        let x = Tensor::cat(&[Tensor::linspace(-12.0, 12.0, 4001, options), Tensor::from_slice(&[1e4, -1e4, 0.0])], 0);
        let exact = x.set_requires_grad(true);
        let fast = exact.detach().to_kind(Kind::Float).set_requires_grad(true);
        let (y, y_fast) = (exact.gelu("tanh"), gelu_first_order(&fast));
        let worst = |a: &Tensor, b: &Tensor| ((a - b).abs() / (a.abs() + 1.0)).max().double_value(&[]);
        assert!(worst(&y, &y_fast) < 3e-7, "value off by {:e}", worst(&y, &y_fast));
        let slopes = (grad(&y, &[&exact], false), grad(&y_fast, &[&fast], false));
        assert!(worst(&slopes.0[0], &slopes.1[0]) < 1e-6, "slope off by {:e}", worst(&slopes.0[0], &slopes.1[0]));
        let without_graph = gelu_first_order(&fast.detach());
        assert_eq!((without_graph - y_fast).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn nan_stays_nan() {
        let x = Tensor::from_slice(&[f32::NAN, 1.0]).set_requires_grad(true);
        let y = gelu_first_order(&x);
        assert!(y.double_value(&[0]).is_nan() && y.double_value(&[1]).is_finite());
    }
}
