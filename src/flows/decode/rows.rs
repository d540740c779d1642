//! What happens to one token's channels between the products, in plain loops that the compiler vectorises.

/// A layer norm's weight and bias.
pub struct Affine {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// `out = norm(x) weight + bias`.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn normalise(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let scale = 1.0 / x.len() as f32;
    let mean = sum(x, |v| v) * scale;
    let variance = sum(x, |v| (v - mean) * (v - mean)) * scale;
    let rate = 1.0 / (variance + eps).sqrt();
    for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
        *out = ((x - mean) * rate).mul_add(*weight, *bias);
    }
}

/// [`normalise`] in place.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn normalise_in_place(x: &mut [f32], norm: &Affine, eps: f32) {
    let scale = 1.0 / x.len() as f32;
    let mean = sum(x, |v| v) * scale;
    let variance = sum(x, |v| (v - mean) * (v - mean)) * scale;
    let rate = 1.0 / (variance + eps).sqrt();
    for ((x, weight), bias) in x.iter_mut().zip(&norm.weight).zip(&norm.bias) {
        *x = ((*x - mean) * rate).mul_add(*weight, *bias);
    }
}

/// The sum over a multiple of 16 numbers, in 16 partial sums.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    for part in x.as_chunks::<16>().0 {
        for l in 0..16 {
            sums[l] += f(part[l]);
        }
    }
    sums.iter().sum()
}

/// `x += y`.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x += gate y`.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn add_gated(x: &mut [f32], gate: &[f32], y: &[f32]) {
    for ((x, gate), y) in x.iter_mut().zip(gate).zip(y) {
        *x = gate.mul_add(*y, *x);
    }
}

/// `x` to `x Phi(x)`, the exact GELU, with an absolute error of 1e-7 of `1 + |x|`.
///
/// `Phi(-|x|) = 1/2 exp(-y^2) t P(t)` for `y = |x| / sqrt(2)`, `t = 1 / (1 + 0.3 y)` and a polynomial fitted to
/// `erfcx(y) / t` in the relative maximum norm on `y <= 10` (2e-8).
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn gelu(x: &mut [f32]) {
    const P: [f32; 9] = [
        0.169_188,
        0.170_715_36,
        0.148_338_22,
        0.214_929_58,
        -0.094_658_58,
        0.547_730_89,
        -0.512_287_2,
        0.485_567_45,
        -0.129_523_75,
    ];
    for x in x {
        let y = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / y.mul_add(0.3, 1.0);
        let mut p = P[8];
        for c in P[..8].iter().rev() {
            p = p.mul_add(t, *c);
        }
        let tail = 0.5 * t * p * exp(-y * y);
        *x *= if *x < 0.0 { tail } else { 1.0 - tail };
    }
}

/// `out = silu(gate) value` for `x = [value, gate]`.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn swiglu(x: &[f32], out: &mut [f32]) {
    let (values, gates) = x.split_at(x.len() / 2);
    for ((out, value), gate) in out.iter_mut().zip(values).zip(gates) {
        *out = value * gate / (1.0 + exp(-gate));
    }
}

/// Turns scores into weights that sum to 1.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
pub fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let rate = 1.0 / scores.iter().sum::<f32>();
    for score in scores {
        *score *= rate;
    }
}

/// exp to a few units in the last place, held at the ends of the finite range; NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer that stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut tail = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        tail = r.mul_add(tail, factor);
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    (r * r).mul_add(tail, r + 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn gelu_is_libtorchs_exact_one() {
        let exact = Tensor::linspace(-12.0, 12.0, 4801, (Kind::Double, Device::Cpu));
        let mut x = vec![0f32; 4801];
        exact.to_kind(Kind::Float).copy_data(&mut x, 4801);
        if super::super::is_served() {
            // SAFETY: the processor has the instructions.
            unsafe { gelu(&mut x) };
            let error = ((Tensor::from_slice(&x) - exact.gelu("none")) / (exact.abs() + 1.0)).abs().max();
            assert!(error.double_value(&[]) < 2e-7, "off by {error}");
        }
    }

    #[test]
    fn exp_is_exact_to_a_few_units_in_the_last_place() {
        for i in -8600..8600 {
            let x = i as f32 * 0.01;
            let error = f64::from(exp(x)) / f64::from(x).exp() - 1.0;
            assert!(error.abs() < 4e-7, "exp({x}) off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan() && exp(1e9).is_finite() && exp(-1e9) >= 0.0);
    }
}
