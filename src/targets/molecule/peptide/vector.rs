//! Points in space, and where an atom stands relative to three others. Lengths in nm, angles in degrees.

pub type Point = [f64; 3];

pub fn add(a: Point, b: Point) -> Point {
    std::array::from_fn(|k| a[k] + b[k])
}

pub fn sub(a: Point, b: Point) -> Point {
    std::array::from_fn(|k| a[k] - b[k])
}

pub fn scaled(a: Point, by: f64) -> Point {
    a.map(|x| x * by)
}

pub fn dot(a: Point, b: Point) -> f64 {
    (0..3).map(|k| a[k] * b[k]).sum()
}

pub fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub fn unit(a: Point) -> Point {
    scaled(a, dot(a, a).sqrt().recip())
}

/// The point at `length` from `c`, at `angle` with b and with the dihedral angle `torsion` about b-c from `a`.
pub fn place([a, b, c]: [Point; 3], length: f64, angle: f64, torsion: f64) -> Point {
    let along = unit(sub(c, b));
    let normal = unit(cross(sub(b, a), along));
    let inward = cross(normal, along);
    let (angle, torsion) = (angle.to_radians(), torsion.to_radians());
    let parts = [
        scaled(along, -length * angle.cos()),
        scaled(inward, length * angle.sin() * torsion.cos()),
        scaled(normal, length * angle.sin() * torsion.sin()),
    ];
    parts.into_iter().fold(c, add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::molecule::features::dihedrals;
    use tch::Tensor;

    #[test]
    fn atoms_stand_where_they_are_told() {
        let reference = [[0.1, -0.2, 0.3], [0.2, 0.4, -0.1], [-0.3, 0.1, 0.2]];
        for torsion in [-150.0, -60.0, 0.0, 35.0, 179.0] {
            let d = place(reference, 0.15, 109.0, torsion);
            let (cd, cb) = (sub(d, reference[2]), sub(reference[1], reference[2]));
            assert!((dot(cd, cd).sqrt() - 0.15).abs() < 1e-12);
            assert!((dot(unit(cd), unit(cb)).acos().to_degrees() - 109.0).abs() < 1e-9);
            let x: Vec<f64> = reference.into_iter().chain([d]).flatten().collect();
            let found = dihedrals(&Tensor::from_slice(&x).view([1, 12]), &[[0, 1, 2, 3]]).double_value(&[0, 0]);
            assert!((found.to_degrees() - torsion).abs() < 1e-9, "{found} {torsion}");
        }
    }
}
