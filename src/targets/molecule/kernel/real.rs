//! f32 and f64 with the functions that the kernel needs, in forms that compilers turn into vector instructions.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// A floating-point number. `F` says whether the processor multiplies and adds in one instruction.
pub trait Real:
    Copy
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    const ZERO: Self;
    const ONE: Self;
    /// Squared distances are held from here; as for tensors.
    const LEAST_SQUARE: Self;
    /// Added under square roots and denominators that may vanish.
    const TINY: Self;

    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn fused(self, factor: Self, addend: Self) -> Self;

    /// exp, held at the ends of the finite range; relative error of a few units in the last place.
    fn exp<const F: bool>(self) -> Self;

    /// ln of a normal positive number; absolute error of a few units in the last place of 1.
    fn ln<const F: bool>(self) -> Self;

    /// `self * factor + addend`.
    #[inline(always)]
    fn fma<const F: bool>(self, factor: Self, addend: Self) -> Self {
        if F { self.fused(factor, addend) } else { self * factor + addend }
    }

    /// The larger, in the one instruction that does not care for NaN.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if self < other { self } else { other }
    }

    /// `self` where the condition holds, else 0.
    #[inline(always)]
    fn only_if(self, condition: bool) -> Self {
        if condition { self } else { Self::ZERO }
    }

    /// tanh by one exponential; absolute error of a unit in the last place of 1.
    #[inline(always)]
    fn tanh<const F: bool>(self) -> Self {
        let two = Self::ONE + Self::ONE;
        Self::ONE - two / ((self * two).exp::<F>() + Self::ONE)
    }

    /// The angle from the positive x axis to `(x, y)`, in [0, pi], for `y >= 0`, not both 0.
    ///
    /// Halving the angle three times, `tan(a/2) = tan a / (1 + sqrt(1 + tan^2 a))`, brings the tangent below 0.2.
    #[inline(always)]
    fn angle<const F: bool>(x: Self, y: Self) -> Self {
        let ahead = x.abs();
        let half = y / (ahead + x.fma::<F>(x, y * y).sqrt());
        let quarter = half / (Self::ONE + half.fma::<F>(half, Self::ONE).sqrt());
        let eighth = quarter / (Self::ONE + quarter.fma::<F>(quarter, Self::ONE).sqrt());
        let square = eighth * eighth;
        let mut series = Self::of(1.0 / 23.0);
        for k in (1..11).rev() {
            series = Self::of(1.0 / (2 * k + 1) as f64) - series * square;
        }
        let angle = Self::of(8.0) * eighth * (Self::ONE - series * square);
        if x < Self::ZERO { Self::of(std::f64::consts::PI) - angle } else { angle }
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LEAST_SQUARE: Self = 4e-6;
    const TINY: Self = 1e-24;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn fused(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    #[inline(always)]
    fn exp<const F: bool>(self) -> Self {
        /// 1.5 * 2^23: adding it rounds to an integer that stands in the low bits.
        const ROUND: f32 = 12_582_912.0;
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        let t = self.larger(-87.0).smaller(87.0);
        let shifted = t.fma::<F>(std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.fma::<F>(-LN2_LOW, n.fma::<F>(-LN2_HIGH, t));
        let mut tail: f32 = 1.0 / 5040.0;
        for divisor in [720.0, 120.0, 24.0, 6.0, 2.0] {
            tail = tail.fma::<F>(r, 1.0 / divisor);
        }
        let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
        (r * r).fma::<F>(tail, r + 1.0) * power
    }

    #[inline(always)]
    fn ln<const F: bool>(self) -> Self {
        // self = 2^e m with m within [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
        let bits = self.to_bits();
        let e = (bits.wrapping_sub(0x3F35_04F3) as i32) >> 23;
        let m = f32::from_bits(bits.wrapping_sub((e as u32) << 23));
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let mut series: f32 = 1.0 / 9.0;
        for divisor in [7.0, 5.0, 3.0] {
            series = series.fma::<F>(z, 1.0 / divisor);
        }
        let artanh = (s * z).fma::<F>(series, s);
        (e as f32).fma::<F>(std::f32::consts::LN_2, artanh + artanh)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LEAST_SQUARE: Self = 1e-18;
    const TINY: Self = 1e-60;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn fused(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    #[inline(always)]
    fn exp<const F: bool>(self) -> Self {
        /// 1.5 * 2^52.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        /// ln 2 in two parts, the first with 21 zero bits at its end, so that its products are exact.
        const LN2_HIGH: f64 = f64::from_bits(0x3FE6_2E42_FEE0_0000);
        const LN2_LOW: f64 = (std::f64::consts::LN_2 - LN2_HIGH) + 2.319_046_813_846_3e-17;
        let t = self.larger(-708.0).smaller(708.0);
        let shifted = t.fma::<F>(std::f64::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = n.fma::<F>(-LN2_LOW, n.fma::<F>(-LN2_HIGH, t));
        let mut tail: f64 = 1.0 / 87_178_291_200.0;
        for divisor in [
            6_227_020_800.0,
            479_001_600.0,
            39_916_800.0,
            3_628_800.0,
            362_880.0,
            40_320.0,
            5040.0,
            720.0,
            120.0,
            24.0,
            6.0,
            2.0,
        ] {
            tail = tail.fma::<F>(r, 1.0 / divisor);
        }
        let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(0x3FF0_0000_0000_0000));
        (r * r).fma::<F>(tail, r + 1.0) * power
    }

    #[inline(always)]
    fn ln<const F: bool>(self) -> Self {
        /// 2^52 + 2^51, whose low bits then hold a small integer of either sign.
        const MAGIC: f64 = 6_755_399_441_055_744.0;
        let bits = self.to_bits();
        // The exponent as a float by way of bits: converting 64-bit integers needs instructions that many lack.
        let shifted = bits.wrapping_sub(0x3FE6_A09E_667F_3BCD);
        let e_bits = (shifted >> 52).wrapping_add(2048) & 0xFFF;
        let e = f64::from_bits(MAGIC.to_bits() | e_bits) - (MAGIC + 2048.0);
        let e_bits = e_bits.wrapping_sub(2048);
        let m = f64::from_bits(bits.wrapping_sub(e_bits << 52));
        let s = (m - 1.0) / (m + 1.0);
        let z = s * s;
        let mut series: f64 = 1.0 / 23.0;
        for divisor in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
            series = series.fma::<F>(z, 1.0 / divisor);
        }
        let artanh = (s * z).fma::<F>(series, s);
        e.fma::<F>(std::f64::consts::LN_2, artanh + artanh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative error of exp, and error relative to max(1, |ln|), over the whole range that the kernel uses.
    fn worst<T: Real, const F: bool>(span: f64) -> [f64; 4] {
        let mut worst = [0.0f64; 4];
        for k in -20_000..=20_000 {
            let t = k as f64 / 20_000.0;
            let x = T::of(span * t);
            worst[0] = worst[0].max((x.exp::<F>().wide() / x.wide().exp() - 1.0).abs());
            let y = T::of((40.0 * t).exp());
            let exact = y.wide().ln();
            worst[1] = worst[1].max((y.ln::<F>().wide() - exact).abs() / exact.abs().max(1.0));
            let z = T::of(30.0 * t * t * t);
            worst[2] = worst[2].max((z.tanh::<F>().wide() - z.wide().tanh()).abs());
            let turn = std::f64::consts::PI * (t + 1.0) / 2.0;
            let (a, b) = (T::of(turn.cos()), T::of(turn.sin().abs()));
            worst[3] = worst[3].max((T::angle::<F>(a, b).wide() - b.wide().atan2(a.wide())).abs());
        }
        worst
    }

    #[test]
    fn functions_are_exact_to_a_few_units_in_the_last_place() {
        for (errors, unit) in [
            (worst::<f32, false>(80.0), f64::from(f32::EPSILON)),
            (worst::<f32, true>(80.0), f64::from(f32::EPSILON)),
            (worst::<f64, false>(700.0), f64::EPSILON),
            (worst::<f64, true>(700.0), f64::EPSILON),
        ] {
            println!("exp {:.1e}, ln {:.1e}, tanh {:.1e}, angle {:.1e}", errors[0], errors[1], errors[2], errors[3]);
            assert!(errors.iter().all(|error| *error <= 4.0 * unit), "{errors:?} against {unit:e}");
        }
    }

    #[test]
    fn the_ends_stay_finite() {
        fn check<T: Real>(far: T) {
            assert!(far.exp::<false>().wide().is_finite() && (-far).exp::<false>().wide() >= 0.0);
            assert_eq!((far.tanh::<false>().wide(), (-far).tanh::<false>().wide()), (1.0, -1.0));
        }
        check(1e9f32);
        check(1e9f64);
    }
}
