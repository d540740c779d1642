//! Points of the plane as 32 bits (EB-GFN's code: Zhang et al., 2022).
//!
//! Each coordinate becomes a sign bit and 15 bits of `int(|x| * scale)`, these in Gray code: neighbours on the line
//! differ in one bit.

use super::super::toys::Toy;

/// Bits of a magnitude.
const BITS: u32 = 15;

/// Sites of a point.
pub const SITES: usize = 32;

/// Units of the code per unit of length: `2^15 / (largest + 2)`, so that what lies one beyond the largest of 5000 points
/// still has a code.
pub fn scale(toy: Toy) -> f64 {
    f64::from(1u32 << BITS) / (toy.largest() + 2.0)
}

/// 32 states of 0 and 1. Coordinates too large for 15 bits get the largest code.
pub fn encode(point: [f64; 2], scale: f64) -> [u8; SITES] {
    let mut bits = [0; SITES];
    for (half, value) in bits.chunks_mut(SITES / 2).zip(point.map(|v| v * scale)) {
        let magnitude = (value.abs() as u32).min((1 << BITS) - 1);
        let gray = magnitude ^ magnitude >> 1;
        half[0] = u8::from(value < 0.0);
        (0..BITS).for_each(|k| half[1 + k as usize] = (gray >> (BITS - 1 - k) & 1) as u8);
    }
    bits
}

/// The corner, nearest to the origin, of the cell that a code stands for.
pub fn decode(bits: &[u8], scale: f64) -> [f64; 2] {
    let coordinate = |half: &[u8]| {
        // Each bit is the exclusive or of all Gray bits up to it.
        let step =
            |(value, bit): (u32, u32), gray: &u8| (value << 1 | (bit ^ u32::from(*gray)), bit ^ u32::from(*gray));
        let (magnitude, _) = half[1..].iter().fold((0, 0), step);
        f64::from(magnitude) / scale * if half[0] == 1 { -1.0 } else { 1.0 }
    };
    let (x, y) = bits.split_at(SITES / 2);
    [coordinate(x), coordinate(y)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bits: &[u8]) -> String {
        bits.iter().map(|bit| bit.to_string()).collect()
    }

    /// `gray15_of_magnitude` and `float2bin_example` of `tests/fixtures/discrete/combinatorial.json`.
    #[test]
    fn codes_are_those_of_the_reference_code() {
        for (magnitude, expected) in [
            (0, "000000000000000"),
            (2, "000000000000011"),
            (7, "000000000000100"),
            (12345, "010100000100101"),
            (32767, "100000000000000"),
        ] {
            assert_eq!(text(&encode([f64::from(magnitude), 0.0], 1.0)[1..16]), expected);
        }
        assert_eq!(text(&encode([1.25, -0.5], 1000.0)), "00000110100100111000000100001110");
        assert_eq!(text(&encode([1e9, -1e9], 1.0)), format!("0{0}1{0}", "100000000000000"));
    }

    #[test]
    fn codes_lead_back_to_their_cell() {
        let scale = scale(Toy::Moons);
        assert!((scale - 5779.756118507602).abs() < 1e-9);
        for point in [[0.3, -2.7], [-4.0, 4.0], [1e-3, -1e-3]] {
            let back = decode(&encode(point, scale), scale);
            for (a, b) in point.into_iter().zip(back) {
                assert!((a - b).abs() < 1.0 / scale && a.abs() >= b.abs(), "{a} {b}");
            }
        }
    }
}
