//! Numbers that carry their first two derivatives by one variable.

use std::ops::{Add, Mul, Sub};

/// `f`, `f'`, `f''`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jet(pub f64, pub f64, pub f64);

impl Jet {
    pub const fn constant(value: f64) -> Self {
        Self(value, 0.0, 0.0)
    }

    /// The variable itself.
    pub const fn variable(value: f64) -> Self {
        Self(value, 1.0, 0.0)
    }

    /// `g(f)` from `g`, `g'` and `g''` at `f`.
    pub fn chain(self, g: f64, g1: f64, g2: f64) -> Self {
        Self(g, g1 * self.1, g2 * self.1 * self.1 + g1 * self.2)
    }

    pub fn exp(self) -> Self {
        let e = self.0.exp();
        self.chain(e, e, e)
    }

    pub fn ln(self) -> Self {
        self.chain(self.0.ln(), 1.0 / self.0, -1.0 / (self.0 * self.0))
    }

    pub fn ln_1p(self) -> Self {
        let r = 1.0 / (1.0 + self.0);
        self.chain(self.0.ln_1p(), r, -r * r)
    }

    pub fn sqrt(self) -> Self {
        let root = self.0.sqrt();
        self.chain(root, 0.5 / root, -0.25 / (root * self.0))
    }

    pub fn sinh(self) -> Self {
        let (s, c) = (self.0.sinh(), self.0.cosh());
        self.chain(s, c, s)
    }

    pub fn cosh(self) -> Self {
        let (s, c) = (self.0.sinh(), self.0.cosh());
        self.chain(c, s, c)
    }

    pub fn recip(self) -> Self {
        let r = 1.0 / self.0;
        self.chain(r, -r * r, 2.0 * r * r * r)
    }

    pub fn scale(self, factor: f64) -> Self {
        Self(self.0 * factor, self.1 * factor, self.2 * factor)
    }
}

impl Add for Jet {
    type Output = Jet;

    fn add(self, other: Jet) -> Jet {
        Jet(self.0 + other.0, self.1 + other.1, self.2 + other.2)
    }
}

impl Sub for Jet {
    type Output = Jet;

    fn sub(self, other: Jet) -> Jet {
        self + other.scale(-1.0)
    }
}

impl Mul for Jet {
    type Output = Jet;

    fn mul(self, other: Jet) -> Jet {
        let second = self.2 * other.0 + 2.0 * self.1 * other.1 + self.0 * other.2;
        Jet(self.0 * other.0, self.1 * other.0 + self.0 * other.1, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_function() {
        // f = ln(1 + x² e^x) / sqrt(cosh x) at 0.7, against differences.
        let f = |x: Jet| (x * x * x.exp()).ln_1p() * x.cosh().sqrt().recip() + (x.sinh() - x.scale(0.5)).ln();
        let (x, step) = (0.7, 1e-4);
        let at = |x: f64| f(Jet::variable(x)).0;
        let jet = f(Jet::variable(x));
        assert!((jet.1 - (at(x + step) - at(x - step)) / (2.0 * step)).abs() < 1e-7);
        assert!((jet.2 - (at(x + step) - 2.0 * at(x) + at(x - step)) / (step * step)).abs() < 1e-6);
        assert_eq!(f(Jet::constant(x)).1, 0.0);
    }
}
