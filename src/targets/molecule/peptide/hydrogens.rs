//! Hydrogens from the heavy atoms: tetrahedral, planar, or staggered about the bond they hang on.

use super::vector::{Point, add, cross, place, scaled, sub, unit};

/// Half the angle H-C-H of a methylene group, degrees.
const HALF_METHYLENE: f64 = 54.0;

/// A heavy atom and what surrounds it.
pub struct Centre<'a> {
    pub name: &'a str,
    pub at: Point,
    /// Heavy atoms bonded to it, the one nearer the main chain (or N) first.
    pub heavy: &'a [Point],
    /// A heavy atom bonded to the first of these, for groups that can turn.
    pub beyond: Point,
    /// Number of hydrogens.
    pub hydrogens: usize,
}

impl Centre<'_> {
    /// Where its hydrogens stand, in the order of their names.
    pub fn place(&self) -> Vec<Point> {
        let toward = |k: usize| unit(sub(self.heavy[k], self.at));
        let opposite = |sum: Point| unit(scaled(sum, -1.0));
        match (self.heavy.len(), self.hydrogens) {
            (_, 0) => Vec::new(),
            (1, _) => self.turning(),
            // Aromatic CH and planar NH, in the plane of the two bonds.
            (2, 1) => vec![self.along(opposite(add(toward(0), toward(1))), true)],
            (2, _) => {
                // Seen from the first neighbour, the second neighbour, H2 and H3 follow clockwise (IUPAC 1998).
                let (sin, cos) = HALF_METHYLENE.to_radians().sin_cos();
                let outward = scaled(opposite(add(toward(0), toward(1))), cos);
                let across = scaled(unit(cross(toward(1), toward(0))), sin);
                [1.0, -1.0].map(|side| self.along(add(outward, scaled(across, side)), false)).to_vec()
            }
            _ => vec![self.along(opposite(add(add(toward(0), toward(1)), toward(2))), false)],
        }
    }

    fn along(&self, direction: Point, planar: bool) -> Point {
        add(self.at, scaled(direction, self.length(planar)))
    }

    /// Bond lengths of Amber's force fields, nm.
    fn length(&self, planar: bool) -> f64 {
        match (&self.name[..1], planar) {
            ("N", _) => 0.1010,
            ("O", _) => 0.0960,
            ("S", _) => 0.1336,
            (_, true) => 0.1080,
            _ => 0.1090,
        }
    }

    /// Groups with one heavy neighbour: methyl and ammonium staggered, amides flat, hydroxyl and thiol trans.
    fn turning(&self) -> Vec<Point> {
        // The first hydrogen of an amide is cis to the carbon chain; arginine's HH11 is trans to NE.
        let (angle, first, step) = match (self.hydrogens, &self.name[..1]) {
            (3, _) => (109.5, 60.0, 120.0),
            (2, _) if self.name == "NH1" => (120.0, 180.0, 180.0),
            (2, _) => (120.0, 0.0, 180.0),
            (_, "S") => (96.0, 180.0, 0.0),
            _ => (109.5, 180.0, 0.0),
        };
        let reference = [self.beyond, self.heavy[0], self.at];
        let one = |k: usize| place(reference, self.length(false), angle, first + step * k as f64);
        (0..self.hydrogens).map(one).collect()
    }
}
