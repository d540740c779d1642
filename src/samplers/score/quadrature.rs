//! Gauss-Legendre quadrature on the unit interval.

/// Nodes and weights of `n` points on `[0, 1]`, exact for polynomials of degree `2n - 1`.
pub fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    let pair = |i: usize| {
        // Newton's method on the Legendre polynomial, from an asymptotic root.
        let mut z = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..50 {
            let (value, slope) = legendre(n, z);
            z -= value / slope;
            if (value / slope).abs() < 1e-16 {
                break;
            }
        }
        let slope = legendre(n, z).1;
        (0.5 * (1.0 - z), 1.0 / ((1.0 - z * z) * slope * slope))
    };
    (0..n).map(pair).unzip()
}

/// The Legendre polynomial of degree `n` and its derivative at `z` inside (-1, 1).
fn legendre(n: usize, z: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for k in 1..=n {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * z * value - (k - 1.0) * before) / k);
    }
    (value, n as f64 * (z * value - before) / (z * z - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_the_degree_are_exact() {
        for n in [1, 2, 7, 40] {
            let (nodes, weights) = gauss_legendre(n);
            for degree in [0, 1, n, 2 * n - 1] {
                let sum: f64 = nodes.iter().zip(&weights).map(|(u, w)| w * u.powi(degree as i32)).sum();
                assert!((sum * (degree + 1) as f64 - 1.0).abs() < 1e-12, "{n} points, degree {degree}: {sum}");
            }
        }
    }
}
