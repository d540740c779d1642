//! The Ising model on an L x L torus without field, in closed form.

use super::Exact;
use super::jet::Jet;

/// log Z, mean energy and its variance at `beta > 0` (B. Kaufman, Physical Review 76, 1949, eq. 57):
///
/// `Z = ½ (2 sinh 2b)^(L²/2) (Z1 + Z2 + Z3 + Z4)`, products over r = 0 .. L-1 of `2 cosh(L γ_(2r+1) / 2)`,
/// `2 sinh(L γ_(2r+1) / 2)`, `2 cosh(L γ_2r / 2)` and `2 sinh(L γ_2r / 2)`, with
/// `cosh γ_k = cosh²(2b) / sinh(2b) - cos(pi k / L)`, `γ_k > 0` but for `γ_0 = 2b + ln tanh b`, below 0 above the
/// critical temperature. Sums are of logarithms, which keeps large L in range; derivatives by b are carried along.
pub fn solve(size: usize, beta: f64) -> Exact {
    let (l, b) = (size as f64, Jet::variable(beta));
    let half = |k: usize| gamma(k, size, b).scale(0.5 * l);

    // All factors but the one of γ_0, which may vanish or be negative and so has no logarithm.
    let (odd, even): (Vec<Jet>, Vec<Jet>) =
        ((0..size).map(|r| half(2 * r + 1)).collect(), (1..size).map(|r| half(2 * r)).collect());
    let sum = |terms: &[Jet], log: fn(Jet) -> Jet| terms.iter().fold(Jet::constant(0.0), |sum, u| sum + log(*u));
    let zero = half(0);
    let logs = [
        sum(&odd, log_2cosh),
        sum(&odd, log_2sinh),
        sum(&even, log_2cosh) + log_2cosh(zero),
        sum(&even, log_2sinh) + log_2cosh(zero),
    ];
    let top = logs.iter().map(|log| log.0).fold(f64::NEG_INFINITY, f64::max);
    let mut parts = logs.map(|log| (log - Jet::constant(top)).exp());
    // 2 sinh u = 2 cosh u tanh u.
    parts[3] = parts[3] * zero.sinh() * zero.cosh().recip();
    let total = parts.into_iter().fold(Jet::constant(0.0), |sum, part| sum + part);

    let prefactor = b.scale(2.0).sinh().scale(2.0).ln().scale(0.5 * l * l);
    let log_z = total.ln() + prefactor + Jet::constant(top - std::f64::consts::LN_2);
    Exact {
        method: "kaufman",
        log_z: log_z.0,
        energy: Some(-log_z.1),
        energy_variance: Some(log_z.2),
        ..Exact::default()
    }
}

/// `γ_k` of a lattice of side `size`.
fn gamma(k: usize, size: usize, b: Jet) -> Jet {
    if k == 0 {
        // ln tanh b without the loss of ln(1 - small): tanh b = (1 - e^-2b) / (1 + e^-2b).
        let e = b.scale(-2.0).exp();
        return b.scale(2.0) + e.scale(-1.0).ln_1p() - e.ln_1p();
    }
    // cosh γ - 1 = (sinh 2b - 1)² / sinh 2b + 2 sin²(pi k / 2L), free of cancellation at the critical point.
    let sinh = b.scale(2.0).sinh();
    let excess = sinh - Jet::constant(1.0);
    let angle = std::f64::consts::FRAC_PI_2 * k as f64 / size as f64;
    let d = excess * excess * sinh.recip() + Jet::constant(2.0 * angle.sin().powi(2));
    (d + (d * (d + Jet::constant(2.0))).sqrt()).ln_1p()
}

/// `ln(2 cosh u)` for u of either sign.
fn log_2cosh(u: Jet) -> Jet {
    let u = if u.0 < 0.0 { u.scale(-1.0) } else { u };
    u + u.scale(-2.0).exp().ln_1p()
}

/// `ln(2 sinh u)` for u > 0.
fn log_2sinh(u: Jet) -> Jet {
    u + u.scale(-2.0).exp().scale(-1.0).ln_1p()
}
