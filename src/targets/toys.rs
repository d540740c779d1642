//! Seven distributions in the plane that discrete energy models are tried on, as in EB-GFN's code (Zhang et al.,
//! "Generative flow networks for discrete probabilistic modeling", 2022, after Grathwohl et al.'s toy data).

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};

/// Which distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Toy {
    #[serde(rename = "2spirals")]
    TwoSpirals,
    #[serde(rename = "8gaussians")]
    EightGaussians,
    #[serde(rename = "circles")]
    Circles,
    #[serde(rename = "moons")]
    Moons,
    #[serde(rename = "pinwheel")]
    Pinwheel,
    #[serde(rename = "swissroll")]
    SwissRoll,
    #[serde(rename = "checkerboard")]
    Checkerboard,
}

impl Toy {
    pub const ALL: [Toy; 7] = [
        Toy::TwoSpirals,
        Toy::EightGaussians,
        Toy::Circles,
        Toy::Moons,
        Toy::Pinwheel,
        Toy::SwissRoll,
        Toy::Checkerboard,
    ];

    /// Largest coordinate among the 5000 points of NumPy's `RandomState(1)` by which EB-GFN scales its codes.
    pub fn largest(self) -> f64 {
        match self {
            Toy::TwoSpirals => 3.480_986_093_779_461_7,
            Toy::EightGaussians => 4.194_776_535_034_18,
            Toy::Circles => 3.780_577_898_025_512_7,
            Toy::Moons => 3.669_443_368_911_743,
            Toy::Pinwheel => 3.946_059_500_727_895_6,
            Toy::SwissRoll => 3.265_938_520_431_518_6,
            Toy::Checkerboard => 3.999_415_502_938_801_7,
        }
    }

    /// One independent point.
    pub fn draw(self, random: &mut ChaCha8Rng) -> [f64; 2] {
        match self {
            Toy::TwoSpirals => spiral(random),
            Toy::EightGaussians => eight_gaussians(random),
            Toy::Circles => {
                let radius = if coin(random) { 1.0 } else { 0.5 };
                let angle = TAU * uniform(random);
                noisy([radius * angle.cos(), radius * angle.sin()], 0.08, random).map(|v| 3.0 * v)
            }
            Toy::Moons => {
                let (upper, angle) = (coin(random), PI * uniform(random));
                let place = if upper { [angle.cos(), angle.sin()] } else { [1.0 - angle.cos(), 0.5 - angle.sin()] };
                let [x, y] = noisy(place, 0.1, random);
                [2.0 * x - 1.0, 2.0 * y - 0.2]
            }
            Toy::Pinwheel => pinwheel(random),
            Toy::SwissRoll => {
                let angle = 1.5 * PI * (1.0 + 2.0 * uniform(random));
                noisy([angle * angle.cos(), angle * angle.sin()], 1.0, random).map(|v| v / 5.0)
            }
            Toy::Checkerboard => {
                let x = 4.0 * uniform(random) - 2.0;
                let y = uniform(random) - if coin(random) { 2.0 } else { 0.0 } + x.floor().rem_euclid(2.0);
                [2.0 * x, 2.0 * y]
            }
        }
    }
}

fn spiral(random: &mut ChaCha8Rng) -> [f64; 2] {
    let n = uniform(random).sqrt() * 3.0 * PI;
    let place = [-n.cos() * n + 0.5 * uniform(random), n.sin() * n + 0.5 * uniform(random)];
    let sign = if coin(random) { 1.0 } else { -1.0 };
    noisy(place.map(|v| sign * v / 3.0), 0.1, random)
}

fn eight_gaussians(random: &mut ChaCha8Rng) -> [f64; 2] {
    const D: f64 = FRAC_1_SQRT_2;
    const CENTERS: [[f64; 2]; 8] =
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [D, D], [D, -D], [-D, D], [-D, -D]];
    let center = CENTERS[random.random_range(0..8)];
    noisy(center.map(|v| 4.0 * v), 0.5, random).map(|v| v / 1.414)
}

fn pinwheel(random: &mut ChaCha8Rng) -> [f64; 2] {
    let arm = f64::from(random.random_range(0..5u8));
    let (along, across) = (1.0 + 0.3 * normal(random), 0.1 * normal(random));
    let angle = TAU * arm / 5.0 + 0.25 * along.exp();
    let (sine, cosine) = angle.sin_cos();
    [2.0 * (along * cosine + across * sine), 2.0 * (across * cosine - along * sine)]
}

fn uniform(random: &mut ChaCha8Rng) -> f64 {
    random.random()
}

fn coin(random: &mut ChaCha8Rng) -> bool {
    random.random()
}

/// Box and Muller's transform (1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (uniform(random), uniform(random));
    (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
}

fn noisy(place: [f64; 2], std: f64, random: &mut ChaCha8Rng) -> [f64; 2] {
    place.map(|v| v + std * normal(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// Mean, standard deviation and mean modulus of 5000 points of the reference code.
    const REFERENCE: [([f64; 2], [f64; 2], f64); 7] = [
        ([0.0009, 0.0007], [1.6115, 1.5921], 1.3591),
        ([0.0345, -0.0195], [2.0382, 2.0246], 1.7784),
        ([0.0078, 0.0021], [1.6985, 1.6917], 1.4442),
        ([0.0065, 0.3018], [1.7420, 1.0051], 1.1679),
        ([0.0006, 0.0011], [1.4870, 1.4927], 1.2865),
        ([0.4116, 0.0364], [1.3449, 1.3992], 1.2110),
        ([0.0024, 0.0010], [2.3031, 2.3255], 2.0071),
    ];

    #[test]
    fn moments_are_those_of_the_reference_code() {
        for (toy, (mean, std, modulus)) in Toy::ALL.into_iter().zip(REFERENCE) {
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let points: Vec<[f64; 2]> = (0..20_000).map(|_| toy.draw(&mut random)).collect();
            let average = |f: &dyn Fn(&[f64; 2]) -> f64| points.iter().map(f).sum::<f64>() / 20_000.0;
            // Four standard errors of both sets together.
            for axis in 0..2 {
                let m = average(&|p| p[axis]);
                let s = average(&|p| (p[axis] - m).powi(2)).sqrt();
                assert!((m - mean[axis]).abs() < 4.0 * std[axis] / 60.0, "{toy:?}: {m}");
                assert!((s - std[axis]).abs() < 4.0 * std[axis] / 85.0, "{toy:?}: {s}");
            }
            let found = average(&|p| (p[0].abs() + p[1].abs()) / 2.0);
            assert!((found - modulus).abs() < 4.0 * modulus / 60.0, "{toy:?}: {found}");
        }
    }
}
